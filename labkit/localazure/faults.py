"""Scripted faults: what the next calls of a deployment run into."""

from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

Kind = Literal["status", "slow", "drop"]
By = Literal["admin", "lab"]

_KINDS = ("status", "slow", "drop")
_MAX_WAITING = 1_000
_MAX_DELAY_MS = 600_000
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next ``times`` matching calls.

    ``status`` answers with ``status`` (and ``retry_after_s``), ``slow`` adds ``delay_ms`` to the simulated latency,
    ``drop`` closes the connection without an answer. ``deployment`` None matches every deployment; ``contains``
    matches calls whose last user message contains it. ValueError says which value cannot be.
    """

    deployment: str | None = None
    kind: Kind = "status"
    times: int = 1
    status: int = 429
    retry_after_s: float | None = None
    delay_ms: int = 0
    contains: str | None = None
    by: By = "admin"
    id: str = ""

    def __post_init__(self) -> None:
        for name, ok, allowed in (
            ("kind", self.kind in _KINDS, "one of " + ", ".join(_KINDS)),
            ("times", _whole(self.times) and 1 <= self.times <= 1_000_000, "a whole number from 1 to 1000000"),
            ("status", _whole(self.status) and 400 <= self.status <= 599, "an HTTP error status, 400 to 599"),
            ("retry_after_s", _seconds(self.retry_after_s), "seconds (0 to 86400) or nothing"),
            ("delay_ms", _whole(self.delay_ms) and 0 <= self.delay_ms <= _MAX_DELAY_MS, "milliseconds, 0 to 600000"),
            ("deployment", _text(self.deployment), "a deployment's name, or nothing for all"),
            ("contains", _text(self.contains), "text of at most 1000 characters, or nothing for every prompt"),
        ):
            if not ok:
                raise ValueError(f"A fault's {name} cannot be {getattr(self, name)!r}: it is {allowed}.")

    def matches(self, deployment: str | None, prompt: str) -> bool:
        """True when a call of ``deployment`` with ``prompt`` should run into this fault."""
        if self.deployment is not None and self.deployment != deployment:
            return False
        return self.contains is None or self.contains in prompt

    def as_dict(self) -> dict[str, Any]:
        """The fault as plain data for JSON, its id first."""
        return {"id": self.id, **{name: getattr(self, name) for name in self.__slots__ if name != "id"}}


class Faults:
    """The faults that still wait for a call, oldest first. Safe to use from the server's thread and a test's."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Fault, int]] = {}
        self._lock = Lock()
        self._last_id = 0

    def add(self, fault: Fault) -> Fault:
        """Queue ``fault`` and return it with its id; ValueError when too many wait already."""
        with self._lock:
            if len(self._waiting) >= _MAX_WAITING:
                raise ValueError(f"{_MAX_WAITING} faults wait already; clear some first.")
            self._last_id += 1
            fields = {name: getattr(fault, name) for name in fault.__slots__}
            added = Fault(**{**fields, "id": f"f{self._last_id}"})
            self._waiting[added.id] = (added, added.times)
        return added

    def take(self, deployment: str | None, prompt: str = "") -> Fault | None:
        """The oldest fault that matches, used up by one; None when there is none."""
        if not self._waiting:  # nearly every call: no lock, no loop
            return None
        with self._lock:
            for fault, left in self._waiting.values():
                if fault.matches(deployment, prompt):
                    self._use(fault, left)
                    return fault
        return None

    def _use(self, fault: Fault, left: int) -> None:
        if left > 1:
            self._waiting[fault.id] = (fault, left - 1)
        else:
            del self._waiting[fault.id]

    def waiting(self, by: By | None = None) -> list[dict[str, Any]]:
        """The waiting faults as plain data, each with ``times_left``; only those of ``by`` when given."""
        with self._lock:
            pairs = list(self._waiting.values())
        return [{**fault.as_dict(), "times_left": left} for fault, left in pairs if by in (None, fault.by)]

    def clear(self, by: By | None = None) -> int:
        """Remove the waiting faults (of ``by`` when given); returns how many."""
        with self._lock:
            gone = [fault.id for fault, _ in self._waiting.values() if by in (None, fault.by)]
            for id in gone:
                del self._waiting[id]
        return len(gone)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seconds(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 86_400


def _text(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= _MAX_TEXT)
