"""What happened in the last ten minutes: rates and latencies, for the console's gauges and charts."""

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from labkit.localazure.journal import Entry, Journal

STEP_S = 5
SPAN_S = 600
_MINUTE_S = 60
# Of a busier step only the last latencies are kept: enough for a percentile, and the memory has a bound.
_SAMPLES = 500

# The 50th and the 95th in milliseconds; None where nothing was answered.
Percentiles = tuple[float | None, float | None]


class Step:
    """The calls that arrived within one step: how they ended, and the latencies of those that were answered."""

    __slots__ = ("_changed", "_latencies_ms", "_percentiles", "answered", "failed", "let_in", "throttled", "tokens")

    def __init__(self) -> None:
        self.answered = 0
        self.throttled = 0
        self.failed = 0
        self.tokens = 0
        self.let_in: Counter[tuple[str, str]] = Counter()
        self._latencies_ms = array("d")
        self._changed = False
        self._percentiles: Percentiles = (None, None)

    def add(self, entry: Entry) -> None:
        """Count one call."""
        self.tokens += entry.prompt_tokens + entry.completion_tokens
        if entry.status == 429:
            self.throttled += 1
            return
        self.let_in[entry.account or "", entry.deployment or ""] += 1
        if entry.status != 200:
            self.failed += 1
            return
        if self.answered < _SAMPLES:
            self._latencies_ms.append(entry.simulated_ms)
        else:
            self._latencies_ms[self.answered % _SAMPLES] = entry.simulated_ms
        self.answered += 1
        self._changed = True

    @property
    def requests(self) -> int:
        """All calls, however they ended."""
        return self.answered + self.throttled + self.failed

    @property
    def latencies_ms(self) -> Sequence[float]:
        """The simulated latencies of the answered calls, or of the last of them."""
        return self._latencies_ms

    @property
    def percentiles_ms(self) -> Percentiles:
        """The 50th and the 95th percentile of the simulated latency."""
        if self._changed:
            self._percentiles = _percentiles(self._latencies_ms)
            self._changed = False
        return self._percentiles


class Recent:
    """The inference calls of the last ten minutes in steps of five seconds, read from the journal when asked.

    ``run`` names this run of the server, so that a page can tell that it was started anew.
    """

    def __init__(self) -> None:
        self.run = os.urandom(6).hex()
        self._steps: dict[int, Step] = {}
        self._seen = 0

    def read(self, journal: Journal, now_s: float) -> None:
        """Take in what the journal has gained, and forget what is too old."""
        for entry in journal.after(self._seen):
            self._seen = entry.id
            if entry.face == "inference" and entry.at_s > now_s - SPAN_S:
                start_s = int(entry.at_s) // STEP_S * STEP_S
                self._steps.setdefault(start_s, Step()).add(entry)
        for start_s in [start_s for start_s in self._steps if start_s <= now_s - SPAN_S]:
            del self._steps[start_s]

    def let_in(self, now_s: float) -> Counter[tuple[str, str]]:
        """How many calls of the last minute were not throttled, by account and deployment."""
        found: Counter[tuple[str, str]] = Counter()
        for step in self._last_minute(now_s):
            found.update(step.let_in)
        return found

    def minute(self, now_s: float) -> dict[str, Any]:
        """The last minute: ``requests``, and ``p95_ms`` of those answered."""
        steps = list(self._last_minute(now_s))
        _, p95_ms = _percentiles([took_ms for step in steps for took_ms in step.latencies_ms])
        return {"requests": sum(step.requests for step in steps), "p95_ms": p95_ms}

    def series(self) -> list[dict[str, Any]]:
        """One row a step in which something happened, oldest first."""
        return [_row(start_s, self._steps[start_s]) for start_s in sorted(self._steps)]

    def _last_minute(self, now_s: float) -> Iterator[Step]:
        return (step for start_s, step in self._steps.items() if start_s > now_s - _MINUTE_S)


def _percentiles(latencies_ms: Sequence[float]) -> Percentiles:
    if not latencies_ms:
        return None, None
    ordered = sorted(latencies_ms)
    last = len(ordered) - 1
    return ordered[round(last * 0.5)], ordered[round(last * 0.95)]


def _row(start_s: int, step: Step) -> dict[str, Any]:
    p50_ms, p95_ms = step.percentiles_ms
    return {
        "start_s": start_s,
        "answered": step.answered,
        "throttled": step.throttled,
        "failed": step.failed,
        "tokens": step.tokens,
        "p50_ms": p50_ms,
        "p95_ms": p95_ms,
    }
