"""A fault in words, as ``labkit azure fault`` prints it."""

from collections.abc import Mapping
from typing import Any

from labkit.cli.durations import shown

Fault = Mapping[str, Any]


def described(fault: Fault) -> str:
    """What ``fault``, as the local Azure describes it, does to which calls and when: one line, its id first."""
    return f"{fault['id']}  {_calls(fault)}: {_effect(fault)}{_when(fault)}"


def _calls(fault: Fault) -> str:
    of = f" of {fault['deployment']}" if fault["deployment"] else ""
    kind = {None: "call", "chat": "chat call", "embeddings": "embeddings call", "responses": "responses call"}
    noun = "stream" if fault["kind"] == "slow_stream" else kind[fault["operation"]]
    said = f" that says {fault['contains']!r}" if fault["contains"] else ""
    left = fault.get("times_left", fault["times"])
    most = "" if left is None else f", {left} at most"
    if fault["share"] not in (None, 1):
        return f"{fault['share'] * 100:g} % of the {noun}s{of}{said}{most}"
    if (fault["every"] or 1) > 1:
        return f"one {noun} in {fault['every']}{of}{said}{most}"
    if left is None or fault["every"] or fault["share"]:
        return f"every {noun}{of}{said}{most}"
    return f"the next {noun}{of}{said}" if left == 1 else f"the next {left} {noun}s{of}{said}"


def _effect(fault: Fault) -> str:
    delay = shown(fault["delay_ms"] / 1000) + ("" if fault["real"] else " of simulated time")
    late = f", {delay} late" if fault["delay_ms"] else ""
    after = None if fault["retry_after_s"] is None else shown(fault["retry_after_s"])
    factor = fault["factor"] or 1
    effects = {
        "status": f"status {fault['status']}" + (f", retry after {after}" if after else "") + late,
        "slow": f"{delay} late",
        "first_byte": f"nothing for {delay}",
        "slow_stream": f"{factor:g} times as slow" if fault["factor"] else f"{delay} for each token",
        "latency": f"{factor:g} times as slow",
        "cut": f"cut {_place(fault)}",
        "reset": f"connection reset{late}",
        "drop": f"connection closed without an answer{late}",
    }
    return effects[fault["kind"]]


def _place(fault: Fault) -> str:
    if fault["after_chunks"] is not None:
        return f"after {fault['after_chunks']} chunks of a stream, or half-way through a plain answer"
    return "half-way" if fault["after_bytes"] is None else f"after {fault['after_bytes']} bytes"


def _when(fault: Fault) -> str:
    """The window on the local Azure's clock: what remains of it where that is known."""
    starts_s = fault.get("starts_in_s", fault["after_s"])
    ends_s = fault.get("ends_in_s")
    length_s = fault["for_s"] if ends_s is None else ends_s - starts_s
    start = f", in {shown(starts_s)}" if starts_s else ""
    return start + ("" if length_s is None else f", for {shown(length_s)}")
