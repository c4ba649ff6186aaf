"""From KQL to duckdb's SQL: what duckdb-kql translates, cut down to telemetry's tables and the local Azure's clock."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labkit.localazure.telemetry import growth, kqlerrors
from labkit.localazure.telemetry.kqlerrors import Place, QueryError

if TYPE_CHECKING:
    from duckdb_kql.errors import KqlSyntaxError, KqlUnsupportedError
    from duckdb_kql.ir import NamedExpr, Query
    from duckdb_kql.translate import Clock

# A query that a person writes has some hundred characters; reading one takes time that grows faster than its length.
_MAX_CHARACTERS = 10_000
_MAX_DEPTH = 32
_RENDER = re.compile(r"\|\s*render\s+(\w+)\s*(?:with\s*\(([^)]*)\)\s*)?;?\s*$")
_CHART = ("title", "kind", "legend", "series", "xAxis", "xColumn", "xTitle", "yAxis", "yColumns", "ySplit", "yTitle")
_PROPERTY = re.compile(r"(\w+)\s*=\s*(\"[^\"]*\"|'[^']*'|[\w.,\s]+?)(?=,\s*\w+\s*=|$)")


@dataclass(frozen=True, slots=True)
class Translated:
    """A query in SQL, with the values to run it with."""

    sql: str
    parameters: Mapping[str, Any]


Evaluate = Callable[[Translated], tuple[Any, ...]]


def translate(kql: str, tables: Mapping[str, list[str]], now_s: float, evaluate: Evaluate) -> Translated:
    """The SQL of ``kql`` over ``tables`` (their columns by name), where ``now()`` is ``now_s``.

    ``evaluate`` runs a query of one row; the ends of a ``range`` are looked at before it is made. ``QueryError`` when
    the text is no KQL, names another table, grows out of bounds, or needs what duckdb-kql does not translate.
    """
    from duckdb_kql.errors import KqlError, KqlSchemaError, KqlSyntaxError, KqlUnsupportedError

    _check_size(kql)
    try:
        return _translate(kql, tables, datetime.fromtimestamp(now_s, UTC).replace(tzinfo=None), evaluate)
    except KqlSyntaxError as failure:
        raise _syntax_error(kql, failure) from None
    except KqlUnsupportedError as failure:
        raise _unsupported(kql, failure) from None
    except KqlSchemaError as failure:
        raise QueryError("SemanticError", "SEM0100", _sentence(failure.hint or str(failure))) from None
    except KqlError as failure:
        raise QueryError("SemanticError", "SEM0001", _sentence(str(failure))) from None
    except RecursionError:
        raise kqlerrors.too_complex("The query is nested too deeply to be read.") from None
    except QueryError:
        raise
    except Exception as failure:  # the translator's own mistake: a refusal for the caller, and never a 500
        raise kqlerrors.unsupported(
            "this query", f"its translation failed: {type(failure).__name__}", None
        ) from failure


def _translate(kql: str, tables: Mapping[str, list[str]], now: datetime, evaluate: Evaluate) -> Translated:
    from duckdb_kql.lower import lower
    from duckdb_kql.translate import clock

    with clock(now) as active:
        query = lower(kql)
        _check_names(kql, query, tables)
        for part in _parts(query, type(query)):
            part.operators = [_with_percentiles(operator) for operator in part.operators]
        growth.check(query, _parts, lambda ends: evaluate(_emit(ends, tables, active)))
        return _emit(query, tables, active)


def _emit(query: "Query", tables: Mapping[str, list[str]], active: "Clock") -> Translated:
    """The SQL of a query that was looked at, and the values of its parameters."""
    from duckdb_kql.params import bind
    from duckdb_kql.translate import CLOCK_SLOT, to_sql

    sql = to_sql(query, {name: list(columns) for name, columns in tables.items()})
    bound, missing = bind(query.parameters, None)
    if missing:
        raise QueryError("SemanticError", "SEM0001", f"The query parameter '{missing[0]}' has no value.")
    parameters = {slot: value for slot, value in bound.items() if slot in sql.slots}
    if active.used:
        parameters[CLOCK_SLOT] = active.moment
    active.used = False
    return Translated(str(sql), parameters)


def _check_size(kql: str) -> None:
    if len(kql) > _MAX_CHARACTERS:
        raise kqlerrors.too_complex(f"The query has {len(kql)} characters; the local Azure reads {_MAX_CHARACTERS}.")
    depth = 0
    for character in kql:
        depth += (character in "([{") - (character in ")]}")
        if depth > _MAX_DEPTH:
            raise kqlerrors.too_complex(f"The query nests brackets more than {_MAX_DEPTH} deep.")
    if re.match(r"(\s|//[^\n]*\n)*\.", kql):
        # Management commands (.show, .drop, .set) are another language, and none of a query's business.
        before = kql[: kql.index(".")]
        raise kqlerrors.not_parsed(kql, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1))


# -- names ------------------------------------------------------------------------------------------------------


def _check_names(kql: str, query: "Query", tables: Mapping[str, list[str]]) -> None:
    """Every table is one of ``tables`` or bound by a ``let``, and is spelled as it is: KQL minds the case."""
    from duckdb_kql import ir

    bound = {name for part in _parts(query, ir.Query) for name, _ in part.lets}
    for reference in (*_parts(query, ir.TableRef), *_parts(query, ir.WildcardTableRef)):
        if reference.database is not None or getattr(reference, "cluster", None) is not None:
            raise kqlerrors.unsupported("a reference to another database", "query one scope at a time", None)
    known = list(tables)
    for reference in _parts(query, ir.TableRef):
        if reference.name not in tables and reference.name not in bound:
            raise kqlerrors.unknown_table(kql, reference.name, known)
    _check_spelling(kql, query, tables)


def _check_spelling(kql: str, query: "Query", tables: Mapping[str, list[str]]) -> None:
    """duckdb would take ``Success`` for ``success``; the service would not."""
    from duckdb_kql import ir

    columns = {column for name in _parts(query, ir.TableRef) for column in tables.get(name.name, ())}
    spelled = {column.lower(): column for column in columns}
    made = set(_parts(query, str, but=ir.ColumnRef))
    for reference in _parts(query, ir.ColumnRef):
        name = reference.name
        if name not in columns and name not in made and name.lower() in spelled:
            raise kqlerrors.unknown_column(kql, name, [spelled[name.lower()]])


def _parts(node: Any, kind: Any, *, but: Any = None) -> Iterator[Any]:
    """Everything of ``kind`` in a query's tree, each once; what is ``but`` is not looked into."""
    waiting, seen = [node], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or (but is not None and isinstance(part, but)):
            continue
        seen.add(id(part))
        if isinstance(part, kind):
            yield part
        if isinstance(part, list | tuple):
            waiting.extend(part)
        elif dataclasses.is_dataclass(part) and not isinstance(part, type):
            waiting.extend(getattr(part, field.name) for field in dataclasses.fields(part))


