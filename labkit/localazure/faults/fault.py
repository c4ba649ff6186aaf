"""One fault: which calls run into it, and what happens to them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Kind = Literal["status", "slow", "first_byte", "slow_stream", "latency", "cut", "reset", "drop"]
By = Literal["admin", "lab"]

KINDS = ("status", "slow", "first_byte", "slow_stream", "latency", "cut", "reset", "drop")
# After one of these there is no answer that another fault could slow down or cut.
FAILURES = ("status", "reset", "drop")
OPERATIONS = ("chat", "embeddings", "responses")
LONGEST_S = 31 * 86_400

_MAX_TIMES = 1_000_000
_MAX_DELAY_MS = 600_000
_MAX_RETRY_AFTER_S = 86_400
_MAX_FACTOR = 1_000
_MAX_BYTES = 2**30
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the calls that match.

    What happens, by ``kind``:

    - ``status``: an error with ``status``, which says to retry after ``retry_after_s``;
    - ``slow``: the answer is ``delay_ms`` late; of a stream, the first token;
    - ``first_byte``: everything is ``delay_ms`` late, a stream's headers too;
    - ``slow_stream``: a stream takes ``factor`` times as long for each token, or else ``delay_ms``;
    - ``latency``: the simulated latency is ``factor`` times as long;
    - ``cut``: the connection ends in the middle of the answer, after ``after_chunks`` events of a stream or
      ``after_bytes`` of the body, or else half-way;
    - ``reset``: the connection is reset (TCP RST) without an answer;
    - ``drop``: the connection is closed without an answer.

    ``delay_ms`` also holds back an error, a reset and a drop. It is simulated time, scaled like all latency, unless
    ``real``: then it is waited as it stands, whatever the scale.

    Which calls: of ``deployment`` (None: of every one), of ``operation``, those whose last user message contains
    ``contains``; of these every ``every``-th, or a ``share`` of them drawn from the server's seed; from ``after_s``
    after it is added, for ``for_s``. It ends after ``times`` calls. None means 1, or no limit where ``every``,
    ``share`` or ``for_s`` already say which calls. ValueError says which value cannot be.
    """

    deployment: str | None = None
    kind: Kind = "status"
    times: int | None = None
    status: int = 429
    retry_after_s: float | None = None
    delay_ms: int = 0
    contains: str | None = None
    operation: str | None = None
    every: int | None = None
    share: float | None = None
    after_s: float = 0.0
    for_s: float | None = None
    factor: float | None = None
    after_chunks: int | None = None
    after_bytes: int | None = None
    real: bool = False
    by: By = "admin"
    id: str = ""

    def __post_init__(self) -> None:
        for name, ok, allowed in self._rules():
            if not ok:
                raise ValueError(f"A fault's {name} cannot be {getattr(self, name)!r}: it is {allowed}.")
        for broken, message in self._rules_of_kind():
            if broken:
                raise ValueError(message)
        if self.times is None and self.every is None and self.share is None and self.for_s is None:
            object.__setattr__(self, "times", 1)

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        """What each value may be on its own."""
        yield "kind", self.kind in KINDS, "one of " + ", ".join(KINDS)
        yield "times", self.times is None or _whole(self.times, 1, _MAX_TIMES), "a whole number from 1 to 1000000"
        yield "status", _whole(self.status, 400, 599), "an HTTP error status, 400 to 599"
        yield "retry_after_s", _maybe(self.retry_after_s, 0, _MAX_RETRY_AFTER_S), "seconds (0 to 86400) or nothing"
        yield "delay_ms", _whole(self.delay_ms, 0, _MAX_DELAY_MS), "milliseconds, 0 to 600000"
        yield "deployment", _text(self.deployment), "a deployment's name, or nothing for all"
        yield "contains", _text(self.contains), "text of at most 1000 characters, or nothing for every prompt"
        named = self.operation is None or self.operation in OPERATIONS
        yield "operation", named, "one of " + ", ".join(OPERATIONS) + ", or nothing for all"
        yield "every", self.every is None or _whole(self.every, 1, _MAX_TIMES), "a whole number from 1 to 1000000"
        yield "share", _maybe(self.share, 0, 1), "a share of the calls, 0 to 1"
        yield "after_s", _number(self.after_s, 0, LONGEST_S), f"seconds, 0 to {LONGEST_S}"
        yield "for_s", self.for_s != 0 and _maybe(self.for_s, 0, LONGEST_S), f"seconds, more than 0 to {LONGEST_S}"
        yield "factor", self.factor != 0 and _maybe(self.factor, 0, _MAX_FACTOR), "a number, more than 0 to 1000"
        yield "after_chunks", self.after_chunks is None or _whole(self.after_chunks, 0, _MAX_BYTES), "a whole number"
        yield "after_bytes", self.after_bytes is None or _whole(self.after_bytes, 0, _MAX_BYTES), "a whole number"
        yield "real", isinstance(self.real, bool), "true or false"

    def _rules_of_kind(self) -> Iterator[tuple[bool, str]]:
        """What values must not or must be given together."""
        kind, factor = self.kind, self.factor
        cut_at = [name for name in ("after_chunks", "after_bytes") if getattr(self, name) is not None]
        yield self.every is not None and self.share is not None, "A fault has either every or share, not both."
        yield kind == "latency" and factor is None, "A latency fault needs factor: how many times as long."
        paced = (factor is not None) != (self.delay_ms > 0)
        yield kind == "slow_stream" and not paced, "A slow_stream fault has either factor or delay_ms, for each token."
        slows = kind in ("latency", "slow_stream")
        yield factor is not None and not slows, f"A {kind} fault has no factor; latency and slow_stream faults have."
        yield bool(cut_at) and kind != "cut", f"A {kind} fault has no {' and '.join(cut_at)}; cut faults have."
        yield len(cut_at) == 2, "A cut fault has either after_chunks or after_bytes, not both."

    def matches(self, deployment: str | None, prompt: str, operation: str = "chat", *, stream: bool = False) -> bool:
        """True when such a call may run into this fault. ``operation`` is the journal's ("chat.completions")."""
        if self.deployment is not None and self.deployment != deployment:
            return False
        if self.operation is not None and self.operation != operation.partition(".")[0]:
            return False
        if self.kind == "slow_stream" and not stream:
            return False
        return self.contains is None or self.contains in prompt

    def as_dict(self) -> dict[str, Any]:
        """The fault as plain data for JSON, its id first."""
        return {"id": self.id, **{name: getattr(self, name) for name in self.__slots__ if name != "id"}}


_FIELDS = tuple(field.name for field in fields(Fault) if field.name not in ("by", "id"))


def read(given: Mapping[str, Any], by: By = "admin") -> Fault:
    """The fault that ``given`` (from JSON) describes; ValueError for a field that there is not: a typo is no wish."""
    unknown = sorted(str(name)[:100] for name in given.keys() - set(_FIELDS))
    if unknown:
        raise ValueError(f"A fault has no {', '.join(unknown)}. It has: {', '.join(_FIELDS)}.")
    return Fault(**given, by=by)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _maybe(value: object, low: float, high: float) -> bool:
    return value is None or _number(value, low, high)


def _text(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= _MAX_TEXT)
