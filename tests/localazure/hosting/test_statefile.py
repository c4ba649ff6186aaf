"""The state file: what is there again after a restart, what a crash leaves, and which files are refused."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.database import Database, DatabaseInUseError
from labkit.localazure.monitor import metric_rules
from labkit.localazure.resources import GROUP_ID
from labkit.localazure.state import Azure
from labkit.localazure.statefile import StateFile, StateFileError
from labkit.localazure.telemetry.kqlerrors import QueryError
from labkit.localazure.usage import cost_usd

from ..asking import BIG, VERSION, account_of
from ..conftest import ACCOUNT_ID, Answer, Caller, deployment
from ..monitor.conftest import Metrics, action_group, metric_alert

DEPLOYMENT = f"{ACCOUNT_ID}/deployments/{BIG}"
COMPONENT = f"{GROUP_ID}/providers/Microsoft.Insights/components/appi"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state is."""
    return tmp_path / "lab.state"


class Run(Caller):
    """A local Azure on a state file, called directly."""

    def arm(self, method: str, path: str, document: object = None) -> Answer:
        """A request to the control plane, which succeeds."""
        token = self.azure.identity.issue("https://management.azure.com")["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = self(method, path, document, headers=headers, **{"api-version": "2025-09-01"})
        assert answer.status < 300, answer.body
        return answer

    def chat(self) -> Answer:
        """A call of the deployment with the account's first key."""
        headers = {"api-key": account_of(self.azure).keys[0]}
        path = f"/openai/deployments/{BIG}/chat/completions"
        return self("POST", path, HELLO, headers=headers, **{"api-version": VERSION})

    def track(self, name: str) -> None:
        """Send one event to the component, which is acknowledged."""
        key = self.arm("GET", COMPONENT).json["properties"]["InstrumentationKey"]
        data = {"baseType": "EventData", "baseData": {"name": name}}
        envelope = {"name": "e", "time": "2026-11-25T12:00:00Z", "iKey": key, "data": data}
        assert self("POST", "/v2.1/track", [envelope]).json["itemsAccepted"] == 1

    def events(self) -> list[str]:
        """The names of the events that are kept."""
        return [row["name"] for row in self.azure.telemetry.rows("customEvents")]


@contextmanager
def running(path: Path, clock: ManualClock) -> Iterator[Run]:
    """A local Azure that is ended in order."""
    file = StateFile(path)
    azure = Azure(clock, secrets=file.secrets, database=file.database)
    file.attach(azure)
    try:
        yield Run(azure)
    finally:
        file.close(azure)


def as_a_crash_leaves_it(path: Path, to: Path) -> Path:
    """A copy of what is on disk at this moment, as if the process had been killed."""
    for suffix in ("", ".wal"):
        if path.with_name(path.name + suffix).exists():
            shutil.copy(path.with_name(path.name + suffix), to.with_name(to.name + suffix))
    return to


RESOURCES = {
    "account": (f"{GROUP_ID}/providers/Microsoft.CognitiveServices/accounts/second", None),
    "deployment": (DEPLOYMENT, deployment()),
    "component": (COMPONENT, {"location": "swedencentral", "kind": "web", "properties": {}}),
    "action group": (f"{GROUP_ID}/providers/Microsoft.Insights/actionGroups/ops", action_group()),
    "metric alert": (f"{GROUP_ID}/providers/Microsoft.Insights/metricAlerts/slow", metric_alert()),
    "budget": (f"{GROUP_ID}/providers/Microsoft.Consumption/budgets/term", "budget"),
}


def body_of(kind: str, clock: ManualClock) -> Any:
    """What is PUT."""
    if kind == "account":
        return {"location": "swedencentral", "kind": "OpenAI", "sku": {"name": "S0"}, "properties": {}}
    if kind == "budget":
        period = {"startDate": "2026-11-01T00:00:00Z", "endDate": "2027-11-01T00:00:00Z"}
        terms = {"category": "Cost", "amount": 5, "timeGrain": "Monthly", "timePeriod": period, "notifications": {}}
        return {"properties": terms}
    return RESOURCES[kind][1]


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon on 25 November 2026."""
    return ManualClock(1_795_608_000.0)


@pytest.mark.parametrize("kind", RESOURCES)
def test_a_resource_is_there_again(path: Path, clock: ManualClock, kind: str) -> None:
    """To the letter: its times, its etag, its place in the list."""
    where = RESOURCES[kind][0]
    with running(path, clock) as first:
        first.arm("PUT", where, body_of(kind, clock))
        before = first.arm("GET", where).json
        listed = first.arm("GET", where.rpartition("/")[0]).json
    clock.advance(3_600)
    with running(path, clock) as second:
        assert second.arm("GET", where).json == before
        assert second.arm("GET", where.rpartition("/")[0]).json == listed


def test_an_exported_environment_stays_good(path: Path) -> None:
    """The lab key, the identity's header, tokens, the account's keys and the admin secret outlive a restart."""
    with LocalAzure(state=path) as first:
        before = first.environment(), first.admin_secret, account_of(first.azure).keys
        token = first.azure.identity.issue("https://management.azure.com")["access_token"]
        url = first.url
    with LocalAzure(state=path, port=int(url.rpartition(":")[2])) as second:
        assert (second.environment(), second.admin_secret, account_of(second.azure).keys) == before
        assert second.azure.identity.principal(token).audience == "https://management.azure.com"


def test_models_answer_and_telemetry_is_accepted_again(path: Path, clock: ManualClock) -> None:
    """The faces find accounts, deployments and components as if they had just been made."""
    with running(path, clock) as first:
        first.arm("PUT", DEPLOYMENT, deployment())
        first.arm("PUT", COMPONENT, RESOURCES["component"][1])
        first.track("one")
    with running(path, clock) as second:
        assert second.chat().status == 200
        second.track("two")
        assert second.events() == ["one", "two"]


def test_what_was_deleted_stays_away(path: Path, clock: ManualClock) -> None:
    """The account that every new one begins with, too, and what was under it."""
    with running(path, clock) as first:
        first.arm("PUT", DEPLOYMENT, deployment())
        first.arm("DELETE", ACCOUNT_ID)
    with running(path, clock) as second:
        assert len(second.azure.resources) == 0
        assert second.azure.resources.accounts() == ()
        assert second.azure.resources.account() is None
        second.arm("PUT", ACCOUNT_ID, body_of("account", clock))
        assert second.arm("GET", f"{ACCOUNT_ID}/deployments").json["value"] == []


def test_spend_goes_on(path: Path, clock: ManualClock) -> None:
    """Usage is summed over runs, by the day."""
    spent = []
    for _ in range(3):
        with running(path, clock) as run:
            run.arm("PUT", DEPLOYMENT, deployment())
            assert run.chat().status == 200
            days = run.azure.usage.days()
            spent.append(sum(cost_usd(key, cell) for key, cell in days.items()))
            assert sum(cell.requests for cell in days.values()) == len(spent)
        clock.advance(60)
    assert spent[2] > spent[1] > spent[0] > 0


def test_alerts_are_remembered(path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has fired, under the same id."""
    metrics = Metrics()
    metrics.values = {(): 5.0}
    monkeypatch.setattr(metric_rules, "windows", metrics)
    with running(path, clock) as first:
        first.arm("PUT", RESOURCES["metric alert"][0], metric_alert())
        clock.advance(120)
        first.azure.tick()
        fired = [(alert.id, alert.condition, alert.fired_at_s) for alert in first.azure.monitor.alerts]
        assert len(fired) == 1
    with running(path, clock) as second:
        assert [(a.id, a.condition, a.fired_at_s) for a in second.azure.monitor.alerts] == fired


def test_the_clock_stays_ahead(path: Path) -> None:
    """Time that was let pass has passed; a token of before the restart is still no older for it."""
    with LocalAzure(state=path) as first:
        first.azure.advance(86_400)
        token = first.azure.identity.issue("https://management.azure.com")["access_token"]
        principal = first.azure.identity.principal(token)
        before_s = first.azure.clock.now()
    with LocalAzure(state=path) as second:
        assert before_s <= second.azure.clock.now() < before_s + 600
        assert second.azure.identity.principal(token) == principal


# -- crashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda run: run.arm("PUT", f"{ACCOUNT_ID}/deployments/d", deployment()), id="created"),
        pytest.param(lambda run: run.arm("PATCH", DEPLOYMENT, {"sku": {"capacity": 7}}), id="changed"),
        pytest.param(lambda run: run.arm("DELETE", DEPLOYMENT), id="deleted"),
        pytest.param(lambda run: run.arm("DELETE", ACCOUNT_ID), id="deleted with all under it"),
        pytest.param(lambda run: run.arm("POST", f"{ACCOUNT_ID}/regenerateKey", {"keyName": "Key1"}), id="new key"),
        pytest.param(lambda run: run.track("late"), id="telemetry"),
    ],
)
def test_a_crash_right_after_the_answer_loses_nothing(
    path: Path, clock: ManualClock, change: Callable[[Run], object]
) -> None:
    """What was acknowledged is on disk by then."""
    with running(path, clock) as run:
        run.arm("PUT", DEPLOYMENT, deployment())
        run.arm("PUT", COMPONENT, RESOURCES["component"][1])
        run.track("early")
        change(run)
        left = as_a_crash_leaves_it(path, path.with_name("crashed"))
        with running(left, clock) as again:
            assert [r.id for r in again.azure.resources] == [r.id for r in run.azure.resources]
            assert [r.document for r in again.azure.resources] == [r.document for r in run.azure.resources]
            assert again.azure.resources.accounts() == run.azure.resources.accounts()
            assert again.events() == run.events()


