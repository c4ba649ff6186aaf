"""A class on one server: students share a port and nothing else."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.mgmt.applicationinsights.models import ApplicationInsightsComponent

import labkit
from labkit import clients, connection
from labkit.errors import NoConnectionError
from labkit.localazure.classserver import ClassServer
from labkit.localazure.faults import Fault
from labkit.localazure.roster import Student

from ..asking import VERSION
from ..conftest import ACCOUNT_ID, deployment

MANAGEMENT = "https://management.azure.com/"
DEPLOYMENT = f"{ACCOUNT_ID}/deployments/mini?api-version=2025-09-01"
CHAT = f"/openai/deployments/mini/chat/completions?api-version={VERSION}"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ClassServer]:
    """A class of two."""
    table = tmp_path / "class.csv"
    table.write_text("student\nala\nOla.Kot@x.pl\n", "utf-8")
    with ClassServer(table) as running:
        yield running


class Pupil:
    """A student's process: knows its own environment, and can try its key at another's address."""

    def __init__(self, served: ClassServer, student: Student) -> None:
        self.student = student
        self.environment = served.environment(student)
        self.url = self.environment["LABKIT_AZURE_URL"]

    def ask(self, path: str, body: Any = None, *, at: "Pupil | None" = None, **options: Any) -> tuple[int, Any]:
        """The status and the JSON that come back."""
        address = urlsplit((at or self).url)
        headers = {name.replace("_", "-"): value for name, value in options.items() if name != "method"}
        method = options.get("method", "GET" if body is None else "POST")
        with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as opened:
            opened.request(method, address.path + path, body and json.dumps(body), headers)
            answer = opened.getresponse()
            content = answer.read()
        return answer.status, json.loads(content) if content else None

    def token(self, *, at: "Pupil | None" = None, resource: str = MANAGEMENT) -> tuple[int, Any]:
        """What the App Service endpoint answers to this student's header."""
        path = f"/msi/token?api-version=2019-08-01&resource={resource}"
        return self.ask(path, at=at, X_IDENTITY_HEADER=self.environment["IDENTITY_HEADER"])

    def deploy(self) -> None:
        """Make the deployment ``mini``."""
        bearer = f"Bearer {self.token()[1]['access_token']}"
        status, _ = self.ask(DEPLOYMENT, deployment("gpt-4o-mini", "2024-07-18"), method="PUT", Authorization=bearer)
        assert status == 201


@pytest.fixture
def pupils(served: ClassServer) -> tuple[Pupil, Pupil]:
    """Both students."""
    ala, ola = (Pupil(served, student) for student in served.students)
    return ala, ola


def test_two_students_work_side_by_side(
    served: ClassServer, pupils: tuple[Pupil, Pupil], monkeypatch: pytest.MonkeyPatch
) -> None:
    """labkit.connect() and the real clients, the long-running creation included; neither sees the other's work."""
    names = []
    for pupil, name in zip(pupils, ("first", "second"), strict=True):
        for variable, value in pupil.environment.items():
            monkeypatch.setenv(variable, value)
        here = labkit.connect()
        try:
            assert here.endpoint == f"{pupil.url}/"
            resources = clients.cognitive_services().deployments
            body: Any = deployment("gpt-4o-mini", "2024-07-18")
            made = resources.begin_create_or_update(here.resource_group, here.account, name, body).result()
            assert made.properties.provisioning_state == "Succeeded"
            names.append([each.name for each in resources.list(here.resource_group, here.account)])
            asked = {"model": name, "messages": [{"role": "user", "content": "hello"}]}
            assert clients.openai().chat.completions.create(**asked).usage
            account = clients.cognitive_services().accounts.get(here.resource_group, here.account)
            assert account.properties.endpoint == f"{pupil.url}/"
            assert [each.deployment for each in labkit.lab.calls()] == [name]
            wanted = ApplicationInsightsComponent(location=here.location, kind="web", application_type="web")
            component = clients.application_insights().components.create_or_update(here.resource_group, name, wanted)
            answer = clients.logs().query_resource(component.id, "dependencies | count", timespan=timedelta(hours=1))
            assert [list(row) for row in answer.tables[0].rows] == [[0]]
        finally:
            connection.disconnect()
    assert names == [["first"], ["second"]]


