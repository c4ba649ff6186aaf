"""What a metrics query asks for, read from its parameters and checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from labkit.localazure.metrics.definitions import AGGREGATIONS, INTERVALS_S
from labkit.localazure.metrics.filters import BadFilterError, Filter, parse
from labkit.localazure.timespan import duration_s, interval_s, iso_duration, moment_s

_HOUR_S = 3_600.0
_MAX_POINTS = 1_500
_MAX_NAMES = 20
_MAX_SERIES = 1_000
_SERIES = 10


class BadParameterError(Exception):
    """A parameter that the service would refuse; the message says what it takes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The metrics ``names`` from ``start_s`` to ``end_s`` in steps of ``interval_s``.

    ``aggregations`` is empty when each metric's primary one is wanted; at most ``top`` series of a metric come, those
    of the ``rolled_up`` dimensions added up.
    """

    names: tuple[str, ...]
    namespace: str
    start_s: float
    end_s: float
    interval_s: int
    aggregations: tuple[str, ...]
    filter: Filter
    top: int
    order_by: tuple[str, bool]
    rolled_up: frozenset[str]

    @property
    def steps(self) -> int:
        """How many intervals there are; the last one may not be over."""
        return max(1, math.ceil((self.end_s - self.start_s) / self.interval_s))

    @property
    def split_by(self) -> list[str]:
        """The dimensions that series are told apart by."""
        return [name for name in self.filter.names if name.lower() not in self.rolled_up]


def read(query: Mapping[str, str], now_s: float) -> Asked:
    """What the parameters of a query ask for; ``BadParameterError`` when one of them is wrong.

    The parameters are those of azure-mgmt-monitor 7.0 and azure-monitor-querymetrics 1.0; the bounds are ours.
    """
    # azure-cli 2.91.0 escapes values twice (core/aaz/_operation.py, serialize_query_param, read 2026-11-25).
    given = {name.lower().removeprefix("$"): unquote(value) for name, value in query.items()}
    start_s, end_s = _span(given, now_s)
    step_s = _interval(given.get("interval", ""), end_s - start_s)
    # Grains begin at whole steps of the clock.
    first_s = start_s - start_s % min(step_s, 86_400)
    if (end_s - first_s) / step_s > _MAX_POINTS:
        raise BadParameterError(
            f"The timespan {end_s - start_s:.0f} s has more than {_MAX_POINTS} steps of {iso_duration(step_s)}; "
            "ask for a longer interval."
        )
    try:
        conditions = parse(given.get("filter", ""))
    except BadFilterError as reason:
        raise BadParameterError(str(reason)) from None
    return Asked(
        names=_names(given.get("metricnames", "")),
        namespace=given.get("metricnamespace", ""),
        start_s=first_s,
        end_s=end_s,
        interval_s=step_s,
        aggregations=_aggregations(given.get("aggregation", "")),
        filter=conditions,
        top=_top(given.get("top", "")),
        order_by=_order(given.get("orderby", "")),
        rolled_up=frozenset(name.strip().lower() for name in given.get("rollupby", "").split(",") if name.strip()),
    )


def _span(given: Mapping[str, str], now_s: float) -> tuple[float, float]:
    try:
        if given.get("timespan"):
            return interval_s(given["timespan"], now_s)
        end_s = moment_s(given["endtime"]) if given.get("endtime") else now_s
        start_s = moment_s(given["starttime"]) if given.get("starttime") else end_s - _HOUR_S
    except ValueError as reason:
        raise BadParameterError(f"Invalid time: {reason}") from None
    if start_s >= end_s:
        raise BadParameterError("The end time must be after the start time.")
    return start_s, end_s


def _interval(text: str, length_s: float) -> int:
    """The step in seconds; the whole timespan for FULL, a minute when nothing is said."""
    if text.upper() == "FULL":
        return max(60, int(-(-length_s // 60)) * 60)
    try:
        wanted = duration_s(text) if text else 60
    except ValueError:
        wanted = 0
    if wanted not in INTERVALS_S:
        choices = ", ".join(iso_duration(choice) for choice in INTERVALS_S)
        raise BadParameterError(f"Invalid time grain duration: {text[:50]}. Supported ones are: {choices}, FULL.")
    return int(wanted)


def _names(text: str) -> tuple[str, ...]:
    # Clients that mean a comma inside a name send %2.
    names = tuple(dict.fromkeys(name.strip().replace("%2", ",") for name in text.split(",") if name.strip()))
    if not 1 <= len(names) <= _MAX_NAMES:
        raise BadParameterError(f"metricnames holds 1 to {_MAX_NAMES} names of metrics, separated by commas.")
    return names


def _aggregations(text: str) -> tuple[str, ...]:
    spelled = {name.lower(): name for name in AGGREGATIONS}
    asked = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in spelled]
    if unknown:
        raise BadParameterError(
            f"Invalid aggregation: {unknown[0][:50]}. Supported ones are: {', '.join(AGGREGATIONS)}."
        )
    return tuple(dict.fromkeys(spelled[name] for name in asked))


def _top(text: str) -> int:
    if not text:
        return _SERIES
    if not text.isdecimal() or not 1 <= int(text[:10]) <= _MAX_SERIES:
        raise BadParameterError(f"top is a whole number from 1 to {_MAX_SERIES}, not '{text[:50]}'.")
    return int(text)


def _order(text: str) -> tuple[str, bool]:
    """The aggregation to sort series by, and whether the greatest comes first; empty for their names' order."""
    words = text.lower().split()
    if not words:
        return "", False
    by = {"sum": "total"}.get(words[0], words[0])
    if by not in {name.lower() for name in AGGREGATIONS} or words[1:] not in ([], ["asc"], ["desc"]):
        raise BadParameterError(f"orderby is an aggregation with asc or desc, such as 'sum asc', not '{text[:50]}'.")
    return by, words[1:] == ["desc"]
