"""The conditions of a rule: operators, dimensions, and what several conditions together say of a time series."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Document = dict[str, Any]
Dimensions = tuple[tuple[str, str], ...]

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
}
# One process serves a class, and a query may name a new dimension value in every row.
SERIES_LIMIT = 100


class Measured(NamedTuple):
    """What one condition saw of one time series: whether it holds, and its entry in the alert's ``allOf``."""

    dimensions: Dimensions
    met: bool
    entry: Document


class Finding(NamedTuple):
    """What all conditions of a rule say of one time series of ``target``, with the alert's context."""

    target: str
    dimensions: Dimensions
    met: bool
    context: Document


def selects(wanted: Iterable[Document], dimensions: Mapping[str, str]) -> bool:
    """True when a series with ``dimensions`` passes every ``Include`` and ``Exclude``; ``*`` stands for all values."""
    return all(_selects(dimension, dimensions.get(dimension["name"].lower(), "")) for dimension in wanted)


def _selects(dimension: Document, value: str) -> bool:
    named = "*" in dimension["values"] or value.lower() in {str(item).lower() for item in dimension["values"]}
    return named if dimension["operator"].lower() == "include" else not named


def joined(conditions: Sequence[Sequence[Measured]]) -> list[tuple[Dimensions, bool, list[Document]]]:
    """The time series of a rule whose conditions must all hold.

    Series of different conditions belong together when they agree in the dimensions that both have. A condition
    without any series (no data) holds for none.
    """
    found: list[tuple[Dimensions, bool, list[Document]]] = [((), True, [])]
    for measured in conditions:
        found = [
            (merged, met and one.met, [*entries, one.entry])
            for dimensions, met, entries in found
            for one in measured
            if (merged := _merged(dimensions, one.dimensions)) is not None
        ][:SERIES_LIMIT]
    return found


def _merged(left: Dimensions, right: Dimensions) -> Dimensions | None:
    merged = dict(left)
    for name, value in right:
        if merged.setdefault(name, value) != value:
            return None
    return tuple(sorted(merged.items()))


def shown(dimensions: Dimensions) -> list[Document]:
    """Dimensions as payloads list them."""
    return [{"name": name, "value": value} for name, value in dimensions]