def _try_lab_key(me: Pupil, other: Pupil) -> int:
    return me.ask("/labkit/journal", at=other, x_labkit_key=me.environment["LABKIT_LAB_KEY"])[0]


def _try_identity(me: Pupil, other: Pupil) -> int:
    return me.token(at=other)[0]


def _try_metadata_identity(me: Pupil, other: Pupil) -> int:
    return me.ask(f"/metadata/identity/oauth2/token?resource={MANAGEMENT}", at=other, Metadata="true")[0]


def _try_management_token(me: Pupil, other: Pupil) -> int:
    bearer = f"Bearer {me.token()[1]['access_token']}"
    return me.ask(DEPLOYMENT, at=other, Authorization=bearer)[0]


def _try_inference_token(me: Pupil, other: Pupil) -> int:
    bearer = f"Bearer {me.token(resource='https://cognitiveservices.azure.com')[1]['access_token']}"
    return me.ask(CHAT, HELLO, at=other, Authorization=bearer)[0]


def _try_account_key(me: Pupil, other: Pupil) -> int:
    bearer = f"Bearer {me.token()[1]['access_token']}"
    _, keys = me.ask(f"{ACCOUNT_ID}/listKeys?api-version=2025-09-01", {}, Authorization=bearer)
    assert me.ask(CHAT, HELLO, api_key=keys["key1"])[0] == 200
    return me.ask(CHAT, HELLO, at=other, api_key=keys["key1"])[0]


def _try_lab_key_as_account_key(me: Pupil, other: Pupil) -> int:
    return me.ask(CHAT, HELLO, at=other, api_key=me.environment["LABKIT_LAB_KEY"])[0]


def _try_overview(me: Pupil, other: Pupil) -> int:
    address = urlsplit(me.url).netloc
    with closing(http.client.HTTPConnection(address, timeout=10)) as opened:
        opened.request("GET", "/labkit/class", headers={"x-labkit-key": me.environment["LABKIT_LAB_KEY"]})
        return opened.getresponse().status


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(_try_lab_key, id="lab key"),
        pytest.param(_try_identity, id="identity header"),
        pytest.param(_try_metadata_identity, id="instance metadata, which asks for no secret"),
        pytest.param(_try_management_token, id="management token"),
        pytest.param(_try_inference_token, id="inference token"),
        pytest.param(_try_account_key, id="account key"),
        pytest.param(_try_lab_key_as_account_key, id="lab key as account key"),
        pytest.param(_try_overview, id="overview"),
    ],
)
def test_a_key_opens_nothing_of_anybody_elses(
    pupils: tuple[Pupil, Pupil], attempt: Callable[[Pupil, Pupil], int]
) -> None:
    """Every face refuses with 401 or 403."""
    for pupil in pupils:
        pupil.deploy()
    assert attempt(pupils[0], pupils[1]) in (401, 403)


def test_faults_and_clocks_are_each_students_own(served: ClassServer, pupils: tuple[Pupil, Pupil]) -> None:
    """Breaking one, or letting an hour pass there, leaves the other as it is."""
    ala, ola = (served.classroom.azure(pupil.student.name) for pupil in pupils)
    ala.faults.add(Fault())
    ala.advance(3_600)
    assert ola.faults.waiting() == []
    assert ala.clock.now() - ola.clock.now() > 3_500


def test_the_admin_secret_opens_everything(served: ClassServer, pupils: tuple[Pupil, Pupil]) -> None:
    """Every student's journal, and an overview of who did what."""
    ala, ola = pupils
    ala.deploy()
    bearer = f"Bearer {ala.token(resource='https://cognitiveservices.azure.com')[1]['access_token']}"
    assert ala.ask(CHAT, HELLO, Authorization=bearer)[0] == 200
    for pupil in pupils:
        assert pupil.ask("/labkit/journal", x_labkit_key=served.admin_secret)[0] == 200
    with closing(http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)) as opened:
        opened.request("GET", "/labkit/class", headers={"x-labkit-key": served.admin_secret})
        rows = json.loads(opened.getresponse().read())["students"]
    assert [row["student"] for row in rows] == ["ala", "Ola.Kot@x.pl"]
    assert [row["url"] for row in rows] == [ala.url, ola.url]
    assert [row["calls"] for row in rows] == [1, 0]
    assert rows[0]["completion_tokens"] > 0
    assert rows[0]["spend_usd"] > 0
    assert all(row["last_seen"] for row in rows)


