"""One fault: what its values may be, alone and together."""

from typing import Any

import pytest

from labkit.localazure.faults import Fault, read


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "explode"),
        ("kind", ["drop"]),
        ("times", 0),
        ("times", 1.5),
        ("times", True),
        ("status", 200),
        ("status", 600),
        ("status", "429"),
        ("retry_after_s", -1),
        ("retry_after_s", 90_000),
        ("retry_after_s", "soon"),
        ("delay_ms", -1),
        ("delay_ms", 10**9),
        ("deployment", 7),
        ("contains", 7),
        ("contains", "x" * 1_001),
        ("operation", "chat.completions"),
        ("operation", ["chat"]),
        ("every", 0),
        ("every", 2.0),
        ("share", -0.1),
        ("share", 1.1),
        ("share", True),
        ("share", "half"),
        ("after_s", -1),
        ("after_s", None),
        ("for_s", 0),
        ("for_s", 10**9),
        ("factor", 0),
        ("factor", 1_001),
        ("after_chunks", -1),
        ("after_bytes", 1.5),
        ("real", 1),
    ],
)
def test_impossible_faults_say_what_is_wrong(field: str, value: object) -> None:
    """The message has the field, what was given and what is allowed."""
    with pytest.raises(ValueError, match=rf"A fault's {field} cannot be .*: it is ") as refused:
        Fault(**{field: value})  # type: ignore[arg-type]
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"every": 2, "share": 0.5}, "either every or share"),
        ({"kind": "latency"}, "needs factor"),
        ({"kind": "slow_stream"}, "either factor or delay_ms"),
        ({"kind": "slow_stream", "factor": 2, "delay_ms": 5}, "either factor or delay_ms"),
        ({"kind": "slow", "factor": 2}, "slow fault has no factor"),
        ({"kind": "drop", "after_chunks": 2}, "drop fault has no after_chunks"),
        ({"kind": "cut", "after_chunks": 2, "after_bytes": 2}, "either after_chunks or after_bytes"),
    ],
)
def test_values_that_do_not_go_together(fields: dict[str, Any], said: str) -> None:
    """A value that would be ignored is refused: its author expects something of it."""
    with pytest.raises(ValueError, match=said):
        Fault(**fields)


@pytest.mark.parametrize(
    ("fields", "times"),
    [
        ({}, 1),
        ({"after_s": 5}, 1),
        ({"every": 3}, None),
        ({"share": 0.5}, None),
        ({"for_s": 5}, None),
        ({"for_s": 5, "times": 2}, 2),
    ],
)
def test_times_unless_told(fields: dict[str, Any], times: int | None) -> None:
    """One call, or no limit where something else says which calls."""
    assert Fault(**fields).times == times


def test_fault_read_from_json() -> None:
    """A field that there is not is an error, also one that only the server sets."""
    assert read({"status": 503, "for_s": 60}, "lab") == Fault(status=503, for_s=60, by="lab")
    for name in ("by", "id", "deploymnet"):
        with pytest.raises(ValueError, match=f"A fault has no {name}. It has: deployment, kind"):
            read({name: "x"})
