"""Time spans as the monitoring APIs write them: ISO 8601 durations and intervals."""

import re
from datetime import UTC, datetime

_DURATION = re.compile(
    r"P(?:(?P<weeks>\d+(?:\.\d+)?)W)?(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_MAX_S = 100 * 366 * 86_400.0
# The first and the last second that a date has.
_FIRST_S, _LAST_S = 0.0, 253_402_300_799.0


def duration_s(text: str) -> float:
    """The seconds in a duration such as ``PT5M`` or ``P1DT12H``; ValueError when it is none, or over a century."""
    match = _DURATION.fullmatch(text.upper()) if len(text) <= 100 else None
    given = {name: value for name, value in match.groupdict().items() if value} if match is not None else {}
    if not given:
        raise ValueError(f"{text[:100]!r} is no ISO 8601 duration such as PT1H or P1D.")
    total_s = sum(float(value) * _SECONDS[name] for name, value in given.items())
    if total_s > _MAX_S:
        raise ValueError(f"{text[:100]!r} is longer than a century.")
    return total_s


def iso_duration(length_s: float) -> str:
    """A whole number of seconds as the APIs write it: ``PT1M``, ``PT1H``, ``P1D``."""
    for unit_s, prefix, letter in ((86_400, "P", "D"), (3_600, "PT", "H"), (60, "PT", "M")):
        if length_s % unit_s == 0:
            return f"{prefix}{int(length_s // unit_s)}{letter}"
    return f"PT{int(length_s)}S"


def moment_s(text: str) -> float:
    """A time such as ``2026-11-25T12:00:00Z`` in seconds since 1970, in UTC unless it says so; or ValueError."""
    try:
        moment = datetime.fromisoformat(text.strip()) if len(text) <= 100 else None
        if moment is None:
            raise ValueError
        at_s = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:100]!r} is no ISO 8601 time such as 2026-11-25T12:00:00Z.") from None
    return min(max(at_s, _FIRST_S), _LAST_S)


def interval_s(text: str, now_s: float) -> tuple[float, float]:
    """The start and the end of a time span in seconds since 1970; ValueError when it is none.

    A duration ends now; ``start/end``, ``start/duration`` and ``duration/end`` are as they stand.
    """
    first, slash, second = (part.strip() for part in text.partition("/"))
    if not slash:
        start_s, end_s = now_s - duration_s(first), now_s
    elif first.upper().startswith("P"):
        end_s = moment_s(second)
        start_s = end_s - duration_s(first)
    else:
        start_s = moment_s(first)
        end_s = start_s + duration_s(second) if second.upper().startswith("P") else moment_s(second)
    if end_s < start_s:
        raise ValueError(f"The time span {text[:100]!r} ends before it starts.")
    return max(start_s, _FIRST_S), min(end_s, _LAST_S)