def test_a_local_azure_is_made_on_first_use(served: ClassServer, pupils: tuple[Pupil, Pupil]) -> None:
    """An idle student costs nothing."""
    assert served.classroom.opened() == []
    assert pupils[0].token()[0] == 200
    assert len(served.classroom.opened()) == 1


def test_a_students_state_is_theirs_again(tmp_path: Path) -> None:
    """With a folder for it everybody goes on where they were, under the same key; idle ones have no file."""
    table, state = tmp_path / "class.csv", tmp_path / "state"
    table.write_text("student\nala\nola\n", "utf-8")
    seen = []
    for _ in range(2):
        with ClassServer(table, state=state) as served:
            ala = Pupil(served, served.students[0])
            bearer = f"Bearer {ala.token()[1]['access_token']}"
            seen.append((served.admin_secret, ala.student.key, ala.ask(DEPLOYMENT, Authorization=bearer)[0]))
            if seen[-1][-1] == 404:
                ala.deploy()
    assert seen[0][:2] == seen[1][:2]
    assert [status for *_, status in seen] == [404, 200]
    assert sorted(path.name for path in state.iterdir()) == ["ala.duckdb", "class.json"]


def test_a_state_that_breaks_stays_one_students(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """503 for them, and why on the server's terminal; the others go on. At a start it is told before anything else."""
    table, state = tmp_path / "class.csv", tmp_path / "state"
    table.write_text("student\nala\nola\n", "utf-8")
    with ClassServer(table, state=state) as served:
        ala, ola = (Pupil(served, student) for student in served.students)
        (state / "ala.duckdb").write_text("no database " * 1_000, "utf-8")
        status, answer = ala.ask("/labkit")
        assert (status, answer["error"]["code"]) == (503, "SeatNotAvailable")
        assert str(tmp_path) not in str(answer)
        assert ola.ask("/labkit")[0] == 200
    assert "ala has no local Azure: " in capfd.readouterr().err
    for _ in range(2):
        with pytest.raises(OSError, match=r"ala\.duckdb cannot be used"):
            ClassServer(table, state=state).start()


@pytest.mark.parametrize("path", ["/openai/v1/models", "/class/ewa/labkit", "/class/", "/class/ewa", "/labkit/x"])
def test_nowhere_says_where_to_go(served: ClassServer, path: str) -> None:
    """A path of no student's gets 404 and the form of the address."""
    with closing(http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)) as opened:
        opened.request("GET", path)
        answer = opened.getresponse()
        assert answer.status == 404
        assert "ends in /class/ and the student's name" in json.loads(answer.read())["error"]["message"]


def test_the_console_gets_its_slash(served: ClassServer) -> None:
    """Its files are found beside it."""
    with closing(http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)) as opened:
        opened.request("GET", "/class/ALA")
        answer = opened.getresponse()
        answer.read()
        assert (answer.status, answer.headers["location"]) == (307, "/class/ALA/")
        opened.request("GET", "/class/ALA/")
        page = opened.getresponse()
        assert page.status == 200
        assert b"<html" in page.read()


@pytest.mark.parametrize(("method", "status"), [("GET", 401), ("POST", 401)])
def test_the_overview_needs_the_secret(served: ClassServer, method: str, status: int) -> None:
    """Without one nothing is told."""
    with closing(http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)) as opened:
        opened.request(method, "/labkit/class")
        assert opened.getresponse().status == status


def test_connecting_to_the_class_instead_of_a_seat_is_explained(
    served: ClassServer, pupils: tuple[Pupil, Pupil], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address lacks its end; or the address is one student's and the identity another's."""
    for variable, value in pupils[0].environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("LABKIT_AZURE_URL", served.url)
    with pytest.raises(NoConnectionError, match="your address ends in /class/ and your name"):
        labkit.connect()
    monkeypatch.setenv("LABKIT_AZURE_URL", pupils[1].url)
    with pytest.raises(NoConnectionError, match="belongs to another service"):
        labkit.connect()


def test_the_handout_is_there_before_anybody_is_served(served: ClassServer, pupils: tuple[Pupil, Pupil]) -> None:
    """With each student's address and key in it."""
    told = served.handout.read_text("utf-8")
    for pupil in pupils:
        assert f"LABKIT_AZURE_URL='{pupil.url}'" in told
        assert pupil.student.key in told
    assert served.admin_secret not in told
