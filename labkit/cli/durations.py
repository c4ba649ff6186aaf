"""Lengths of time as people write them on a command line: 500ms, 2s, 1.5m, 2h; a bare number is seconds."""

import re

import typer

_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}


def seconds(text: str) -> float:
    """The seconds that ``text`` means; a usage error when it means none."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no length of time; write 500ms, 2s, 1.5m or 2h.")
    return float(found[1]) * _SECONDS[found[2]]


def shown(length_s: float) -> str:
    """``length_s`` for a person: "500 ms", "2.5 s", "9 min 38 s", "2 h"."""
    if length_s < 1:
        return f"{round(length_s * 1000):g} ms"
    if length_s < 10:
        return f"{round(length_s, 2):g} s"
    minutes, whole_s = divmod(round(length_s), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (whole_s, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
