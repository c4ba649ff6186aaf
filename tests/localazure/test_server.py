"""The server: starts, stops, stays on loopback, survives rude clients, and runs as a command."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from labkit.localazure import LocalAzure, PortBusyError
from labkit.localazure.faults import Fault

from .conftest import ACCOUNT_ID, deployment


def port_of(azure: LocalAzure) -> int:
    """The port it listens on."""
    return int(azure.url.rpartition(":")[2])


@contextmanager
def connection(azure: LocalAzure) -> Iterator[http.client.HTTPConnection]:
    """A plain connection to it."""
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(azure), timeout=10)) as opened:
        yield opened


def get(azure: LocalAzure, path: str = "/labkit") -> Any:
    """The JSON at ``path``."""
    with connection(azure) as opened:
        opened.request("GET", path)
        return json.loads(opened.getresponse().read())


def test_server_is_ready_when_start_returns() -> None:
    """The first request is answered; after stop nobody is there; it can be started again."""
    azure = LocalAzure()
    with pytest.raises(RuntimeError, match="not running"):
        _ = azure.url
    assert azure.start() is azure
    assert azure.start() is azure
    assert get(azure)["service"] == "labkit local Azure"
    port = port_of(azure)
    azure.stop()
    azure.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    with azure:
        assert get(azure)["account"] == "aoai-session13"


def test_port_is_free_after_stop() -> None:
    """The same port can be taken again at once."""
    with LocalAzure() as first:
        port = port_of(first)
        get(first)
    with LocalAzure(port=port) as second:
        assert port_of(second) == port


def test_busy_port_is_said_clearly(azure: LocalAzure) -> None:
    """With the port, and what to do."""
    with pytest.raises(PortBusyError, match=rf"Port {port_of(azure)} on 127.0.0.1 is taken .* 0 for a free one"):
        LocalAzure(port=port_of(azure)).start()


def test_impossible_port_is_said_clearly() -> None:
    """Ports end at 65535."""
    with pytest.raises(PortBusyError, match="no port 70000"):
        LocalAzure(port=70_000).start()


def test_many_run_side_by_side() -> None:
    """Each with its own state, port and secrets."""
    with LocalAzure() as one, LocalAzure() as two:
        assert one.url != two.url
        assert one.admin_secret != two.admin_secret
        two.azure.faults.add(Fault())
        assert one.azure.faults.waiting() == []


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="reads /proc")
def test_nothing_listens_beyond_loopback(azure: LocalAzure) -> None:
    """The kernel's own table shows one listener, on 127.0.0.1."""
    addresses = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table, encoding="ascii") as lines:
            rows = [line.split() for line in list(lines)[1:]]
        addresses += [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port_of(azure):04X}")]
    assert addresses == [f"0100007F:{port_of(azure):04X}"]


def test_secrets_are_not_in_the_repr_nor_in_a_clients_environment(azure: LocalAzure) -> None:
    """What a notebook prints is harmless, and the admin secret stays with the starter."""
    secrets = (azure.admin_secret, azure.lab_key, azure.azure.identity.header_secret)
    assert not any(secret in repr(azure) for secret in secrets)
    assert repr(azure) == f"<LocalAzure {azure.url}>"
    environment = azure.environment()
    assert azure.admin_secret not in environment.values()
    assert set(environment) == {
        "LABKIT_AZURE_URL",
        "LABKIT_LAB_KEY",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "AZURE_TOKEN_CREDENTIALS",
    }


def test_nothing_is_logged_about_requests(azure: LocalAzure, capfd: pytest.CaptureFixture[str]) -> None:
    """Not even about broken ones: a student's terminal stays quiet."""
    get(azure)
    with socket.create_connection(("127.0.0.1", port_of(azure)), timeout=5) as raw:
        raw.sendall(b"this is not http\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert capfd.readouterr() == ("", "")


# -- rude clients -----------------------------------------------------------------------------------------------


def key_of(azure: LocalAzure) -> str:
    """A key of the course's account."""
    account = azure.azure.resources.account()
    assert account is not None
    return account.keys[0]


def deploy(azure: LocalAzure) -> None:
    """A deployment named big."""
    token = azure.azure.identity.issue("https://management.azure.com")["access_token"]
    with connection(azure) as opened:
        opened.request(
            "PUT",
            f"{ACCOUNT_ID}/deployments/big?api-version=2025-09-01",
            json.dumps(deployment(capacity=100)),
            {"Authorization": f"Bearer {token}"},
        )
        assert opened.getresponse().status == 201


CHAT = "/openai/deployments/big/chat/completions?api-version=2024-10-21"


def chat(azure: LocalAzure, opened: http.client.HTTPConnection, **more: Any) -> http.client.HTTPResponse:
    """Send one chat request."""
    body = {"messages": [{"role": "user", "content": "What is a token?"}], **more}
    opened.request("POST", CHAT, json.dumps(body), {"api-key": key_of(azure)})
    return opened.getresponse()


def test_oversize_body_is_refused_before_it_is_read(azure: LocalAzure) -> None:
    """The answer comes while the client still holds most of the body; the connection stays usable."""
    deploy(azure)
    with socket.create_connection(("127.0.0.1", port_of(azure)), timeout=5) as raw:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\napi-key: {key_of(azure)}\r\nContent-Length: 99999999\r\n\r\n"
        raw.sendall(head.encode() + b"{")
        assert raw.recv(1000).startswith(b"HTTP/1.1 413")
    with connection(azure) as opened:
        opened.request("POST", CHAT, b" " * (17 * 2**20), {"api-key": key_of(azure)})
        answer = opened.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "RequestContentTooLarge")


