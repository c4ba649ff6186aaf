"""Ingestion: what exporters send ends up in tables with Application Insights' columns."""

import gzip
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.database import Database
from labkit.localazure.telemetry.columns import TABLES
from labkit.localazure.telemetry.envelopes import duration_ms
from labkit.localazure.telemetry.store import Telemetry
from tests.localazure.conftest import Answer, Caller

Arm = Callable[..., Answer]


@pytest.fixture
def key(arm: Arm) -> str:
    """The instrumentation key of a component."""
    made = arm("PUT", "Microsoft.Insights/components/appi", {"location": "swedencentral", "kind": "web"})
    instrumentation_key: str = made.json["properties"]["InstrumentationKey"]
    return instrumentation_key


def envelope(key: str, kind: str, **data: Any) -> dict[str, Any]:
    """An item as exporters send it."""
    return {
        "ver": 1,
        "name": "Microsoft.ApplicationInsights." + kind,
        "time": "2026-11-22T12:00:00.000000Z",
        "sampleRate": 100.0,
        "iKey": key,
        "tags": {"ai.operation.id": "op", "ai.operation.parentId": "parent", "ai.cloud.role": "lab"},
        "data": {"baseType": kind, "baseData": {"ver": 2, **data}},
    }


def dependency(key: str, **changes: Any) -> dict[str, Any]:
    """A call to a model as an item."""
    data = {
        "id": "span",
        "name": "chat gpt-4-turbo",
        "duration": "0.00:00:01.250",
        "success": True,
        "resultCode": "200",
        "target": "127.0.0.1",
        "type": "GenAI",
        "properties": {"gen_ai.request.model": "gpt-4-turbo"},
    }
    return envelope(key, "RemoteDependencyData", **{**data, **changes})


def test_dependency_becomes_a_row(call: Caller, key: str) -> None:
    """Milliseconds, booleans and correlation ids, as Application Insights shows them."""
    answer = call("POST", "/v2.1/track", [dependency(key)])
    assert (answer.status, answer.json) == (200, {"itemsReceived": 1, "itemsAccepted": 1, "errors": []})
    (row,) = call.azure.telemetry.rows("dependencies")
    assert row["duration"] == 1250.0
    assert (row["success"], row["resultCode"], row["name"], row["type"]) == (True, "200", "chat gpt-4-turbo", "GenAI")
    assert (row["operation_Id"], row["operation_ParentId"], row["cloud_RoleName"]) == ("op", "parent", "lab")
    assert row["customDimensions"] == {"gen_ai.request.model": "gpt-4-turbo"}
    assert (row["timestamp"], row["appName"], row["itemCount"]) == ("2026-11-22T12:00:00.000000Z", "appi", 1)


