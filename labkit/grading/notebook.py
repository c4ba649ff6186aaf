"""Reads, tidies and writes notebooks: what release, run and grade have in common."""

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.errors import LabkitError

MAX_BYTES = 10 * 2**20

# How the id of a cell begins that came without one; ids tell cells apart, and these only say where a cell stood.
POSITION_ID = "position-"

# What editors and papermill leave behind; none of it belongs to the lesson.
_RUN_METADATA = frozenset(
    {"papermill", "execution", "widgets", "signature", "celltoolbar", "collapsed", "scrolled", "ExecuteTime", "vscode"}
)
_LANGUAGE = {"name": "python"}
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class UnreadableNotebookError(LabkitError):
    """The file is not a notebook that can be run; the message is the reason a report gives."""


@dataclass(frozen=True, slots=True)
class Mark:
    """nbgrader's metadata of a cell: one with ``grade`` gives points, with ``solution`` is the student's to write."""

    grade_id: str
    grade: bool = False
    solution: bool = False
    locked: bool = False
    points: float | None = None

    @property
    def is_manual(self) -> bool:
        """True for an answer in prose that a person reads (nbgrader: grade and solution at once)."""
        return self.grade and self.solution


def read(path: Path) -> NotebookNode:
    """The notebook in ``path``, in today's format and without outputs; UnreadableNotebookError says what is wrong."""
    return parse(_bytes(path))


def parse(raw: bytes) -> NotebookNode:
    """The notebook in ``raw``, in today's format and without outputs; UnreadableNotebookError says what is wrong."""
    document = _document(raw)
    major = document.get("nbformat")
    if not isinstance(major, int) or not 1 <= major <= nbformat.current_nbformat:
        raise UnreadableNotebookError(f"The notebook's format is {major!r}; formats 1 to 4 can be read.")
    try:
        notebook = _upgrade(document, major)
        # A submission may come from a newer editor: fields we do not know do no harm.
        nbformat.validate(notebook, relax_add_props=True)
    except UnreadableNotebookError:
        raise
    except Exception as error:  # nbformat meets a broken document with whatever error its first wrong step raises
        raise UnreadableNotebookError(f"The file is not a valid notebook: {_first_line(error)}") from error
    if not notebook.cells:
        raise UnreadableNotebookError("The notebook has no cells.")
    return notebook


