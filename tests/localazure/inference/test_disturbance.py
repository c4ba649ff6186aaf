"""What faults do to an answer: how late it is and where it ends, without a server."""

import pytest

from labkit.localazure.faults import Fault
from labkit.localazure.inference.disturbance import Disturbance, Pace
from labkit.localazure.inference.latency import Latency

EVENTS = [b"data: %d\n\n" % number for number in range(10)]  # 9 bytes each
BODY = b'{"choices": []}'


def disturbed(*faults: Fault, latency: tuple[float, float] = (100.0, 500.0), tokens: int = 40) -> Disturbance:
    """What faults do to an answer with this first and last token."""
    met = Disturbance(faults)
    met.slow(Latency(*latency), tokens)
    return met


@pytest.mark.parametrize(
    ("faults", "before_headers_ms", "first_ms", "total_ms"),
    [
        ([Fault(kind="cut")], 0, 100, 500),
        ([Fault(kind="slow", delay_ms=30)], 0, 130, 530),
        ([Fault(kind="first_byte", delay_ms=30)], 30, 100, 500),
        ([Fault(kind="latency", factor=10)], 0, 1_000, 5_000),
        ([Fault(kind="latency", factor=0.5)], 0, 50, 250),
        ([Fault(kind="slow_stream", factor=3)], 0, 100, 1_300),
        ([Fault(kind="slow_stream", delay_ms=20)], 0, 100, 900),
        ([Fault(kind="latency", factor=2), Fault(kind="slow", delay_ms=7)], 0, 207, 1_007),
        ([Fault(kind="latency", factor=2), Fault(kind="slow_stream", factor=2)], 0, 200, 1_800),
    ],
)
def test_pace(faults: list[Fault], before_headers_ms: float, first_ms: float, total_ms: float) -> None:
    """Unscaled, in milliseconds; what adds up adds up."""
    pace = disturbed(*faults).pace(1.0)
    assert pace == Pace(before_headers_ms, Latency(first_ms, total_ms))
    assert Disturbance(faults).slow(Latency(100.0, 500.0), 40) == Latency(
        before_headers_ms + first_ms, before_headers_ms + total_ms
    )


def test_delays_are_scaled_unless_they_are_real() -> None:
    """A teacher's two seconds are two seconds; the simulated latency under them is scaled as ever."""
    assert disturbed(Fault(kind="slow", delay_ms=2_000)).pace(0.02).latency == Latency(42.0, 50.0)
    assert disturbed(Fault(kind="slow", delay_ms=2_000, real=True)).pace(0.02).latency == Latency(2_002.0, 2_010.0)
    assert disturbed(Fault(kind="slow", delay_ms=2_000)).pace(0.0).total_ms == 0
    assert disturbed(Fault(kind="first_byte", delay_ms=2_000, real=True)).pace(0.0).total_ms == 2_000
    assert disturbed(Fault(kind="slow_stream", delay_ms=50, real=True)).pace(0.0).total_ms == 2_000


@pytest.mark.parametrize(
    ("after", "sent"),
    [
        ({}, EVENTS[:5]),
        ({"after_chunks": 0}, []),
        ({"after_chunks": 3}, EVENTS[:3]),
        ({"after_chunks": 99}, EVENTS[:9]),
        ({"after_bytes": 0}, []),
        ({"after_bytes": 10}, [EVENTS[0], EVENTS[1][:1]]),
        ({"after_bytes": 18}, EVENTS[:2]),
        ({"after_bytes": 99_999}, [*EVENTS[:9], EVENTS[9][:-1]]),
    ],
)
def test_where_a_stream_is_cut(after: dict[str, int], sent: list[bytes]) -> None:
    """Half-way, after so many events, or in the middle of one; its end never comes."""
    assert disturbed(Fault(kind="cut", **after)).shortened(EVENTS) == sent  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "size"), [({}, 7), ({"after_chunks": 3}, 7), ({"after_bytes": 3}, 3), ({"after_bytes": 99}, 14)]
)
def test_where_a_plain_answer_is_cut(after: dict[str, int], size: int) -> None:
    """Half-way or after so many bytes; it has no chunks to count."""
    assert disturbed(Fault(kind="cut", **after)).shortened_body(BODY) == BODY[:size]  # type: ignore[arg-type]


@pytest.mark.parametrize(("stream", "code"), [(True, "StreamCut"), (False, "AnswerCut")])
def test_cut_has_a_name_in_the_journal(stream: bool, code: str) -> None:
    """No other disturbance of an answer has one."""
    assert disturbed(Fault(kind="cut")).cut_code(stream=stream) == code
    assert disturbed(Fault(kind="slow")).cut_code(stream=stream) is None