def test_a_file_whose_maker_was_killed_at_once_is_new(path: Path, clock: ManualClock) -> None:
    """An empty database is as good as none, and so is one with secrets and nothing else."""
    Database(path).close()
    for _ in range(2):
        StateFile(path).database.close()
        with running(path, clock) as run:
            assert account_of(run.azure)


def test_a_disk_that_refuses_is_told(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """503, nothing acknowledged; when there is room again, the next write brings the last one along."""
    token = "https://management.azure.com"
    with running(path, clock) as run:
        with monkeypatch.context() as full:

            def refuse(*_: object) -> None:
                raise duckdb.IOException("No space left on device")

            full.setattr(run.azure.database, "execute", refuse)
            headers = {"Authorization": f"Bearer {run.azure.identity.issue(token)['access_token']}"}
            answer = run("PUT", DEPLOYMENT, deployment(), headers=headers, **{"api-version": "2025-09-01"})
            assert answer.error == (503, "StateNotSaved")
            assert str(path) not in answer.body.decode()
        assert "No space left on device" in capfd.readouterr().err
        run.arm("PUT", COMPONENT, RESOURCES["component"][1])
        with running(as_a_crash_leaves_it(path, path.with_name("crashed")), clock) as again:
            assert again.arm("GET", DEPLOYMENT)
            assert again.arm("GET", COMPONENT)


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_the_file_is_its_owners_alone(path: Path, clock: ManualClock) -> None:
    """It holds keys."""
    with running(path, clock):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_in_use_is_told(path: Path, clock: ManualClock) -> None:
    """And stays as it is."""
    with running(path, clock), pytest.raises(DatabaseInUseError, match=r"lab\.state is already open"):
        StateFile(path)


def test_something_else_is_not_touched(path: Path) -> None:
    """Neither a text nor another program's database."""
    path.write_text("my thesis " * 1_000, "utf-8")
    with pytest.raises(OSError, match=r"lab\.state cannot be used"):
        StateFile(path)
    assert path.read_text("utf-8").startswith("my thesis")
    path.unlink()
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE TABLE measurements (value DOUBLE)")
    with pytest.raises(StateFileError, match="no local Azure's"):
        StateFile(path)
    with duckdb.connect(str(path), read_only=True) as other:
        assert other.execute("SHOW TABLES").fetchall() == [("measurements",)]


def test_a_folder_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    """With the name that was given."""
    for wrong in (tmp_path, tmp_path / "none" / "lab.state"):
        with pytest.raises(OSError, match="cannot be used"):
            StateFile(wrong)


def test_another_format_is_told(path: Path, clock: ManualClock) -> None:
    """With the release that made it; the file is let go of."""
    with running(path, clock) as run:
        run.azure.database.execute("UPDATE labkit_facts SET value = '0' WHERE name = 'format'")
        run.azure.database.execute("UPDATE labkit_facts SET value = '2025.1' WHERE name = 'labkit'")
    with pytest.raises(StateFileError, match=r"made by labkit 2025\.1.*or name a new file"):
        StateFile(path)
    with duckdb.connect(str(path)):
        pass


def test_a_port_that_is_taken_lets_go_of_the_file(path: Path) -> None:
    """So that the next try finds it free."""
    with LocalAzure() as other:
        port = int(other.url.rpartition(":")[2])
        for _ in range(2):
            with pytest.raises(OSError, match="is taken by another program"):
                LocalAzure(state=path, port=port).start()


def test_a_query_cannot_read_the_secrets(path: Path, clock: ManualClock) -> None:
    """The tables beside telemetry's do not exist for KQL."""
    with running(path, clock) as run:
        run.arm("PUT", COMPONENT, RESOURCES["component"][1])
        for table in ("labkit_facts", "labkit_resources", "labkit_usage", "main.labkit_facts"):
            with pytest.raises(QueryError) as refused:
                run.azure.telemetry.query(table, component=COMPONENT)
            assert run.azure.admin_secret not in str(refused.value)