# -- percentiles ------------------------------------------------------------------------------------------------


def _with_percentiles(operator: Any) -> Any:
    """``percentiles(x, 50, 95)`` as the two columns that ``percentile`` makes; duckdb-kql knows only the latter.

    Their names are those of ``percentile``: ``percentile_x_50``.
    """
    from duckdb_kql import ir

    if not isinstance(operator, ir.Summarize):
        return operator
    return dataclasses.replace(
        operator, aggregates=tuple(one for named in operator.aggregates for one in _single_percentiles(named))
    )


def _single_percentiles(named: "NamedExpr") -> list["NamedExpr"]:
    from duckdb_kql import ir

    call = named.expr
    if not isinstance(call, ir.FunctionCall) or call.name != "percentiles" or len(call.args) < 2:
        return [named]
    if named.name is not None and len(call.args) > 2:
        raise kqlerrors.unsupported("percentiles() of several under one name", "name them with project-rename", None)
    value, *asked = call.args
    return [ir.NamedExpr(ir.FunctionCall("percentile", (value, percent)), named.name) for percent in asked]


# -- what duckdb-kql refuses ------------------------------------------------------------------------------------


def _syntax_error(kql: str, failure: "KqlSyntaxError") -> QueryError:
    if not failure.diagnostics:
        return QueryError("SyntaxError", "SYN0002", _sentence(str(failure)))
    span = failure.diagnostics[0].span
    return kqlerrors.not_parsed(kql, span.line, span.column)


def _unsupported(kql: str, failure: "KqlUnsupportedError") -> QueryError:
    kind, _, name = failure.construct.partition(":")
    named = kqlerrors.find(kql, name) if name else None
    place: Place | None = named
    if failure.span is not None:
        place = kqlerrors.place_at(kql, failure.span.line, failure.span.column)
    what = f"the {kind} '{name}'" if named is not None else f"'{place.token if place else failure.construct}'"
    hint = "" if failure.hint is None or "in this wave" in failure.hint else failure.hint
    return kqlerrors.unsupported(what, hint, place)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


# -- render -----------------------------------------------------------------------------------------------------


def visualization(kql: str) -> dict[str, Any]:
    """What ``render`` at the end of a query asks for, in the service's words; empty without one.

    The fields: azure-sdk-for-python, sdk/monitor/azure-monitor-query, README ("visualization"), read 2026-11-25.
    """
    match = _RENDER.search(kql)
    if match is None:
        return {}
    given = {key.lower(): value.strip().strip("\"'") for key, value in _PROPERTY.findall(match[2] or "")}
    shown: dict[str, Any] = {"visualization": match[1], "isQuerySorted": False, "yMin": "NaN", "yMax": "NaN"}
    shown |= {name: given.get(name.lower()) for name in _CHART}
    return shown | {"accumulate": given.get("accumulate") == "true"}
