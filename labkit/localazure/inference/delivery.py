"""Answers on their way out: at the pace of the simulated model, and as faults disturb it."""

from collections.abc import Sequence

from labkit.localazure.clock import Clock
from labkit.localazure.errors import Headers
from labkit.localazure.inference.call import Call
from labkit.localazure.inference.disturbance import Disturbance, cut_off
from labkit.localazure.inference.latency import Latency
from labkit.localazure.wire import EVENT_STREAM, JSON, Chunks, Reply, StreamReply

# Shorter waits are put together: a timer costs more than it would show.
_SHORTEST_WAIT_S = 0.01
_END = b"\n\n"


async def plain(call: Call, latency: Latency, headers: Headers, body: bytes) -> Reply | StreamReply:
    """``body`` as JSON with ``headers``, after the simulated time."""
    headers = (JSON, *headers)
    if call.met is not None:
        return await _disturbed(call, call.met, headers, body)
    await call.wait(latency.total_ms)
    return Reply(200, body, headers)


async def streamed(
    call: Call, latency: Latency, headers: Headers, stream: bytes, *, at_once: int = 1
) -> Reply | StreamReply:
    """The server-sent events of ``stream``, with ``headers``, at the pace of ``latency``; the first ``at_once`` of them
    come together, before any time has passed.
    """
    headers = (EVENT_STREAM, *headers)
    azure = call.azure
    if call.met is not None:
        return await _disturbed_stream(call, call.met, headers, _events(stream, at_once))
    if azure.latency_scale <= 0:  # nothing to wait for: one piece costs a fraction of a hundred
        return Reply(200, stream, headers)
    return StreamReply(
        call.timed(paced(_events(stream, at_once), latency, azure.latency_scale, azure.clock)), 200, headers
    )


def _events(stream: bytes, at_once: int) -> list[bytes]:
    """The events of a stream, the first ``at_once`` as one: a blank line ends each, and none is inside of one."""
    events = [event + _END for event in stream.split(_END)[:-1]]
    events[:at_once] = [b"".join(events[:at_once])]
    return events


async def _disturbed(call: Call, met: Disturbance, headers: Headers, body: bytes) -> Reply | StreamReply:
    await call.azure.clock.sleep(met.pace(call.azure.latency_scale).total_ms / 1000)
    call.end()
    if not met.cuts:
        return Reply(200, body, headers)
    # The client is told the length of the whole body, and gets a part of it.
    headers = (*headers, (b"content-length", b"%d" % len(body)))
    return StreamReply(cut_off(_at_once([met.shortened_body(body)])), 200, headers)


async def _disturbed_stream(call: Call, met: Disturbance, headers: Headers, events: Sequence[bytes]) -> StreamReply:
    azure = call.azure
    pace = met.pace(azure.latency_scale)
    await azure.clock.sleep(pace.before_headers_ms / 1000)
    if not met.cuts:
        return StreamReply(call.timed(paced(events, pace.latency, 1.0, azure.clock)), 200, headers)
    sent = met.shortened(events)
    if len(sent) > 1:
        latency = pace.latency.until((len(sent) - 1) / (len(events) - 1))
        chunks = paced(sent, latency, 1.0, azure.clock)
    else:
        chunks = _at_once(sent)
    return StreamReply(call.timed(cut_off(chunks)), 200, headers)


async def paced(events: Sequence[bytes], latency: Latency, scale: float, clock: Clock) -> Chunks:
    """The events at the pace of ``latency``, made ``scale`` times as long."""
    yield events[0]
    step_s = (latency.total_ms - latency.first_token_ms) / (len(events) - 1) * scale / 1000
    wait_s = latency.first_token_ms * scale / 1000
    ready: list[bytes] = []
    for event in events[1:]:
        if wait_s >= _SHORTEST_WAIT_S:
            if ready:
                yield b"".join(ready)
                ready.clear()
            await clock.sleep(wait_s)
            wait_s = 0.0
        ready.append(event)
        wait_s += step_s
    await clock.sleep(wait_s)
    yield b"".join(ready)


async def _at_once(events: Sequence[bytes]) -> Chunks:
    yield b"".join(events)
