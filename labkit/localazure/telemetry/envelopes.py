"""From the envelopes that telemetry exporters send to rows with the column names of Application Insights.

Column names and meanings: Microsoft Learn, azure-monitor/app/data-model-complete (2026-03-15), read 2026-11-22.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

Row = dict[str, Any]

_COLUMNS_OF_TAGS = {
    "operation_Name": "ai.operation.name",
    "operation_Id": "ai.operation.id",
    "operation_ParentId": "ai.operation.parentId",
    "operation_SyntheticSource": "ai.operation.syntheticSource",
    "session_Id": "ai.session.id",
    "user_Id": "ai.user.id",
    "user_AuthenticatedId": "ai.user.authUserId",
    "user_AccountId": "ai.user.accountId",
    "client_Type": "ai.device.type",
    "client_Model": "ai.device.model",
    "client_OS": "ai.device.osVersion",
    "application_Version": "ai.application.ver",
    "cloud_RoleName": "ai.cloud.role",
    "cloud_RoleInstance": "ai.cloud.roleInstance",
    "sdkVersion": "ai.internal.sdkVersion",
}
# \Process(??APP_WIN32_PROC??)\Private Bytes: category, instance, counter.
_COUNTER = re.compile(r"\\([^\\(]+)(?:\(([^\\]*)\))?\\(.+)")
_DURATION = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
# What is longer is cut: Microsoft Learn, data-model-trace-telemetry (message) and application-insights-data-model-
# properties; microsoft/ApplicationInsights-dotnet, class Property, for the rest; read 2026-11-22.
_NAME_CHARACTERS = 1_024
_URL_CHARACTERS = 2_048
_DATA_CHARACTERS = 8_192
_MESSAGE_CHARACTERS = 32_768
_KEY_CHARACTERS = 150
_MAX_PROPERTIES = 200
# Points of one metric item and exceptions of one chain; exporters send one and a few. Ours.
_MAX_PARTS = 100
_MAX_INT = 2**31 - 1
# microsoft/ApplicationInsights-Java, class DurationBucketizer, read 2026-11-25.
_BUCKETS = (
    (250, "<250ms"),
    (500, "250ms-500ms"),
    (1_000, "500ms-1sec"),
    (3_000, "1sec-3sec"),
    (7_000, "3sec-7sec"),
    (15_000, "7sec-15sec"),
    (30_000, "15sec-30sec"),
    (60_000, "30sec-1min"),
    (120_000, "1min-2min"),
    (300_000, "2min-5min"),
)
_LONGEST = ">=5min"
# Items that exporters send for the service itself; it does not show them to anybody.
_HIDDEN_METRICS = ("_OTELRESOURCE_", "_APPRESOURCEPREVIEW_")


class BadEnvelope(Exception):
    """An item that the service would refuse, with the reason."""


def rows(envelope: object) -> list[tuple[str, Row]]:
    """The rows in ``envelope``, each with the name of its table; ``BadEnvelope`` when it cannot be understood."""
    if not isinstance(envelope, dict):
        raise BadEnvelope("The item is not an object.")
    data = envelope.get("data")
    base = data.get("baseData") if isinstance(data, dict) else None
    kind = data.get("baseType") if isinstance(data, dict) else None
    if not isinstance(base, dict) or not isinstance(kind, str):
        raise BadEnvelope("Field 'data' on type 'Envelope' is required, with baseType and baseData.")
    if kind == "MetricData":
        return [(table, {**_common(envelope, base), **row}) for table, row in _metrics(base)]
    if kind not in _TABLES:
        known = ", ".join((*_TABLES, "MetricData"))
        raise BadEnvelope(f"Unknown baseType '{kind}'. Known here: {known}.")
    table, columns = _TABLES[kind]
    return [(table, {**_common(envelope, base), **columns(base)})]


def _common(envelope: Mapping[str, Any], base: Mapping[str, Any]) -> Row:
    given = envelope.get("tags")
    tags = given if isinstance(given, dict) else {}
    row: Row = {"timestamp": _time(envelope.get("time"))}
    row |= {column: _text(tags.get(tag)) for column, tag in _COLUMNS_OF_TAGS.items()}
    row["customDimensions"] = _properties(base.get("properties"))
    row["customMeasurements"] = _measurements(base.get("measurements"))
    row["itemCount"] = _item_count(envelope.get("sampleRate"))
    return row


def _request(base: Mapping[str, Any]) -> Row:
    return {
        "id": _text(base.get("id")),
        "name": _text(base.get("name")),
        "url": _text(base.get("url"), _URL_CHARACTERS),
        "source": _text(base.get("source")),
        "resultCode": _text(base.get("responseCode")),
        "success": base.get("success", True) is not False,
        **_duration(base),
    }


def _dependency(base: Mapping[str, Any]) -> Row:
    return {
        "id": _text(base.get("id")),
        "name": _text(base.get("name")),
        "target": _text(base.get("target")),
        "type": _text(base.get("type")),
        "data": _text(base.get("data"), _DATA_CHARACTERS),
        "resultCode": _text(base.get("resultCode")),
        "success": base.get("success", True) is not False,
        **_duration(base),
    }


def _duration(base: Mapping[str, Any]) -> Row:
    took_ms = duration_ms(base.get("duration"))
    return {"duration": took_ms, "performanceBucket": _bucket(took_ms)}


def _trace(base: Mapping[str, Any]) -> Row:
    return {"message": _text(base.get("message"), _MESSAGE_CHARACTERS), "severityLevel": _severity(base)}


def _exception(base: Mapping[str, Any]) -> Row:
    given = base.get("exceptions")
    details = [item for item in given[:_MAX_PARTS] if isinstance(item, dict)] if isinstance(given, list) else []
    outer: Mapping[str, Any] = details[0] if details else {}
    inner: Mapping[str, Any] = details[-1] if details else {}
    return {
        "problemId": _text(base.get("problemId")) or _text(outer.get("typeName")),
        "type": _text(outer.get("typeName")),
        "outerMessage": _text(outer.get("message"), _MESSAGE_CHARACTERS),
        "innermostType": _text(inner.get("typeName")),
        "innermostMessage": _text(inner.get("message"), _MESSAGE_CHARACTERS),
        "severityLevel": _severity(base),
        "details": [
            {"type": _text(item.get("typeName")), "message": _text(item.get("message"), _MESSAGE_CHARACTERS)}
            for item in details
        ],
    }


def _event(base: Mapping[str, Any]) -> Row:
    return {"name": _text(base.get("name"))}


def _metrics(base: Mapping[str, Any]) -> list[tuple[str, Row]]:
    given = base.get("metrics")
    points = [item for item in given[:_MAX_PARTS] if isinstance(item, dict)] if isinstance(given, list) else []
    shown = [point for point in points if point.get("name") not in _HIDDEN_METRICS]
    return [_counter(point) or ("customMetrics", _metric(point)) for point in shown]


def _counter(point: Mapping[str, Any]) -> tuple[str, Row] | None:
    """Exporters send performance counters as metrics, under Windows' names; they have a table of their own."""
    match = _COUNTER.fullmatch(_text(point.get("name")))
    if match is None:
        return None
    category, instance, counter = match.groups(default="")
    row = {"name": match[0], "category": category, "counter": counter, "instance": instance}
    return "performanceCounters", {**row, "value": _number(point.get("value"))}


