"""Where ``connect()`` leads, what it sets in the environment, and what it says when it leads nowhere."""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from labkit import connection, lab
from labkit.connection import Connection, connect, current, disconnect
from labkit.errors import InvalidRequestError, NoConnectionError, VersionMismatchError
from labkit.localazure import LocalAzure

REAL = {
    "AZURE_OPENAI_ENDPOINT": "https://contoso.openai.azure.com",
    "AZURE_SUBSCRIPTION_ID": "11111111-2222-4333-8444-555555555555",
    "AZURE_RESOURCE_GROUP": "rg-contoso",
}


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a real account."""
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def stranger() -> Iterator[str]:
    """The URL of a server that is no local Azure: it answers everything with an empty JSON object."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/json") else 418)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_without_a_connection_current_says_what_to_run() -> None:
    """The message is the line that every notebook starts with."""
    with pytest.raises(NoConnectionError, match=r"azure = labkit\.connect\(\)"):
        current()


def test_it_attaches_to_the_local_azure_that_the_environment_names(local: LocalAzure) -> None:
    """The connection is that server's account, and stays the current one."""
    assert current() == connect()
    assert current() == Connection(
        endpoint=f"{local.url}/",
        management_url=local.url,
        subscription_id="00000000-0000-4000-8000-000000000013",
        resource_group="rg-session13",
        account="aoai-session13",
        is_local=True,
        known_location="swedencentral",
    )
    assert current().location == "swedencentral"
    assert current().console_url == f"{local.url}/"
    assert current().account_id == (
        "/subscriptions/00000000-0000-4000-8000-000000000013/resourceGroups/rg-session13"
        "/providers/Microsoft.CognitiveServices/accounts/aoai-session13"
    )


def test_attaching_keeps_proxies_out_and_other_credentials_silent(
    monkeypatch: pytest.MonkeyPatch, local: LocalAzure
) -> None:
    """A proxy set on the machine does not see calls to the local Azure; its other exemptions stay."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.setenv("no_proxy", "intranet.example")
    monkeypatch.delenv("AZURE_TOKEN_CREDENTIALS")
    assert connect().is_local
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "intranet.example,127.0.0.1"
    assert os.environ["AZURE_TOKEN_CREDENTIALS"] == "ManagedIdentityCredential"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("http://127.0.0.1:9", "refused", id="nobody-listens"),
        pytest.param("127.0.0.1:9", "unknown url type", id="no-scheme"),
        pytest.param("class-server", "unknown url type", id="no-url"),
    ],
)
def test_when_nothing_answers_it_says_where_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    """The error names the URL, the variable it came from, and both ways on."""
    monkeypatch.setenv("LABKIT_AZURE_URL", url)
    with pytest.raises(NoConnectionError, match=rf"{url}, which LABKIT_AZURE_URL names: .*{reason}.*make lab.*unset"):
        connect()


@pytest.mark.parametrize("path", ["", "/json"])
def test_a_stranger_is_not_mistaken_for_a_local_azure(
    monkeypatch: pytest.MonkeyPatch, stranger: str, path: str
) -> None:
    """Another program on that port is named as such, whatever it answers."""
    monkeypatch.setenv("LABKIT_AZURE_URL", stranger + path)
    with pytest.raises(NoConnectionError, match="something else answers there"):
        connect()


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch, local: LocalAzure) -> None:
    """Both releases are named, and what to do."""
    monkeypatch.setattr(connection, "__version__", "2027.2")
    with pytest.raises(VersionMismatchError, match=r"labkit 2026\.1.*labkit 2027\.2.*make lab"):
        connect()


def test_attaching_without_its_identity_is_refused(monkeypatch: pytest.MonkeyPatch, local: LocalAzure) -> None:
    """With the URL alone nobody could sign in; the missing variables are named."""
    monkeypatch.delenv("IDENTITY_HEADER")
    with pytest.raises(NoConnectionError, match="IDENTITY_HEADER is not set"):
        connect()


def test_attaching_with_somebody_elses_identity_is_refused(monkeypatch: pytest.MonkeyPatch, local: LocalAzure) -> None:
    """On a machine in Azure the variable names the real managed identity, whose tokens must not go elsewhere."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://169.254.129.3:8081/msi/token")
    with pytest.raises(NoConnectionError, match="IDENTITY_ENDPOINT belongs to another service"):
        connect()


def test_real_azure_is_where_the_settings_say(real: None) -> None:
    """The account is read off the endpoint; nothing is asked over the network."""
    azure = connect()
    assert azure == Connection(
        endpoint="https://contoso.openai.azure.com/",
        management_url="https://management.azure.com",
        subscription_id=REAL["AZURE_SUBSCRIPTION_ID"],
        resource_group="rg-contoso",
        account="contoso",
        is_local=False,
    )
    assert azure.console_url == f"https://portal.azure.com/#resource{azure.account_id}"


def test_real_azure_gets_no_variable_of_ours(real: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user set for signing in stays as it is."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    before = dict(os.environ)
    connect()
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("endpoint", "given", "account"),
    [
        pytest.param("https://a.cognitiveservices.azure.com/", {}, "a", id="cognitive-services"),
        pytest.param("https://b.services.ai.azure.com", {}, "b", id="foundry"),
        pytest.param("https://c.openai.azure.com", {"AZURE_OPENAI_ACCOUNT": "d"}, "d", id="said"),
        pytest.param(
            "https://swedencentral.api.cognitive.microsoft.com", {"AZURE_OPENAI_ACCOUNT": "e"}, "e", id="regional"
        ),
    ],
)
def test_the_account_comes_from_the_setting_or_the_endpoint(
    real: None, monkeypatch: pytest.MonkeyPatch, endpoint: str, given: dict[str, str], account: str
) -> None:
    """AZURE_OPENAI_ACCOUNT wins; else the endpoint's first name is the account's."""
    for name, value in {"AZURE_OPENAI_ENDPOINT": endpoint, **given}.items():
        monkeypatch.setenv(name, value)
    assert connect().account == account


