"""The metrics of an Application Insights component, and the custom ones that were sent to it, from its telemetry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labkit.localazure.metrics.values import Measured, Sample

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_MAX_CUSTOM = 200


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a metric's measurements lie: a table, its measured column, how many a row stands for, and a condition."""

    table: str
    value: str = "1"
    weight: str = '"itemCount"'
    where: str = "true"


def _counter(category: str, counter: str) -> _Source:
    where = f"\"category\" = '{category}' AND \"counter\" = '{counter}'"
    return _Source("performanceCounters", '"value"', "1", where)


_SOURCES = {
    "requests/count": _Source("requests"),
    "requests/duration": _Source("requests", '"duration"'),
    "requests/failed": _Source("requests", where='NOT "success"'),
    "dependencies/count": _Source("dependencies"),
    "dependencies/duration": _Source("dependencies", '"duration"'),
    "dependencies/failed": _Source("dependencies", where='NOT "success"'),
    "exceptions/count": _Source("exceptions"),
    "exceptions/server": _Source("exceptions"),
    "traces/count": _Source("traces"),
    "performanceCounters/processPrivateBytes": _counter("Process", "Private Bytes"),
    "performanceCounters/processCpuPercentage": _counter("Process", "% Processor Time"),
    "performanceCounters/processorCpuPercentage": _counter("Processor", "% Processor Time"),
    "performanceCounters/memoryAvailableBytes": _counter("Memory", "Available Bytes"),
}
# request/success and the like are the columns of the table; true and false are spelled as the portal does.
_COLUMNS = {
    "operation/synthetic": "CASE WHEN \"operation_SyntheticSource\" = '' THEN 'False' ELSE 'True' END",
    "cloud/roleName": '"cloud_RoleName"',
    "cloud/roleInstance": '"cloud_RoleInstance"',
    "client/type": '"client_Type"',
    "trace/severityLevel": '"severityLevel"',
    "dependency/type": '"type"',
    "dependency/target": '"target"',
    **{f"{kind}/performanceBucket": '"performanceBucket"' for kind in ("request", "dependency")},
    **{f"{kind}/resultCode": '"resultCode"' for kind in ("request", "dependency")},
    **{f"{kind}/success": "CASE WHEN \"success\" THEN 'True' ELSE 'False' END" for kind in ("request", "dependency")},
}


def measured(
    azure: "Azure", component: str, metric: str, dimensions: Sequence[str], start_s: float, end_s: float
) -> Iterator[Measured]:
    """What was measured of ``metric`` minute by minute, with the values of ``dimensions``, of that component."""
    source = _SOURCES.get(metric)
    if source is None:
        return iter(())
    sums = (
        f"sum({source.weight}), sum({source.value} * {source.weight}), min({source.value}), max({source.value})"
        f' FROM telemetry."{source.table}" WHERE {source.where}'
    )
    columns = [_COLUMNS[name] for name in dimensions]
    return _minutes(azure, component, dict(zip(dimensions, columns, strict=True)), sums, [], start_s, end_s)


def custom(
    azure: "Azure", component: str, metric: str, dimensions: Sequence[str], start_s: float, end_s: float
) -> Iterator[Measured]:
    """The same for a metric that an application sends itself; its dimensions are the item's custom dimensions."""
    columns = dict.fromkeys(dimensions, "json_extract_string(\"customDimensions\", '$.' || ?)")
    keys: list[object] = [f'"{_escaped(name)}"' for name in dimensions]
    sums = (
        'sum("valueCount"), sum("valueSum"), min("valueMin"), max("valueMax") FROM telemetry."customMetrics" '
        'WHERE lower("name") = ?'
    )
    return _minutes(azure, component, columns, sums, [*keys, metric.lower()], start_s, end_s)


def custom_names(azure: "Azure", component: str) -> list[str]:
    """The names of the metrics that were sent to the component, at most 200."""
    return [
        name
        for (name,) in azure.telemetry.execute(
            'SELECT DISTINCT "name" FROM telemetry."customMetrics" WHERE lower("_ResourceId") = ? ORDER BY 1 LIMIT ?',
            [component.lower(), _MAX_CUSTOM],
        )
    ]


def _minutes(
    azure: "Azure",
    component: str,
    columns: dict[str, str],
    sums: str,
    given: Sequence[object],
    start_s: float,
    end_s: float,
) -> Iterator[Measured]:
    """Minute by minute what the aggregates ``sums`` say, for each combination of the ``columns``' values."""
    shown = "".join(f", coalesce(CAST({column} AS VARCHAR), '')" for column in columns.values())
    rows = azure.telemetry.execute(
        f"SELECT CAST(epoch(time_bucket(INTERVAL '1 minute', \"timestamp\")) AS DOUBLE){shown}, {sums}"
        ' AND lower("_ResourceId") = ? AND "timestamp" >= ? AND "timestamp" < ? GROUP BY ALL',
        [*given, component.lower(), _moment(start_s), _moment(end_s)],
    )
    for at_s, *rest in rows:
        values, sample = rest[: len(columns)], rest[len(columns) :]
        yield Measured(
            at_s, dict(zip(columns, values, strict=True)), Sample(*(float(value or 0.0) for value in sample))
        )


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