def _metric(point: Mapping[str, Any]) -> Row:
    total = _number(point.get("value"))
    count = point.get("count")
    return {
        "name": _text(point.get("name")),
        "value": total,
        "valueCount": min(count, _MAX_INT) if isinstance(count, int) and count > 0 else 1,
        "valueSum": total,
        "valueMin": _number(point.get("min"), total),
        "valueMax": _number(point.get("max"), total),
        "valueStdDev": _number(point.get("stdDev")),
    }


_TABLES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Row]]] = {
    "RequestData": ("requests", _request),
    "RemoteDependencyData": ("dependencies", _dependency),
    "MessageData": ("traces", _trace),
    "ExceptionData": ("exceptions", _exception),
    "EventData": ("customEvents", _event),
}


def duration_ms(given: object) -> float:
    """A duration such as ``0.00:00:01.250`` (days, hours, minutes, seconds) in milliseconds; 0 when it is none."""
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        return 0.0
    days, hours, minutes, seconds = match.groups()
    total_s = int(days or 0) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + float(seconds)
    return round(total_s * 1_000, 4)


def _text(given: object, limit: int = _NAME_CHARACTERS) -> str:
    return "" if given is None else str(given)[:limit]


def _number(given: object, default: float = 0.0) -> float:
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else default


def _bucket(duration_ms: float) -> str:
    """The performance bucket that a duration falls into."""
    return next((name for below_ms, name in _BUCKETS if duration_ms < below_ms), _LONGEST)


def _severity(base: Mapping[str, Any]) -> int | None:
    """0 (verbose) to 4 (critical); exporters send the number or its name."""
    level = base.get("severityLevel")
    names = ("verbose", "information", "warning", "error", "critical")
    if isinstance(level, str) and level.lower() in names:
        return names.index(level.lower())
    return level if isinstance(level, int) and not isinstance(level, bool) and 0 <= level < len(names) else None


def _properties(given: object) -> dict[str, str]:
    pairs = list(given.items())[:_MAX_PROPERTIES] if isinstance(given, dict) else []
    return {_text(key, _KEY_CHARACTERS): _text(value, _DATA_CHARACTERS) for key, value in pairs}


def _measurements(given: object) -> dict[str, float]:
    pairs = list(given.items())[:_MAX_PROPERTIES] if isinstance(given, dict) else []
    return {_text(key, _KEY_CHARACTERS): _number(value) for key, value in pairs}


def _item_count(sample_rate: object) -> int:
    """How many items this one stands for, when the exporter kept only a percentage of them."""
    rate = _number(sample_rate, 100.0)
    return min(_MAX_INT, max(1, round(100.0 / rate))) if rate > 0 else 1


def _time(given: object) -> str:
    """A time in UTC as the tables take it; ``BadEnvelope`` when it is missing or none. The wording is ours."""
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else None
        utc = moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
        return utc.astimezone(UTC).isoformat() if utc is not None else _no_time(given)
    except (ValueError, OverflowError):
        return _no_time(given)


def _no_time(given: object) -> NoReturn:
    if given is None:
        raise BadEnvelope("Field 'time' on type 'Envelope' is required.")
    raise BadEnvelope(f"Field 'time' on type 'Envelope' is no time: {str(given)[:50]!r}. It is ISO 8601, in UTC.")