@pytest.mark.parametrize(
    ("endpoint", "unset", "said"),
    [
        pytest.param(
            "https://contoso.openai.azure.com",
            ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP"),
            "AZURE_SUBSCRIPTION_ID and AZURE_RESOURCE_GROUP are not set.*Overview.*unset AZURE_OPENAI_ENDPOINT",
            id="two-missing",
        ),
        pytest.param(
            "https://swedencentral.api.cognitive.microsoft.com",
            (),
            "AZURE_OPENAI_ACCOUNT is not set",
            id="regional-endpoint",
        ),
        pytest.param("http://contoso.openai.azure.com", (), "no address such as https://NAME", id="not-https"),
        pytest.param("contoso", (), "no address such as https://NAME", id="not-an-address"),
    ],
)
def test_a_missing_setting_of_real_azure_is_named(
    real: None, monkeypatch: pytest.MonkeyPatch, endpoint: str, unset: tuple[str, ...], said: str
) -> None:
    """All missing variables are named at once, with where to find them."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", endpoint)
    for name in unset:
        monkeypatch.delenv(name)
    with pytest.raises(NoConnectionError, match=said):
        connect()


def test_the_repr_says_in_one_line_where_you_are_and_what_it_costs(real: None, local: LocalAzure) -> None:
    """The local one names no port, so that stored outputs do not change; a class server is named."""
    where = "(account aoai-session13 in rg-session13)"
    assert repr(current()) == f"Local Azure {where}: runs on this machine, costs nothing"
    away = dataclasses.replace(current(), endpoint="http://azure.school.example:8080/")
    assert repr(away) == f"Local Azure {where}: runs on the class server azure.school.example, costs nothing"
    os.environ.pop("LABKIT_AZURE_URL")
    assert repr(connect()) == "Real Azure (account contoso in rg-contoso): calls cost money"


def test_a_connection_cannot_be_changed_and_holds_no_secret(local: LocalAzure) -> None:
    """It is frozen, and no key, token or header of the local Azure is anywhere in it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        current().account = "other"  # type: ignore[misc]
    held = repr(vars(current()))
    environment = local.environment()
    secrets = (local.admin_secret, local.lab_key, environment["IDENTITY_HEADER"])
    assert not any(secret in held for secret in secrets)


def test_it_starts_one_and_uses_it_again() -> None:
    """Without settings a local Azure is started; the second call finds it, and sets the environment again."""
    first = connect()
    url = first.management_url
    assert first.is_local
    assert os.environ["LABKIT_AZURE_URL"] == url
    del os.environ["LABKIT_AZURE_URL"], os.environ["IDENTITY_HEADER"]
    assert connect() == first
    assert os.environ["LABKIT_AZURE_URL"] == url
    assert connect(seed=13) == first
    assert lab.journal() == []


def test_disconnecting_ends_it_and_gives_the_environment_back() -> None:
    """Afterwards nothing answers, and no variable of ours is left."""
    before = dict(os.environ)
    url = connect().management_url
    disconnect()
    assert dict(os.environ) == before
    with pytest.raises(NoConnectionError):
        current()
    os.environ["LABKIT_AZURE_URL"] = url
    with pytest.raises(NoConnectionError, match="refused"):
        connect()
    del os.environ["LABKIT_AZURE_URL"]


def test_another_seed_starts_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed is the server's, so another one takes another server; the old one is gone."""
    monkeypatch.setenv("LABKIT_SEED", "7")
    first = connect()
    assert connect(seed=7) == first
    second = connect(seed=8)
    assert second != first
    assert connect() == second


def test_one_that_has_died_is_started_again() -> None:
    """A local Azure that crashed does not end the notebook: connect() again, and there is a fresh one."""
    first = connect()
    child = vars(connection)["_child"]
    child._process.kill()
    child._process.wait()
    with pytest.raises(NoConnectionError, match=r"run labkit\.connect\(\) again"):
        lab.journal()
    assert connect() != first
    assert lab.journal() == []


def test_real_azure_after_a_local_one_takes_our_variables_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The managed identity of the local Azure must not be asked for a token of the real one."""
    connect()
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)
    assert not connect().is_local
    assert "IDENTITY_ENDPOINT" not in os.environ
    assert "AZURE_TOKEN_CREDENTIALS" not in os.environ


@pytest.mark.parametrize(("name", "kind"), [("LABKIT_SEED", "a whole number"), ("LABKIT_LATENCY_SCALE", "a number")])
def test_a_setting_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    """The message has the variable, its value and what it takes."""
    monkeypatch.setenv(name, "thirteen")
    with pytest.raises(InvalidRequestError, match=rf"{name} is 'thirteen': give {kind}, or unset it"):
        connect()


def test_a_killed_process_takes_its_local_azure_along() -> None:
    """However a notebook's kernel ends, no server stays behind."""
    code = "import labkit; print(labkit.connect().management_url, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdout is not None
        url = notebook.stdout.readline().strip()
        notebook.kill()
    deadline_s = time.monotonic() + 10
    while _answers(url):
        assert time.monotonic() < deadline_s, "the local Azure outlived its notebook"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        connection._about(url)
    except NoConnectionError:
        return False
    return True