def _bytes(path: Path) -> bytes:
    if path.is_symlink():
        raise UnreadableNotebookError("The file is a link, not a notebook.")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableNotebookError(f"The file cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_BYTES:
        raise UnreadableNotebookError(f"The file is larger than {MAX_BYTES // 2**20} MB; clearing its outputs helps.")
    return raw


def _document(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        raise UnreadableNotebookError("The file is empty.")
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        reason = f"The file is not valid JSON (line {error.lineno}: {error.msg}). It may have been cut off."
        raise UnreadableNotebookError(reason) from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UnreadableNotebookError("The file is not a notebook: it is not JSON text.") from error
    if not isinstance(document, dict):
        raise UnreadableNotebookError("The file is JSON, but not a notebook.")
    return document


def _upgrade(document: dict[str, Any], major: int) -> NotebookNode:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what is repaired below
        if major == nbformat.current_nbformat:
            document = _repaired(document)
        notebook = nbformat.reads(json.dumps(document), as_version=4)  # type: ignore[no-untyped-call]
    return node(_repaired(notebook))


def _repaired(document: dict[str, Any]) -> dict[str, Any]:
    """A shallow copy without outputs, in which every cell has metadata and an id of its own."""
    cells = document.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise UnreadableNotebookError("The notebook has no list of cells.")
    seen: set[str] = set()
    repaired = [_repaired_cell(cell, index, seen) for index, cell in enumerate(cells)]
    return {**document, "metadata": _mapping(document.get("metadata")), "cells": repaired, "nbformat_minor": 5}


def _repaired_cell(cell: dict[str, Any], index: int, seen: set[str]) -> dict[str, Any]:
    fresh = {**cell, "metadata": _mapping(cell.get("metadata")), "id": _cell_id(cell.get("id"), index, seen)}
    if fresh.get("cell_type") == "code":
        fresh |= {"outputs": [], "execution_count": None}
    if isinstance(fresh.get("source"), str):
        # A lone surrogate is legal in JSON, but nothing can send it to a kernel.
        fresh["source"] = fresh["source"].encode("utf-8", "replace").decode("utf-8")
    return fresh


def _cell_id(given: object, index: int, seen: set[str]) -> str:
    """``given`` when it is a usable id not seen before, else one that depends on the position alone."""
    id = given if isinstance(given, str) and given and given not in seen else f"{POSITION_ID}{index}"
    while id in seen:
        id += "-again"
    seen.add(id)
    return id


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no details'}"[:200]


def node(value: Mapping[str, Any]) -> NotebookNode:
    """``value`` as a notebook's node, copied to its last leaf."""
    copied: NotebookNode = nbformat.from_dict(json.loads(json.dumps(value)))  # type: ignore[no-untyped-call]
    return copied


def same_text(one: str, other: str) -> bool:
    """True when a person sees no difference: editors may change blanks at the end of lines."""
    return seen_text(one) == seen_text(other)


def seen_text(source: str) -> str:
    """``source`` without blanks at the end of lines and without blank lines at its end."""
    return "\n".join(line.rstrip() for line in source.rstrip().splitlines())


def mark(cell: NotebookNode) -> Mark | None:
    """The nbgrader mark of ``cell``, or None when it has none (or one that cannot be read)."""
    fields = cell.metadata.get("nbgrader")
    if not isinstance(fields, Mapping) or not isinstance(fields.get("grade_id"), str):
        return None
    points = fields.get("points")
    return Mark(
        grade_id=fields["grade_id"],
        grade=fields.get("grade") is True,
        solution=fields.get("solution") is True,
        locked=fields.get("locked") is True,
        points=float(points) if isinstance(points, int | float) and not isinstance(points, bool) else None,
    )


def tags(cell: NotebookNode) -> list[str]:
    """The tags of ``cell``."""
    given = cell.metadata.get("tags")
    return [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []


def is_run(cell: NotebookNode) -> bool:
    """True when executing the notebook executes ``cell``: code, and not blank."""
    return bool(cell.cell_type == "code" and cell.source.strip())


def title(cell: NotebookNode, index: int) -> str:
    """How messages name ``cell``: its grade id, else its number counted from 1."""
    marked = mark(cell)
    return marked.grade_id if marked else f"cell {index + 1}"


def tidy(notebook: NotebookNode) -> NotebookNode:
    """A copy of an executed ``notebook`` in which only what the lesson says is left, the same after every run."""
    fresh = node(notebook)
    fresh.metadata = _clean(fresh.metadata) | {"kernelspec": dict(_KERNEL), "language_info": dict(_LANGUAGE)}
    fresh.nbformat, fresh.nbformat_minor = 4, 5
    count = 0
    for cell in fresh.cells:
        cell.metadata = _clean(cell.metadata)
        if cell.cell_type == "code":
            count += is_run(cell)
            cell.execution_count = count if is_run(cell) else None
            cell.outputs = _tidy_outputs(cell.outputs, cell.execution_count)
    return node(fresh)


def _clean(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key not in _RUN_METADATA}
    if not kept.get("tags"):
        kept.pop("tags", None)  # papermill gives every cell an empty list
    return kept


def _tidy_outputs(outputs: Iterable[NotebookNode], count: int | None) -> list[NotebookNode]:
    """The outputs with pieces of one stream joined: where the kernel cut them is chance."""
    tidied: list[NotebookNode] = []
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        if output.output_type == "stream" and output.name in streams:
            streams[output.name].text += output.text
        elif output.output_type == "stream":
            streams[output.name] = output
        else:
            tidied += _in_order(streams)
            streams = {}
            tidied.append(_tidy_result(output, count))
    return tidied + _in_order(streams)


def _in_order(streams: Mapping[str, NotebookNode]) -> list[NotebookNode]:
    return [streams[name] for name in ("stdout", "stderr") if name in streams]


def _tidy_result(output: NotebookNode, count: int | None) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = count
    if "data" in output:
        # A widget's view points at a model that is gone with its kernel; its id is random.
        output.data.pop(_WIDGET_VIEW, None)
    return output


def dumps(notebook: NotebookNode) -> bytes:
    """The file's bytes: keys sorted, one line for each line of source, a newline at the end."""
    text: str = nbformat.writes(notebook, version=4)  # type: ignore[no-untyped-call]
    return text.rstrip("\n").encode("utf-8") + b"\n"


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` in ``path`` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fresh.write_bytes(content)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
