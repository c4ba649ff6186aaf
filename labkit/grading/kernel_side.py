"""What runs inside the student's kernel when a probe asks (it calls, and shows the value as JSON) or time is up.

The kernel is the student's, so nothing here is trusted or secret; whoever reads the value checks it.
"""

import dataclasses
import json
import math
import signal
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from typing import Any

# What the grader sends when the usual interrupt did not help; Windows has no such signal.
INSIST: signal.Signals | None = getattr(signal, "SIGUSR1", None)
MIME = "application/vnd.labkit.probe+json"

_DEEPEST = 20
_MOST_VALUES = 20_000
_LONGEST_TEXT = 20_000
_LARGEST_INT = 2**53


def listen() -> None:
    """Make the signal INSIST raise KeyboardInterrupt wherever the cell is; run when the kernel starts.

    ipykernel turns the usual interrupt of a cell with ``await`` in it into a cancellation, which does nothing while the
    cell computes without end and never waits.
    """
    if INSIST is not None:
        signal.signal(INSIST, signal.default_int_handler)


async def answer(probe: Callable[..., Awaitable[object]], inputs: str) -> None:
    """Call ``probe`` with the JSON object ``inputs`` as arguments; show ``{"value": …}`` or ``{"error": "…"}``."""
    from IPython.display import publish_display_data

    try:
        shown: dict[str, Any] = {"value": plain(await probe(**json.loads(inputs)))}
    except KeyboardInterrupt:
        raise  # the grader stops a probe that takes too long
    except BaseException as error:
        shown = {"error": f"{type(error).__name__}: {error}"[:500]}
    publish_display_data({MIME: shown, "text/plain": "probe"})  # type: ignore[no-untyped-call]


def plain(value: object) -> Any:
    """``value`` as plain JSON data: tables become lists of rows, numbers that JSON lacks become their names."""
    return _plain(value, [_MOST_VALUES], 0)


def _plain(value: object, budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > _DEEPEST:
        return "…"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)[:_LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, budget, depth + 1) for item in value]
    return _object(value, budget, depth)


def _key(key: object) -> str:
    return str(key)[:200].encode("utf-8", "replace").decode("utf-8")


def _number(value: float) -> int | float | str:
    if isinstance(value, int):
        return int(value) if abs(value) <= _LARGEST_INT else float(value)
    return float(value) if math.isfinite(value) else str(float(value))


def _object(value: Any, budget: list[int], depth: int) -> Any:
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": str(value)[:500]}
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _plain(fields, budget, depth + 1)
    for attribute, as_plain in _WAYS.items():
        if hasattr(value, attribute) and not isinstance(value, type):
            return _plain(as_plain(value), budget, depth + 1)
    return {"type": type(value).__name__, "repr": repr(value)[:200]}


# How the objects of the course's libraries become plain ones, by an attribute that tells them, tried in this order.
_WAYS: dict[str, Callable[[Any], object]] = {
    "model_dump": lambda answer: answer.model_dump(mode="json"),  # pydantic: the SDK's answers
    "columns": lambda table: table.reset_index().to_dict("records"),  # a pandas DataFrame, its index a column
    "to_dict": lambda series: series.to_dict(),  # a pandas Series
    "as_dict": lambda model: model.as_dict(),  # azure-mgmt models
    "tolist": lambda array: array.tolist(),  # numpy arrays and numbers
}
