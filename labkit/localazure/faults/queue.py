"""The faults that wait for calls, and which of them a call runs into."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import Lock
from typing import Any

from labkit.localazure.clock import Clock
from labkit.localazure.faults.fault import FAILURES, By, Fault

_MAX_WAITING = 1_000
_NONE: tuple[Fault, ...] = ()


@dataclass(slots=True)
class _Waiting:
    """A fault with its window on the clock, the calls it may still hit (None: any number), and those it has seen."""

    fault: Fault
    start_s: float
    end_s: float | None
    left: int | None
    seen: int = 0

    def is_past(self, now_s: float) -> bool:
        return self.end_s is not None and now_s >= self.end_s

    def hits_next(self, seed: int) -> bool:
        """True when the fault hits the matching call that comes now. Draws are the same in every run of one seed."""
        fault, self.seen = self.fault, self.seen + 1
        if fault.every is not None:
            return self.seen % fault.every == 0
        return fault.share is None or _draw(seed, fault.id, self.seen) < fault.share

    def as_dict(self, now_s: float) -> dict[str, Any]:
        return {
            **self.fault.as_dict(),
            "times_left": self.left,
            "starts_in_s": max(self.start_s - now_s, 0.0),
            "ends_in_s": None if self.end_s is None else self.end_s - now_s,
        }


class Faults:
    """The faults that wait, oldest first, on ``clock``. Safe to use from the server's thread and a test's.

    Nothing runs by itself: at each call the clock is asked which faults have begun and which are over.
    """

    def __init__(self, clock: Clock, seed: int = 13) -> None:
        self._clock = clock
        self._seed = seed
        self._waiting: dict[str, _Waiting] = {}
        self._lock = Lock()
        self._last_id = 0

    @property
    def are_waiting(self) -> bool:
        """True when there is any fault, begun or not."""
        return bool(self._waiting)

    def add(self, fault: Fault) -> Fault:
        """Queue ``fault`` and return it with its id; ValueError when too many wait already."""
        return self.add_all([fault])[0]

    def add_all(self, faults: Sequence[Fault]) -> list[Fault]:
        """Queue ``faults``, whose times count from now, and return them with their ids; all of them or none."""
        now_s = self._clock.now()
        with self._lock:
            self._forget_past(now_s)
            for by in {fault.by for fault in faults}:
                self._check_room(by, faults)
            return [self._add(fault, now_s) for fault in faults]

    def _check_room(self, by: By, faults: Sequence[Fault]) -> None:
        # Each owner has room of its own: a student's loop must not keep the teacher out.
        waiting = sum(1 for each in self._waiting.values() if each.fault.by == by)
        if waiting + sum(1 for fault in faults if fault.by == by) > _MAX_WAITING:
            raise ValueError(f"At most {_MAX_WAITING} faults can wait, and {waiting} do; clear some first.")

    def _add(self, fault: Fault, now_s: float) -> Fault:
        self._last_id += 1
        added = replace(fault, id=f"f{self._last_id}")
        start_s = now_s + added.after_s
        end_s = None if added.for_s is None else start_s + added.for_s
        self._waiting[added.id] = _Waiting(added, start_s, end_s, added.times)
        return added

    def take(
        self, deployment: str | None, prompt: str = "", operation: str = "chat", *, stream: bool = False
    ) -> tuple[Fault, ...]:
        """The faults that this call runs into, each used up by one.

        That is one failure (an error, a reset, a dropped connection) alone, or else at most one fault of each other
        kind together. Of several the oldest counts; the others wait on and have not seen the call.
        """
        if not self._waiting:  # nearly every call: no lock, no loop
            return _NONE
        now_s = self._clock.now()
        with self._lock:
            self._forget_past(now_s)
            matching = [
                each
                for each in self._waiting.values()
                if each.start_s <= now_s and each.fault.matches(deployment, prompt, operation, stream=stream)
            ]
            failure = self._first(each for each in matching if each.fault.kind in FAILURES)
            return (failure,) if failure is not None else tuple(self._others(matching))

    def _others(self, matching: Sequence[_Waiting]) -> Iterator[Fault]:
        for kind in dict.fromkeys(each.fault.kind for each in matching if each.fault.kind not in FAILURES):
            fault = self._first(each for each in matching if each.fault.kind == kind)
            if fault is not None:
                yield fault

    def _first(self, among: Iterator[_Waiting]) -> Fault | None:
        for each in among:
            if each.hits_next(self._seed):
                self._use(each)
                return each.fault
        return None

    def _use(self, each: _Waiting) -> None:
        if each.left is None:
            return
        each.left -= 1
        if not each.left:
            del self._waiting[each.fault.id]

    def _forget_past(self, now_s: float) -> None:
        for id in [each.fault.id for each in self._waiting.values() if each.is_past(now_s)]:
            del self._waiting[id]

    def waiting(self, by: By | None = None, id: str | None = None) -> list[dict[str, Any]]:
        """The waiting faults as plain data; only those of ``by``, or with ``id``, when given.

        Each has ``times_left`` (None: any number), ``starts_in_s`` and ``ends_in_s`` (None: never) besides its own
        fields.
        """
        now_s = self._clock.now()
        with self._lock:
            self._forget_past(now_s)
            return [each.as_dict(now_s) for each in self._of(by, id)]

    def clear(self, by: By | None = None, id: str | None = None) -> int:
        """Remove the waiting faults (those of ``by``, or with ``id``, when given); returns how many."""
        now_s = self._clock.now()
        with self._lock:
            self._forget_past(now_s)
            gone = [each.fault.id for each in self._of(by, id)]
            for each in gone:
                del self._waiting[each]
        return len(gone)

    def _of(self, by: By | None, id: str | None) -> list[_Waiting]:
        return [each for each in self._waiting.values() if by in (None, each.fault.by) and id in (None, each.fault.id)]


def _draw(seed: int, id: str, number: int) -> float:
    """A number from 0 to below 1 for the ``number``-th call that the fault ``id`` has seen."""
    digest = blake2b(f"{seed}/{id}/{number}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48
