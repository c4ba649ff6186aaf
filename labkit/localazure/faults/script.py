"""Scripts: faults set and cleared by the clock, for a class that breaks on time and a rubric that breaks alike.

A script is a list of events, each ``{"at_s": 600, "fault": {…}}`` or ``{"at_s": 720, "clear": true}``. Their times
count from when the script is loaded. Nothing is kept of it but its faults: each begins when its event is due, and ends
with the next ``clear`` at the latest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labkit.localazure.faults.fault import LONGEST_S, By, Fault, read

_MAX_EVENTS = 1_000
_FORM = 'has at_s (seconds, 0 to 2678400) and either "fault": {...} or "clear": true'


def scripted(events: Sequence[Mapping[str, Any]], by: By = "admin") -> list[Fault]:
    """The faults of a script, their windows in seconds from when they are added together (``Faults.add_all``).

    ``clear`` ends the faults that the script has set before, and no others. ValueError names the event that cannot be.
    """
    if not isinstance(events, Sequence) or isinstance(events, str) or not 1 <= len(events) <= _MAX_EVENTS:
        raise ValueError(f"A script is a list of 1 to {_MAX_EVENTS} events.")
    steps = [_step(place, event, by) for place, event in enumerate(events, 1)]
    faults: list[Fault] = []
    for at_s, fault in sorted(steps, key=_at_s):
        if fault is None:
            faults = [ended for each in faults if (ended := _ended(each, at_s)) is not None]
        else:
            faults.append(fault)
    return faults


_Step = tuple[float, Fault | None]


def _at_s(step: _Step) -> float:
    return step[0]


def _step(place: int, event: object, by: By) -> _Step:
    """When an event is due, and the fault it sets; None when it clears."""
    if not isinstance(event, Mapping) or len(event) != 2 or not _is_time(event.get("at_s")):
        raise ValueError(f"Event {place} of the script cannot be: an event {_FORM}.")
    at_s = event["at_s"]
    if event.get("clear") is True:
        return at_s, None
    fields = event.get("fault")
    if not isinstance(fields, Mapping):
        raise ValueError(f"Event {place} of the script cannot be: an event {_FORM}.")
    try:
        fault = read(fields, by)
        return at_s, replace(fault, after_s=fault.after_s + at_s)
    except ValueError as reason:
        raise ValueError(f"Event {place} of the script cannot be. {reason}") from None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_S


def _ended(fault: Fault, at_s: float) -> Fault | None:
    """``fault`` with its window closed at ``at_s``; None when it would not even begin before."""
    left_s = at_s - fault.after_s
    if left_s <= 0:
        return None
    return replace(fault, for_s=left_s if fault.for_s is None else min(fault.for_s, left_s))
