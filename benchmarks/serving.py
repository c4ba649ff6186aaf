"""Servers for the benchmarks, each in a process of its own, so that its CPU time and memory are its own.

python benchmarks/serving.py bare|azure     (run by the benchmarks, not by hand)
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from labkit.catalog import model
from labkit.localazure import LocalAzure
from labkit.localazure.resources import Deployment

CAPACITY_KTPM = 10_000_000
CHAT_MODEL, EMBEDDING_MODEL = "gpt-35-turbo", "text-embedding-3-small"
FIXED_BODY = b"x" * 700
FIXED_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"700")]
AIMOCK = Path(".bench/node_modules/@copilotkit/aimock/dist/cli.js")
AIMOCK_MISSING = "aimock is not installed: npm install --prefix .bench @copilotkit/aimock@1.43.0"


class Server:
    """A server that runs; ``facts`` is what it told when it was ready: ``url``, and ``key`` and ``token`` if any."""

    def __init__(self, process: "subprocess.Popen[str]", facts: dict[str, Any]) -> None:
        self._process = process
        self._measured = psutil.Process(process.pid)
        self.facts = facts

    def cpu_s(self) -> float:
        """The CPU time of the server's process so far."""
        spent = self._measured.cpu_times()
        return float(spent.user + spent.system)

    def memory_mib(self) -> float:
        """How much memory the server's process holds now."""
        return float(self._measured.memory_info().rss) / 2**20

    def stop(self) -> None:
        """End it and wait."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        else:
            self._process.terminate()
        self._process.wait(20)


@contextmanager
def running(kind: str, *options: str) -> Iterator[Server]:
    """One of our servers: ``bare`` (the floor, on plain uvicorn) or ``azure``."""
    command = [sys.executable, __file__, kind, *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    server = Server(process, json.loads(process.stdout.readline()))
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def aimock(answer: str) -> Iterator[Server | None]:
    """The peer aimock, which answers every prompt with ``answer``; None when it is not installed."""
    node = shutil.which("node")
    if node is None or not AIMOCK.exists():
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        fixture = Path(folder) / "fixtures.json"
        fixture.write_text(json.dumps({"fixtures": [{"match": {}, "response": {"content": answer}}]}))
        port = _free_port()
        command = [node, str(AIMOCK), "-p", str(port), "-f", str(fixture), "--log-level", "silent"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True)
        server = Server(process, {"url": f"http://127.0.0.1:{port}", "key": "none"})
        try:
            _wait_until_listening(port)
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_listening(port: int, patience_s: float = 15.0) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


# -- what runs in the servers' processes ---------------------------------------------------------------------------


def deployed(local: LocalAzure, names: Sequence[str] = (CHAT_MODEL, EMBEDDING_MODEL)) -> dict[str, str]:
    """Deployments of more capacity than any benchmark uses; returns what opens them."""
    resources = local.azure.resources
    account = resources.account()
    assert account is not None
    for name in names:
        id = f"{account.id}/deployments/{name}"
        resources.set_deployment(Deployment(id, name, account.id, model(name), "Standard", CAPACITY_KTPM, 0.0))
    token = local.azure.identity.issue("https://cognitiveservices.azure.com")["access_token"]
    return {"key": account.keys[0], "token": token, "admin": local.admin_secret}


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The floor: reads the body and answers always the same."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": FIXED_HEADERS})
    await send({"type": "http.response.body", "body": FIXED_BODY})


def _serve_bare() -> dict[str, str]:
    import uvicorn

    port = _free_port()
    quiet = {"log_config": None, "access_log": False, "server_header": False, "proxy_headers": False}
    config = uvicorn.Config(bare, port=port, lifespan="off", ws="none", timeout_keep_alive=75, **quiet)
    threading.Thread(target=uvicorn.Server(config).run, daemon=True).start()
    _wait_until_listening(port)
    return {"url": f"http://127.0.0.1:{port}"}


def _serve_azure(latency_scale: float) -> dict[str, str]:
    local = LocalAzure(latency_scale=latency_scale).start()
    return {"url": local.url, **deployed(local)}


def main(kind: str, latency_scale: str = "0") -> None:
    """Serve until stdin closes."""
    facts = _serve_azure(float(latency_scale)) if kind == "azure" else _serve_bare()
    print(json.dumps(facts), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
