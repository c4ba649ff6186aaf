"""How the query APIs word what a query gave, and what was wrong with it."""

import time
from dataclasses import dataclass
from typing import Any

from labkit.localazure.errors import AzureError
from labkit.localazure.telemetry.kqlerrors import QueryError, QueryLimitError
from labkit.localazure.telemetry.queries import MAX_ROWS, TIME_LIMIT_S, QueryResult


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the header ``Prefer`` asks for: Microsoft Learn, azure-monitor/logs/api/prefer-options, read 2026-11-25."""

    statistics: bool
    render: bool
    wait_s: float
    started: float

    @classmethod
    def read(cls, header: str) -> "Preferences":
        """The preferences in a header; what is not understood is passed over, as HTTP has it."""
        given = dict(part.strip().lower().partition("=")[::2] for part in header[:500].split(","))
        wait = given.get("wait", "")
        wait_s = float(wait) if wait.isdecimal() and len(wait) < 6 else TIME_LIMIT_S
        return cls(
            statistics=given.get("include-statistics") == "true",
            render=given.get("include-render") == "true",
            wait_s=min(max(wait_s, 1.0), TIME_LIMIT_S),
            started=time.perf_counter(),
        )


def result(found: QueryResult, preferences: Preferences) -> dict[str, Any]:
    """The document for a result: one table, and what was asked for besides."""
    columns = [{"name": name, "type": type} for name, type in found.columns]
    document: dict[str, Any] = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": found.rows}]}
    if preferences.render:
        document["render"] = found.visualization or {"visualization": "table", "accumulate": False}
    if preferences.statistics:
        document["statistics"] = _statistics(found, preferences.started)
    if found.is_partial:
        document["error"] = _partial()
    return document


def _statistics(found: QueryResult, started: float) -> dict[str, Any]:
    """What is known here of what the service counts; the shape follows Kusto's."""
    size = sum(len(str(value)) for row in found.rows for value in row)
    return {
        "query": {
            "executionTime": round(time.perf_counter() - started, 7),
            "datasetStatistics": [{"tableRowCount": len(found.rows), "tableSize": size}],
        }
    }


def _partial() -> dict[str, Any]:
    """Rows were left out. The shape: Azure/azure-sdk-for-python#25137 (2022-07); the words follow Kusto's."""
    message = (
        f"The results of this query exceed the set limit of {MAX_ROWS} records, so not all records were returned "
        "(E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003)."
    )
    inner = {"code": "-2133196797", "message": message, "severity": 2, "severityName": "Error"}
    said = "Something went wrong processing your query on the server."
    return {
        "code": "PartialError",
        "message": "There were some errors when processing your query.",
        "details": [{"code": "EngineError", "message": said, "innererror": inner}],
    }


def refused(failure: QueryError | QueryLimitError) -> AzureError:
    """A query that is wrong (400, with the place), or that took too much.

    The service answers 504 to the latter, which its clients send again three times; 400 is answered once.
    """
    if isinstance(failure, QueryError):
        return _invalid(failure.inner())
    return bad_argument("QueryLimitExceeded", str(failure))


def bad_argument(code: str, message: str) -> AzureError:
    """Something is wrong with the request around the query; the inner codes but InvalidJsonBody are ours."""
    return _invalid({"code": code, "message": message})


def _invalid(inner: dict[str, Any]) -> AzureError:
    message = "The request had some invalid properties"
    return AzureError(400, "BadArgumentError", message, extra={"innererror": inner})
