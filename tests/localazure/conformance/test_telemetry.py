"""Telemetry: what the ingestion endpoint says to exporters."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from tests.localazure.conformance.cases import Case, check, text
from tests.localazure.conformance.sent import Sent
from tests.localazure.conftest import Answer, Caller

PARTIAL = "dmolokanov/appinsights-rs#221 (2021-10)"
EXPORTER = "measured with azure-monitor-opentelemetry-exporter, 2026-11"
OURS = "ours: the wording; the shape is that of refused items"


def track(document: object = None, **others: Any) -> Sent:
    """Items sent by an exporter."""
    return Sent("POST", "/v2.1/track", document, **others)


def item(key: str = "00000000-0000-0000-0000-000000000000") -> dict[str, Any]:
    """One trace, for the component with the instrumentation key."""
    data = {"baseType": "MessageData", "baseData": {"ver": 2, "message": "hello"}}
    return {"name": "Message", "time": "2026-11-22T12:00:00Z", "iKey": key, "tags": {}, "data": data}


def refused(message: str, *, index: int = 0, received: int = 1, status: int = 400) -> dict[str, object]:
    """The body of an answer that refuses one item, or the whole request."""
    errors = [{"index": index, "statusCode": status, "message": text(message)}]
    return {"itemsReceived": received, "itemsAccepted": 0, "errors": errors}


CASES = (
    Case("no items", track([]), 200, EXPORTER, {"itemsReceived": 0, "itemsAccepted": 0, "errors": []}),
    Case("unknown instrumentation key", track([item()]), 400, PARTIAL, refused(r"[Ii]nstrumentation key")),
    Case("no JSON", track(body=b"{"), 400, OURS, refused(r"^Invalid JSON: send an array", received=0)),
    Case(
        "no gzip",
        track(body=b"[]", headers={"Content-Encoding": "gzip"}),
        400,
        OURS,
        refused(r"^The body says gzip and is not\.$", received=0),
    ),
    Case(
        "half a gzip",
        track(body=gzip.compress(b"[]")[:-4], headers={"Content-Encoding": "gzip"}),
        400,
        OURS,
        refused(r"^The gzip body is cut off\.$", received=0),
    ),
    Case(
        "body over the limit",
        track([], headers={"content-length": str(2**30)}),
        413,
        OURS,
        refused(r"exceeds the maximum size", received=0, status=413),
    ),
    Case("wrong method", Sent("GET", "/v2.1/track"), 405, OURS, refused(r"use POST\.$", received=0, status=405)),
    Case(
        "wrong path", Sent("POST", "/v2.1/nothing"), 404, OURS, refused("^Resource not found$", received=0, status=404)
    ),
    Case(
        "live metrics",
        Sent("POST", "/QuickPulseService.svc/ping", []),
        200,
        "measured with azure-monitor-opentelemetry, 2026-11",
        {},
        {"x-ms-qps-subscribed": "false"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status, body and headers are those that the source shows."""
    check(case, call)


def test_partial_acceptance(call: Caller, arm: Callable[..., Answer]) -> None:
    """Some refused is 206, and the exporter is told which: dmolokanov/appinsights-rs#221 (2021-10)."""
    component = {"location": "swedencentral", "kind": "web", "properties": {"Application_Type": "web"}}
    made = arm("PUT", "Microsoft.Insights/components/appi", component).json
    answer = call("POST", "/v2.1/track", [item(made["properties"]["InstrumentationKey"]), item()])
    assert answer.status == 206
    problem = {"index": 1, "statusCode": 400, "message": answer.json["errors"][0]["message"]}
    assert answer.json == {"itemsReceived": 2, "itemsAccepted": 1, "errors": [problem]}
