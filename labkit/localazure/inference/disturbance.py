"""What faults do to an answer that comes nevertheless: how late it is, and where it is cut off."""

from collections.abc import Sequence
from typing import NamedTuple

from labkit.localazure.faults import Fault, Kind
from labkit.localazure.inference.latency import Latency
from labkit.localazure.wire import Chunks, Dropped


class Pace(NamedTuple):
    """How an answer comes: milliseconds before its headers, and then until its first token and its last."""

    before_headers_ms: float
    latency: Latency

    @property
    def total_ms(self) -> float:
        """Milliseconds from the request to the last token."""
        return self.before_headers_ms + self.latency.total_ms


class Disturbance:
    """The faults, other than failures, that one call has met: at most one of each kind."""

    __slots__ = ("_by_kind", "_latency", "_tokens")

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._by_kind = {fault.kind: fault for fault in faults}
        self._latency = Latency(0.0, 0.0)
        self._tokens = 0

    @property
    def cuts(self) -> bool:
        """True when the answer ends in its middle."""
        return "cut" in self._by_kind

    def cut_code(self, *, stream: bool) -> str | None:
        """What the journal calls the cut, None when there is none; the codes are ours."""
        if not self.cuts:
            return None
        return "StreamCut" if stream else "AnswerCut"

    def slow(self, latency: Latency, completion_tokens: int) -> Latency:
        """The latency, unscaled, of an answer that would have had ``latency``; ``pace`` goes on from it."""
        self._latency, self._tokens = latency, completion_tokens
        pace = self.pace(1.0)
        return Latency(round(pace.before_headers_ms + pace.latency.first_token_ms, 3), round(pace.total_ms, 3))

    def pace(self, scale: float) -> Pace:
        """How the answer comes when simulated time is ``scale`` times as long. Real delays stay as they are."""
        slower = self._by_kind.get("latency")
        scale_of_model = scale * (slower.factor or 1.0 if slower is not None else 1.0)
        first_ms = self._latency.first_token_ms * scale_of_model + self._delay_ms("slow", scale)
        rest_ms = (self._latency.total_ms - self._latency.first_token_ms) * scale_of_model
        stream = self._by_kind.get("slow_stream")
        if stream is not None:
            by_token_ms = self._delay_ms("slow_stream", scale) * self._tokens
            rest_ms = by_token_ms if stream.factor is None else rest_ms * stream.factor
        return Pace(self._delay_ms("first_byte", scale), Latency(first_ms, first_ms + rest_ms))

    def _delay_ms(self, kind: Kind, scale: float) -> float:
        fault = self._by_kind.get(kind)
        return 0.0 if fault is None else delay_ms(fault, scale)

    def shortened(self, events: Sequence[bytes]) -> list[bytes]:
        """The part of ``events`` that is sent before the cut. Something is always missing at the end."""
        cut = self._by_kind["cut"]
        if cut.after_bytes is not None:
            return _first_bytes(events, cut.after_bytes)
        chunks = len(events) // 2 if cut.after_chunks is None else cut.after_chunks
        return list(events[: min(chunks, len(events) - 1)])

    def shortened_body(self, body: bytes) -> bytes:
        """The part of a plain answer's ``body`` that is sent before the cut: half of it, unless told in bytes."""
        after = self._by_kind["cut"].after_bytes
        return body[: min(len(body) // 2 if after is None else after, len(body) - 1)]


def delay_ms(fault: Fault, scale: float) -> float:
    """The fault's delay when simulated time is ``scale`` times as long."""
    return fault.delay_ms if fault.real else fault.delay_ms * scale


async def cut_off(chunks: Chunks) -> Chunks:
    """``chunks``, and then no end: the connection is cut."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()
    raise Dropped


def _first_bytes(events: Sequence[bytes], count: int) -> list[bytes]:
    left = min(count, sum(map(len, events)) - 1)
    kept = []
    for event in events:
        if left <= 0:
            break
        kept.append(event[:left])
        left -= len(event)
    return kept