def test_every_kind_of_item_has_its_table(call: Caller, key: str) -> None:
    """Requests, traces, exceptions, events and metrics beside dependencies."""
    exceptions = [{"typeName": "ValueError", "message": "no"}, {"typeName": "KeyError", "message": "inner"}]
    counter = {"name": "\\Process(python)\\Private Bytes", "value": 1.0}
    point = {"name": "gen_ai.client.token.usage", "value": 30.0, "count": 2, "min": 10.0, "max": 20.0}
    items = [
        envelope(key, "RequestData", id="r", name="GET /", duration="00:00:00.5", success=False, responseCode="500"),
        envelope(key, "MessageData", message="hello", severityLevel="Warning"),
        envelope(key, "ExceptionData", exceptions=exceptions, severityLevel=3),
        envelope(key, "EventData", name="clicked", measurements={"times": 2}),
        envelope(
            key,
            "MetricData",
            metrics=[point, counter, {"name": "_OTELRESOURCE_"}],
            properties={"gen_ai.token.type": "input"},
        ),
    ]
    assert call("POST", "/v2/track", items).json["itemsAccepted"] == 5
    tables = {table: call.azure.telemetry.rows(table) for table in TABLES}
    assert {table: len(rows) for table, rows in tables.items()} == {**dict.fromkeys(TABLES, 1), "dependencies": 0}
    assert (tables["requests"][0]["resultCode"], tables["requests"][0]["success"]) == ("500", False)
    assert (tables["traces"][0]["message"], tables["traces"][0]["severityLevel"]) == ("hello", 2)
    failure = tables["exceptions"][0]
    assert (failure["type"], failure["outerMessage"], failure["innermostType"]) == ("ValueError", "no", "KeyError")
    assert tables["customEvents"][0]["customMeasurements"] == {"times": 2.0}
    metric = tables["customMetrics"][0]
    assert (metric["name"], metric["valueSum"], metric["valueCount"]) == ("gen_ai.client.token.usage", 30.0, 2)
    assert (metric["valueMin"], metric["valueMax"]) == (10.0, 20.0)
    assert metric["customDimensions"] == {"gen_ai.token.type": "input"}
    row = tables["performanceCounters"][0]
    assert (row["name"], row["category"], row["counter"], row["instance"], row["value"]) == (
        "\\Process(python)\\Private Bytes",
        "Process",
        "Private Bytes",
        "python",
        1.0,
    )


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(lambda items: json.dumps(items).encode(), {}, id="array"),
        pytest.param(
            lambda items: "\n".join(map(json.dumps, items)).encode() + b"\n",
            {"Content-Type": "application/x-json-stream"},
            id="lines",
        ),
        pytest.param(
            lambda items: gzip.compress(json.dumps(items).encode()), {"Content-Encoding": "gzip"}, id="zipped array"
        ),
        pytest.param(
            lambda items: gzip.compress("\r\n".join(map(json.dumps, items)).encode()),
            {"Content-Encoding": "gzip"},
            id="zipped lines",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/v2.1/track", "//v2.1/track", "/v2/track"])
def test_body_comes_in_several_forms(
    call: Caller, key: str, body: Callable[[list[Any]], bytes], headers: dict[str, str], path: str
) -> None:
    """Exporters differ, and a connection string's trailing slash doubles the path's."""
    sent = body([dependency(key), dependency(key)])
    assert call("POST", path, body=sent, headers=headers).json["itemsAccepted"] == 2


def test_items_with_an_unknown_key_are_refused(call: Caller, key: str) -> None:
    """All of them: 400. Some of them: 206, and each is named."""
    stranger = dependency("00000000-0000-0000-0000-000000000000")
    refused = call("POST", "/v2.1/track", [stranger])
    problem = {"index": 0, "statusCode": 400, "message": "Invalid instrumentation key"}
    assert (refused.status, refused.json) == (400, {"itemsReceived": 1, "itemsAccepted": 0, "errors": [problem]})
    partly = call("POST", "/v2.1/track", [dependency(key.upper()), stranger])
    assert (partly.status, partly.json["itemsAccepted"], partly.json["errors"][0]["index"]) == (206, 1, 1)


def test_key_of_a_deleted_component_is_no_longer_good(call: Caller, arm: Arm, key: str) -> None:
    """What was sent before stays."""
    call("POST", "/v2.1/track", [dependency(key)])
    arm("DELETE", "Microsoft.Insights/components/appi")
    assert call("POST", "/v2.1/track", [dependency(key)]).status == 400
    assert call.azure.telemetry.count("dependencies") == 1


@pytest.mark.parametrize(
    "item",
    [
        pytest.param("text", id="no object"),
        pytest.param({}, id="empty"),
        pytest.param({"iKey": 7}, id="key no text"),
        pytest.param({"iKey": "KEY"}, id="no data"),
        pytest.param({"iKey": "KEY", "data": {"baseType": "MessageData"}}, id="no base data"),
        pytest.param({"iKey": "KEY", "data": {"baseType": "GameData", "baseData": {}}}, id="unknown kind"),
    ],
)
def test_items_that_make_no_sense_are_refused_one_by_one(call: Caller, key: str, item: Any) -> None:
    """A bad item does not take the others with it."""
    if isinstance(item, dict) and item.get("iKey") == "KEY":
        item = {**item, "iKey": key}
    answer = call("POST", "/v2.1/track", [item, dependency(key)])
    assert (answer.status, answer.json["itemsAccepted"], answer.json["errors"][0]["index"]) == (206, 1, 0)


@pytest.mark.parametrize("kind", ["RequestData", "RemoteDependencyData", "MessageData", "ExceptionData", "MetricData"])
def test_fields_of_the_wrong_kind_do_no_harm(call: Caller, key: str, kind: str) -> None:
    """Whatever stands in a field, a row comes of it or nothing, never a failure."""
    names = ("id", "name", "duration", "success", "properties", "measurements", "exceptions", "metrics", "message")
    for value in (None, 7, "x", [1], {"a": [1]}):
        item = envelope(key, kind, **dict.fromkeys(names, value))
        assert call("POST", "/v2.1/track", [{**item, "tags": value, "sampleRate": value}]).status == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"[", {}, 400, id="broken JSON"),
        pytest.param(b"\x00", {"Content-Encoding": "gzip"}, 400, id="gzip that is none"),
        pytest.param(gzip.compress(b" " * 17 * 2**20), {"Content-Encoding": "gzip"}, 413, id="zip bomb"),
        pytest.param(b" " * 17 * 2**20, {}, 413, id="too large"),
        pytest.param(gzip.compress(b"[]" * 1_000)[:-9], {"Content-Encoding": "gzip"}, 400, id="gzip that is cut off"),
        pytest.param(b"[" + b"1," * 20_000 + b"1]", {}, 413, id="too many items"),
        pytest.param(b"1\n" * 20_000, {}, 413, id="too many lines"),
        pytest.param(b"[" * 5_000, {}, 400, id="nested too deeply"),
    ],
)
def test_bad_bodies_are_refused_in_the_ingestions_shape(
    call: Caller, body: bytes, headers: dict[str, str], status: int
) -> None:
    """An exporter can read what was wrong."""
    answer = call("POST", "/v2.1/track", body=body, headers=headers)
    assert (answer.status, answer.json["itemsAccepted"]) == (status, 0)
    assert answer.json["errors"][0]["statusCode"] == status


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/v2/everything", 404), ("GET", "/v2.1/track", 405)])
def test_other_requests_are_refused_in_the_ingestions_shape(call: Caller, method: str, path: str, status: int) -> None:
    """There is one thing to do here, and one way to do it."""
    answer = call(method, path)
    assert (answer.status, answer.json["errors"][0]["statusCode"]) == (status, status)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        pytest.param("2026-11-22T12:00:00.1234567Z", "2026-11-22T12:00:00.123456Z", id="seven digits"),
        pytest.param("2026-11-22T13:00:00+01:00", "2026-11-22T12:00:00.000000Z", id="another zone"),
        pytest.param("2026-11-22T12:00:00", "2026-11-22T12:00:00.000000Z", id="no zone"),
        pytest.param("yesterday", None, id="no time"),
        pytest.param("9999-12-31T23:59:59-14:00", None, id="beyond all time"),
        pytest.param(1_795_608_000, None, id="a number"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_times_are_utc_and_bad_ones_are_refused(call: Caller, key: str, time: object, expected: str | None) -> None:
    """Item by item: the others are stored."""
    answer = call("POST", "/v2.1/track", [{**dependency(key), "time": time}, envelope(key, "EventData", name="x")])
    assert call.azure.telemetry.count("customEvents") == 1
    assert [row["timestamp"] for row in call.azure.telemetry.rows("dependencies")] == ([expected] if expected else [])
    if not expected:
        assert (answer.status, answer.json["errors"][0]["statusCode"]) == (206, 400)
        assert "Field 'time' on type 'Envelope'" in answer.json["errors"][0]["message"]


def test_one_item_cannot_hold_thousands_of_points(call: Caller, key: str) -> None:
    """What is over the bound is left out."""
    points = [{"name": "m", "value": 1.0}] * 5_000
    assert call("POST", "/v2.1/track", [envelope(key, "MetricData", metrics=points)]).status == 200
    assert call.azure.telemetry.count("customMetrics") == 100


def test_empty_batch_is_accepted(call: Caller) -> None:
    """An exporter with nothing to send gets a JSON body all the same."""
    assert call("POST", "/v2.1/track", []).json == {"itemsReceived": 0, "itemsAccepted": 0, "errors": []}


def test_long_texts_are_cut_as_the_service_cuts_them(call: Caller, key: str) -> None:
    """So a single item cannot fill the memory."""
    call(
        "POST", "/v2.1/track", [envelope(key, "MessageData", message="x" * 100_000, properties={"k" * 999: "v" * 9999})]
    )
    (row,) = call.azure.telemetry.rows("traces")
    assert len(row["message"]) == 32_768
    assert {len(name): len(value) for name, value in row["customDimensions"].items()} == {150: 8_192}


def test_tables_are_bounded_and_can_be_read_on(clock: ManualClock, key: str) -> None:
    """A table keeps its last rows; ``after`` counts all there ever were."""
    telemetry = Telemetry(clock, Database(), capacity=3)
    telemetry.allow(key, "app", "appi")
    for number in range(5):
        telemetry.add(envelope(key, "EventData", name=str(number)))
    assert [row["name"] for row in telemetry.rows("customEvents")] == ["2", "3", "4"]
    assert [row["name"] for row in telemetry.rows("customEvents", after=4)] == ["4"]
    assert telemetry.rows("customEvents", after=telemetry.count("customEvents")) == []
    assert len({row["itemId"] for row in telemetry.rows("customEvents")}) == 3


def test_tables_are_bounded_in_bytes_too(clock: ManualClock, key: str) -> None:
    """Few large rows must not fill the memory either."""
    telemetry = Telemetry(clock, Database(), capacity_bytes=50_000)
    telemetry.allow(key, "app", "appi")
    for number in range(10):
        telemetry.add(envelope(key, "MessageData", message=str(number) + "x" * 20_000))
    assert [row["message"][0] for row in telemetry.rows("traces")] == ["8", "9"]
    assert len(telemetry.rows_json("traces")) < 50_000


@pytest.mark.parametrize(
    ("given", "expected_ms"),
    [
        ("0.00:00:01.250", 1_250.0),
        ("00:00:00.0001234", 0.1234),
        ("1.01:01:01", 90_061_000.0),
        ("soon", 0.0),
        (None, 0.0),
        (7, 0.0),
    ],
)
def test_durations_are_read(given: object, expected_ms: float) -> None:
    """Days, hours, minutes, seconds with a fraction; anything else counts as nothing."""
    assert duration_ms(given) == expected_ms


def test_live_metrics_are_told_that_nobody_watches(call: Caller) -> None:
    """The exporter asks every few seconds unless it is answered."""
    answer = call("POST", "/QuickPulseService.svc/ping", b"".decode())
    assert (answer.status, answer.headers["x-ms-qps-subscribed"]) == (200, "false")


_EXPORT = """
import logging, os
from azure.monitor.opentelemetry import configure_azure_monitor
from opentelemetry import metrics, trace
# Without a ratio the distribution keeps five traces a second at most, and perhaps not the first.
configure_azure_monitor(connection_string=os.environ["CONNECTION"], logger_name="lab", sampling_ratio=1.0)
with trace.get_tracer("lab").start_as_current_span("chat gpt-4-turbo", kind=trace.SpanKind.CLIENT) as span:
    span.set_attribute("gen_ai.request.model", "gpt-4-turbo")
    logging.getLogger("lab").warning("slow")
    span.record_exception(ValueError("no"))
usage = metrics.get_meter("lab").create_histogram("gen_ai.client.token.usage", unit="{token}")
usage.record(12, {"gen_ai.token.type": "input"})
usage.record(30, {"gen_ai.token.type": "output"})
trace.get_tracer_provider().force_flush()
metrics.get_meter_provider().force_flush()
logging.getLogger("lab").handlers and [h.flush() for h in logging.getLogger("lab").handlers]
"""


@pytest.mark.slow
def test_real_exporter_delivers_traces_metrics_and_logs(
    azure: LocalAzure, sdk: Callable[..., Any], tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """azure-monitor-opentelemetry in a process of its own, with nothing changed, finds its data in the tables."""
    from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient
    from azure.mgmt.applicationinsights.models import ApplicationInsightsComponent

    caplog.set_level(logging.CRITICAL)
    wanted = ApplicationInsightsComponent(location="swedencentral", kind="web", application_type="web")
    component = sdk(ApplicationInsightsManagementClient).components.create_or_update("rg-session13", "appi", wanted)
    quiet = {
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "otel",
    }
    environment = {
        **os.environ,
        **quiet,
        "CONNECTION": component.connection_string,
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", _EXPORT], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    telemetry = azure.azure.telemetry
    (span,) = [row for row in telemetry.rows("dependencies") if row["name"] == "chat gpt-4-turbo"]
    assert span["success"] is True
    assert span["customDimensions"]["gen_ai.request.model"] == "gpt-4-turbo"
    (log,) = [row for row in telemetry.rows("traces") if row["message"] == "slow"]
    assert (log["severityLevel"], log["operation_Id"]) == (2, span["operation_Id"])
    assert [row["type"] for row in telemetry.rows("exceptions")] == ["ValueError"]
    usage = [row for row in telemetry.rows("customMetrics") if row["name"] == "gen_ai.client.token.usage"]
    assert {row["customDimensions"]["gen_ai.token.type"]: row["valueSum"] for row in usage} == {
        "input": 12,
        "output": 30,
    }
    assert {entry.status for entry in azure.azure.journal.after(face="telemetry")} == {200}
