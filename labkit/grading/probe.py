"""Probes: hidden inputs sent to the student's functions, whose values come back as plain JSON data."""

import ast
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import orjson
from nbformat import NotebookNode

from labkit.errors import LabkitError
from labkit.grading.kernel_side import MIME
from labkit.grading.notebook import node
from labkit.localazure.faults import Fault

Json: TypeAlias = None | bool | int | float | str | list[Any] | dict[str, Any]
T = TypeVar("T")

MAX_VALUE_BYTES = 256 * 1024
NO_VALUE = "it brought back no value"
TOO_LARGE = "its value is too large, or is none"
_METADATA = "labkit_probe"
_MISSING = object()


class ProbeError(LabkitError):
    """A rubric's probe cannot be run; a fault of the rubric, not of the submission."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to the student's functions, asked after the notebook ran, each in a cell of its own.

    ``code`` sees the student's names, may ``await``, and leaves none of its own behind. Its value is what it returns,
    else its last line as in a notebook, turned into plain JSON data (tables, answers of the SDK and numpy numbers
    too). ``inputs`` are names it finds defined; hidden inputs belong there or in the code, expected values nowhere.
    ``faults`` wait in the local Azure when it starts, and are cleared when the next one does; rate limits start anew.
    """

    id: str
    exercise: str
    code: str
    inputs: Mapping[str, Json] = field(default_factory=dict)
    timeout_s: float = 20.0
    faults: Sequence[Fault] = ()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe brought back: ``value``, or ``error`` in one line when there is none."""

    value: Json = None
    error: str | None = None

    def get(self, *path: str | int, kind: type[T], default: T) -> T:
        """The value at ``path`` (keys and positions) when it is there and of ``kind``, else ``default``.

        Values come from the student's process and may have any shape. An int counts as a float; a bool is no number.
        """
        found = _at(self.value, path)
        if isinstance(found, bool) and kind is not bool:
            return default
        if kind is float and isinstance(found, int):
            return kind(found)  # type: ignore[call-arg]
        return found if isinstance(found, kind) else default


def _at(value: Any, path: Iterable[str | int]) -> Any:
    for step in path:
        is_key = isinstance(value, dict) and step in value
        is_place = isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value)
        if not is_key and not is_place:
            return _MISSING
        value = value[step]
    return value


def cell(probe: Probe) -> NotebookNode:
    """The code cell that asks ``probe``; ProbeError when its code is not Python."""
    source = (
        f"{_function(probe)}\n\n"
        'await __import__("labkit.grading.kernel_side", fromlist=["answer"]).answer('
        f"_labkit_probe, {json.dumps(dict(probe.inputs))!r})"
    )
    return node(
        {
            "cell_type": "code",
            "id": re.sub(r"[^A-Za-z0-9_-]", "-", f"probe-{probe.id}")[:64],
            "metadata": {_METADATA: probe.id},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
    )


def _function(probe: Probe) -> str:
    """``probe.code`` as an async function. By way of the syntax tree, so that indenting changes no string in it."""
    try:
        body = ast.parse(textwrap.dedent(probe.code)).body
    except SyntaxError as error:
        raise ProbeError(f"The probe {probe.id} is not valid Python: {error}.") from error
    if not body:
        raise ProbeError(f"The probe {probe.id} has no code.")
    if isinstance(body[-1], ast.Expr):
        body[-1] = ast.copy_location(ast.Return(body[-1].value), body[-1])
    function = ast.parse(f"async def _labkit_probe({', '.join(probe.inputs)}): pass")
    function.body[0].body = body  # type: ignore[attr-defined]
    return ast.unparse(function)


def probe_id(cell: NotebookNode) -> str | None:
    """The id of the probe that ``cell`` asks, None when it asks none."""
    id = cell.metadata.get(_METADATA)
    return id if isinstance(id, str) else None


def read(outputs: Iterable[NotebookNode], error: str) -> ProbeResult:
    """What the outputs of a probe's cell say; ``error`` is why the cell itself failed, empty when it did not."""
    shown = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    if not shown:
        return ProbeResult(error=error or NO_VALUE)
    found = shown[-1]
    if not isinstance(found, dict) or not _is_small(found):
        return ProbeResult(error=TOO_LARGE)
    if isinstance(found.get("error"), str):
        return ProbeResult(error=found["error"])
    return ProbeResult(value=found.get("value"))


def _is_small(value: object) -> bool:
    try:
        return len(orjson.dumps(value)) <= MAX_VALUE_BYTES
    except (TypeError, orjson.JSONEncodeError):
        return False
