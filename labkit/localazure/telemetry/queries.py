"""Runs a translated query within limits of time, memory and size, and gives its values the shapes of the service."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Timer
from typing import TYPE_CHECKING, Any

import orjson

from labkit.localazure.database import Database
from labkit.localazure.telemetry import guard, kqlerrors
from labkit.localazure.telemetry.kql import Translated, translate, visualization
from labkit.localazure.telemetry.kqlerrors import QueryError, QueryLimitError
from labkit.localazure.telemetry.views import show
from labkit.localazure.wire import MIB

if TYPE_CHECKING:
    import duckdb

# The service stops at 500,000 rows or 64 MB (Microsoft Learn, kusto/concepts/resulttruncation) and, unless asked
# otherwise, after three minutes (azure-monitor/logs/api/prefer-options), read 2026-11-25. One class on one machine
# gets less.
MAX_ROWS = 30_000
_MAX_BYTES = 32 * MIB
TIME_LIMIT_S = 20.0
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Scope:
    """What a query may see: ``tables`` with their columns, of ``components`` (resource ids; None: all), in a time."""

    tables: Mapping[str, list[str]]
    components: Sequence[str] | None
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query gave: ``columns`` with their Kusto types, and ``rows`` of values as they stand in JSON.

    Times are ISO 8601 with a Z, dynamic values are JSON in a string, as in the service's answers. ``is_partial`` says
    that there were more rows. ``visualization`` is what ``render`` asked for.
    """

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    is_partial: bool = False
    visualization: dict[str, Any] = field(default_factory=dict)


def run(database: Database, kql: str, scope: Scope, *, now_s: float, limit_s: float = TIME_LIMIT_S) -> QueryResult:
    """What ``kql`` gives within ``scope``; ``QueryError`` when it is wrong, ``QueryLimitError`` when it is too much."""
    import duckdb

    with closing(database.reader()) as reader, _limited(reader, limit_s):
        try:
            show(reader, scope.components, scope.start_s, scope.end_s)
            translated = translate(kql, scope.tables, now_s, lambda one: _execute(reader, one, scope).fetchall()[0])
            return _read(_execute(reader, translated, scope), kql)
        except guard.ForbiddenSqlError as reason:
            raise QueryError("SemanticError", "SEM0001", f"The query is not allowed. {reason}") from None
        except duckdb.InterruptException:
            raise QueryLimitError(f"The query took longer than {limit_s:g} s and was stopped; ask for less.") from None
        except duckdb.OutOfMemoryException:
            raise QueryLimitError("The query needs more memory than a query gets; ask for less.") from None
        except duckdb.Error as failure:
            raise _refusal(kql, failure) from None


def _execute(reader: "duckdb.DuckDBPyConnection", query: Translated, scope: Scope) -> "duckdb.DuckDBPyConnection":
    guard.check(reader, query.sql, scope.tables)
    return reader.execute(query.sql, dict(query.parameters) or None)


@contextmanager
def _limited(reader: "duckdb.DuckDBPyConnection", limit_s: float) -> Iterator[None]:
    timer = Timer(limit_s, reader.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _read(reader: "duckdb.DuckDBPyConnection", kql: str) -> QueryResult:
    from duckdb_kql.types import kusto_type

    columns = [(name, kusto_type(type)) for name, type, *_ in reader.description or ()]
    types = [type for _, type in columns]
    rows: list[list[Any]] = []
    size = 0
    while chunk := reader.fetchmany(_CHUNK):
        for raw in chunk:
            row = [_value(value, type) for value, type in zip(raw, types, strict=True)]
            size += sum(len(value) if isinstance(value, str) else 8 for value in row)
            if len(rows) == MAX_ROWS or size > _MAX_BYTES:
                return QueryResult(columns, rows, True, visualization(kql))
            rows.append(row)
    return QueryResult(columns, rows, False, visualization(kql))


# -- values -----------------------------------------------------------------------------------------------------


def _value(value: Any, type: str) -> Any:
    """A value of a Kusto type as it stands in the service's JSON."""
    if value is None:
        return "" if type == "string" else None  # a Kusto string is never null
    if type == "dynamic":
        return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    if isinstance(value, timedelta):
        return _timespan(value)
    if isinstance(value, date):
        return _datetime(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value)
    return str(value) if not isinstance(value, Decimal) else float(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _datetime(value: date) -> str:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    utc = moment if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}0Z" if utc.microsecond else f"{utc:%Y-%m-%dT%H:%M:%S}Z"


def _timespan(value: timedelta) -> str:
    """``d.hh:mm:ss.fffffff``; days and fractions only where there are any."""
    sign, length = ("-", -value) if value < timedelta(0) else ("", value)
    hours, rest = divmod(length.seconds, 3_600)
    days = f"{length.days}." if length.days else ""
    fraction = f".{length.microseconds:06d}0" if length.microseconds else ""
    return f"{sign}{days}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}{fraction}"


# -- what duckdb refuses ----------------------------------------------------------------------------------------


def _refusal(kql: str, failure: Exception) -> QueryError:
    """duckdb's refusal in Kusto's words, as far as there are some."""
    said = str(failure)
    column = re.search(r'(?:Referenced column|column named) "([^"]+)"', said)
    if column is not None:
        near = re.search(r"Candidate bindings: (.*)", said)
        known = re.findall(r'"(?:[\w]+\.)?([^".]+)"', near[1]) if near else []
        return kqlerrors.unknown_column(kql, column[1], [name for name in known if not name.startswith("_s")])
    reason = said.splitlines()[0].partition(": ")[2] or said.splitlines()[0]
    return QueryError("SemanticError", "SEM0001", f"The query cannot be run: {reason}")
