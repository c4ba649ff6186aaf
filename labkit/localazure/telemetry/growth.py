"""How large a query can make things out of little: refused before it runs, since duckdb counts only what it stores.

Lists and strings that an expression makes lie outside duckdb's memory limit and are made in one piece, which no time
limit interrupts: ``range x from 1 to 1000000000 step 1`` took 20 GB and a minute. (Joins and aggregates are within
both.) The limits and their wording are ours.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from labkit.localazure.telemetry import kqlerrors

if TYPE_CHECKING:
    from duckdb_kql.ir import FunctionCall, Query

_MAX_RANGE_ROWS = 100_000
_MAX_RANGES = 8
_MAX_FACTOR = 32
_MAX_PARTS = 20_000
# What puts its arguments one behind the other; other functions return no more than their longest argument.
_JOINING = frozenset({"strcat", "strcat_delim", "array_concat", "bag_pack", "pack", "pack_array", "zip"})
_REPLACING = frozenset({"replace", "replace_string", "replace_regex"})

Evaluate = Callable[["Query"], tuple[Any, ...]]


def check(query: "Query", parts: Callable[[Any, Any], Iterator[Any]], evaluate: Evaluate) -> None:
    """``QueryError`` when ``query`` makes too long a range, or strings too long for what it reads.

    ``parts(node, kind)`` walks a query's tree, and ``evaluate`` gives the one row of a query.
    """
    from duckdb_kql import ir

    if _written_out(query, {}) > _MAX_PARTS:
        raise kqlerrors.too_complex(f"The query has more than {_MAX_PARTS} parts, with what its lets stand for.")
    ranges = list(parts(query, ir.RangeSource))
    if len(ranges) > _MAX_RANGES:
        raise kqlerrors.unsupported(f"more than {_MAX_RANGES} ranges in one query", "", None)
    for source in reversed(ranges):  # the walk meets outer ones first; an inner one may be part of an outer one's end
        ends = tuple(ir.NamedExpr(end) for end in (source.start, source.stop, source.step))
        _check_range(source.name, evaluate(ir.Query(ir.PrintSource(ends), [], query.lets, query.parameters)))
    if _query_factor(query, {}) > _MAX_FACTOR:
        hint = f"at most {_MAX_FACTOR} times as long as the columns they are made of"
        raise kqlerrors.unsupported("a query that builds such long strings", hint, None)


def _written_out(node: Any, memo: dict[int, int]) -> int:
    """How many parts the tree has when what is used twice is written twice, as it is in SQL.

    A chain of lets that each use the last one twice doubles with every link.
    """
    if id(node) not in memo:
        memo[id(node)] = 1 + sum(_written_out(part, memo) for part in _children(node))
    return memo[id(node)]


def _check_range(name: str, ends: tuple[Any, ...]) -> None:
    try:
        start, stop, step = ends
        rows = (stop - start) / step
    except (TypeError, ZeroDivisionError, OverflowError, ValueError):
        raise kqlerrors.unsupported(f"the range '{name}'", "its ends and its step do not go together", None) from None
    if not math.isfinite(rows) or rows > _MAX_RANGE_ROWS:
        raise kqlerrors.unsupported(f"the range '{name}'", f"at most {_MAX_RANGE_ROWS} rows", None)


def _query_factor(query: "Query", memo: dict[int, float]) -> float:
    """How many times longer than what is read the strings of ``query`` may become."""
    factor = max(1.0, _factor(query.source, memo))
    for operator in query.operators:
        factor *= max(1.0, _factor(operator, memo))
    return max([factor, *(_factor(bound, memo) for _, bound in query.lets)])


def _factor(node: Any, memo: dict[int, float]) -> float:
    """The same for any part of the tree. Parts that are used twice are looked at once."""
    from duckdb_kql import ir

    known = memo.get(id(node))
    if known is not None:
        return known
    if isinstance(node, ir.Query):
        factor = _query_factor(node, memo)
    elif isinstance(node, ir.FunctionCall):
        factor = _call_factor(node, memo)
    elif isinstance(node, ir.Literal):
        factor = 0.0
    elif isinstance(node, ir.ColumnRef):
        factor = 1.0
    else:
        factor = max((_factor(part, memo) for part in _children(node)), default=0.0)
    memo[id(node)] = factor
    return factor


def _call_factor(call: "FunctionCall", memo: dict[int, float]) -> float:
    from duckdb_kql import ir

    inner = [_factor(argument, memo) for argument in call.args]
    if call.name in _JOINING:
        return sum(inner)
    if call.name == "strrep":
        times = call.args[1] if len(call.args) > 1 else None
        count = times.value if isinstance(times, ir.Literal) and isinstance(times.value, int) else math.inf
        return max(1.0, inner[0]) * max(1, count)
    if call.name in _REPLACING and len(call.args) == 3:
        return max(1.0, inner[0]) * _lengthening(call.args[1], call.args[2])
    return max(inner, default=0.0)


def _lengthening(old: Any, new: Any) -> float:
    """How many times longer a text gets when each ``old`` becomes ``new``."""
    values = [getattr(text, "value", None) for text in (old, new)]
    if not isinstance(values[0], str) or not isinstance(values[1], str):
        return math.inf
    return max(1.0, len(values[1]) / max(1, len(values[0])))


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, list | tuple):
        yield from node
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        yield from (getattr(node, field.name) for field in dataclasses.fields(node))