def test_drop_fault_closes_the_connection_without_an_answer(azure: LocalAzure) -> None:
    """The client sees a connection error; the next call works."""
    deploy(azure)
    azure.azure.faults.add(Fault(deployment="big", kind="drop"))
    with connection(azure) as opened, pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        chat(azure, opened)
    with connection(azure) as opened:
        assert chat(azure, opened).status == 200


def test_server_survives_clients_that_hang_up(azure: LocalAzure) -> None:
    """In the middle of a stream, of a request's body, and right after connecting."""
    deploy(azure)
    for _ in range(5):
        with connection(azure) as opened:
            answer = chat(azure, opened, stream=True)
            assert answer.read(10)
        with socket.create_connection(("127.0.0.1", port_of(azure)), timeout=5) as raw:
            raw.sendall(b"POST /v2.1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[{")
        socket.create_connection(("127.0.0.1", port_of(azure)), timeout=5).close()
    with connection(azure) as opened:
        assert chat(azure, opened).status == 200


def test_connection_is_kept_open_between_requests(azure: LocalAzure) -> None:
    """Clients with a pool connect once."""
    with connection(azure) as opened:
        for _ in range(3):
            opened.request("GET", "/labkit")
            assert opened.getresponse().read()
        assert opened.sock is not None


def test_stop_does_not_wait_for_slow_clients() -> None:
    """An idle connection and an unfinished request do not hold it up."""
    azure = LocalAzure().start()
    idle = socket.create_connection(("127.0.0.1", port_of(azure)), timeout=5)
    half = socket.create_connection(("127.0.0.1", port_of(azure)), timeout=5)
    half.sendall(b"POST /v2.1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[{")
    get(azure)
    started = time.monotonic()
    azure.stop()
    assert time.monotonic() - started < 5
    assert not any(thread.name == "labkit-local-azure" for thread in threading.enumerate())
    idle.close()
    half.close()


# -- the command ------------------------------------------------------------------------------------------------


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """``python -m labkit.localazure`` and the line it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "labkit.localazure", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_prints_one_line_and_ends_at_a_signal(number: signal.Signals) -> None:
    """The line has the address, a client's environment and the admin secret; it serves; it ends in order."""
    with command() as (process, ready):
        assert ready.keys() == {"url", "environment", "admin_secret"}
        assert ready["environment"]["LABKIT_AZURE_URL"] == ready["url"]
        with closing(http.client.HTTPConnection("127.0.0.1", int(ready["url"].rpartition(":")[2]))) as opened:
            opened.request("GET", "/labkit")
            assert json.loads(opened.getresponse().read())["latency_scale"] == 0.02
        process.send_signal(number)
        rest, errors = process.communicate(timeout=10)
        assert (process.returncode, rest, errors) == (0, "", "")


@pytest.mark.slow
def test_command_ends_with_the_process_that_started_it() -> None:
    """With --until-stdin-closes it does not outlive its starter, however that ended."""
    with command("--until-stdin-closes", "--latency-scale", "0", "--seed", "7") as (process, ready):
        assert process.stdin is not None
        assert ready["url"].startswith("http://127.0.0.1:")
        process.stdin.close()
        assert process.wait(timeout=10) == 0


@pytest.mark.slow
def test_command_without_the_flag_outlives_its_stdin() -> None:
    """A class server is started in the background, with nothing at its stdin."""
    with command() as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)


@pytest.mark.slow
def test_command_says_that_its_port_is_busy(azure: LocalAzure) -> None:
    """Status 2 and one line."""
    done = subprocess.run(
        [sys.executable, "-m", "labkit.localazure", "--port", str(port_of(azure))],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is taken by another program" in done.stderr
