"""A server that is killed again and again while the real SDKs write to it: what it acknowledged is there afterwards."""

import json
import os
import random
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential
from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter
from openai import AzureOpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from labkit.localazure.resources import ACCOUNT, LOCATION, RESOURCE_GROUP, SUBSCRIPTION_ID

from ..asking import VERSION
from ..conftest import MANAGEMENT_SCOPE, HttpBearerPolicy, deployment

pytestmark = pytest.mark.slow

# So that the exporter talks to nobody but the server.
QUIET = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
}
ROUNDS = 6
MOST_WRITES = 8


@contextmanager
def server(state: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server on ``state`` and the line it printed; killed at the end, if it is not yet."""
    options = ["--state", str(state), "--port", str(port), "--latency-scale", "0"]
    command = [sys.executable, "-m", "labkit.localazure", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@dataclass
class Known:
    """What was acknowledged so far; ``open`` has the names of writes that were cut off, which may be there or not."""

    deployments: set[str] = field(default_factory=set)
    spans: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    key: str = ""


class Writer:
    """Writes with the real SDKs, signed in as the environment says."""

    def __init__(self, url: str) -> None:
        self._credential = DefaultAzureCredential()
        options: Any = {
            "base_url": url,
            "authentication_policy": HttpBearerPolicy(self._credential, MANAGEMENT_SCOPE),
            "retry_total": 0,
        }
        self._accounts = CognitiveServicesManagementClient(self._credential, SUBSCRIPTION_ID, **options)
        self._insights = ApplicationInsightsManagementClient(self._credential, SUBSCRIPTION_ID, **options)
        body: Any = {"location": LOCATION, "kind": "web"}
        component = self._insights.components.create_or_update(RESOURCE_GROUP, "appi", body)
        self._provider = TracerProvider()
        self._exporter = AzureMonitorTraceExporter(
            connection_string=component.connection_string,
            disable_offline_storage=True,
            tracer_provider=self._provider,
        )

    def close(self) -> None:
        """Close the clients."""
        self._exporter.shutdown()
        for client in (self._accounts, self._insights, self._credential):
            client.close()

    def create(self, name: str) -> None:
        """Make a deployment."""
        body: Any = deployment(capacity=1)
        self._accounts.deployments.begin_create_or_update(RESOURCE_GROUP, ACCOUNT, name, body, polling=False)

    def write(self, known: Known, name: str, dice: random.Random) -> None:
        """One write of a kind that the dice choose; ``known`` has it when it was acknowledged."""
        kind = dice.choice(("create", "create", "delete", "key", "span", "span"))
        if kind == "create":
            self.create(name)
            known.deployments.add(name)
        elif kind == "delete" and known.deployments:
            gone = dice.choice(sorted(known.deployments))
            self._accounts.deployments.begin_delete(RESOURCE_GROUP, ACCOUNT, gone, polling=False)
            known.deployments.remove(gone)
        elif kind == "key":
            known.key = self._accounts.accounts.regenerate_key(RESOURCE_GROUP, ACCOUNT, "Key1").key1 or ""
        else:
            span = self._provider.get_tracer("test").start_span(name)
            span.end()
            assert self._exporter.export([span]) is SpanExportResult.SUCCESS
            known.spans.add(name)

    def check(self, known: Known, environment: dict[str, str]) -> None:
        """Everything acknowledged is there, and nothing that was not written; the account's key still opens it."""
        found = {each.name for each in self._accounts.deployments.list(RESOURCE_GROUP, ACCOUNT)}
        assert known.deployments <= found <= known.deployments | known.open
        known.open -= found - known.deployments
        known.deployments |= found
        url, key = environment["LABKIT_AZURE_URL"], environment["LABKIT_LAB_KEY"]
        asked = urllib.request.Request(f"{url}/labkit/telemetry/requests", headers={"x-labkit-key": key})
        with urllib.request.urlopen(asked, timeout=10) as reply:
            names = [row["name"] for row in json.load(reply)["rows"]]
        asked = urllib.request.Request(f"{url}/labkit/telemetry/dependencies", headers={"x-labkit-key": key})
        with urllib.request.urlopen(asked, timeout=10) as reply:
            names += [row["name"] for row in json.load(reply)["rows"]]
        assert sorted(names) == sorted(known.spans)
        if known.key:
            with AzureOpenAI(azure_endpoint=url, api_key=known.key, api_version=VERSION, max_retries=0) as client:
                assert client.models.list().data


def cut_off(writer: Writer, name: str, process: subprocess.Popen[str]) -> None:
    """Kill the server while a write is on its way: before it arrives, in the middle, or after it is done."""

    def attempt() -> None:
        with suppress(AzureError):
            writer.create(name)

    thread = threading.Thread(target=attempt)
    thread.start()
    process.kill()
    thread.join(30)
    assert not thread.is_alive()


def test_nothing_acknowledged_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round after round: a few writes, then SIGKILL right after an answer or in the middle of a write."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dice, known = random.Random(13), Known()
    environment: dict[str, str] = {}
    for number in range(ROUNDS):
        with server(tmp_path / "lab.state", port) as (process, ready):
            assert environment in ({}, ready["environment"])
            environment = ready["environment"]
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            writer = Writer(ready["url"])
            try:
                writer.check(known, environment)
                for write in range(dice.randint(2, MOST_WRITES)):
                    writer.write(known, f"r{number}-{write}", dice)
                if number % 2:
                    known.open.add(f"open-{number}")
                    cut_off(writer, f"open-{number}", process)
                else:
                    os.kill(process.pid, 9)
                process.wait(10)
            finally:
                writer.close()
    with server(tmp_path / "lab.state", port):
        writer = Writer(environment["LABKIT_AZURE_URL"])
        writer.check(known, environment)
        writer.close()
    assert known.deployments
    assert known.spans
    assert known.key
