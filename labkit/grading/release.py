"""Derives the student notebooks from the solved ones: same cells, answers replaced by stubs, outputs dropped."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from labkit.errors import LabkitError
from labkit.grading import notebook as notebooks
from labkit.grading.exercises import number
from labkit.grading.notebook import Mark, mark

LANGUAGE = "en"
MANUAL_STUB = "*Your answer here.*"

_BEGIN = "### BEGIN SOLUTION"
_END = "### END SOLUTION"
_STUB = "### STUB:"
_VALID_ID = re.compile(r"[A-Za-z0-9_-]+")
_MARK_KEYS = {"schema_version", "grade", "locked", "solution", "task", "grade_id", "points"}


class ReleaseError(LabkitError):
    """A solved notebook cannot be released; the message names the file and the cell."""


@dataclass(frozen=True, slots=True)
class Change:
    """What releasing does to one student notebook: ``content`` None removes it."""

    path: Path
    content: bytes | None
    verb: str


def derive(solution: NotebookNode, source: str) -> NotebookNode:
    """The student notebook made from ``solution``; ``source`` is the file's name, for errors and the stamp."""
    _check_ids(solution, source)
    fresh = notebooks.tidy(solution)
    fresh.cells = [
        _derive_cell(cell, f"{source}, {notebooks.title(cell, index)}")
        for index, cell in enumerate(fresh.cells)
        if "solution" not in notebooks.tags(cell)
    ]
    # The stamp tells a derived file from one somebody keeps beside it; only stamped files are ever removed.
    fresh.metadata["labkit"] = {**fresh.metadata.get("labkit", {}), "derived_from": source}
    return fresh


def _check_ids(solution: NotebookNode, source: str) -> None:
    seen: set[str] = set()
    for index, cell in enumerate(solution.cells):
        where = f"{source}, {notebooks.title(cell, index)}"
        marked = _checked_mark(cell, where)
        if marked is None:
            continue
        if marked.grade_id in seen:
            raise ReleaseError(f"{where}: the grade id is used twice in this notebook. Give each cell its own.")
        seen.add(marked.grade_id)


def _checked_mark(cell: NotebookNode, where: str) -> Mark | None:
    """The cell's mark when it is valid by nbgrader's schema (version 3, read 2026-11-22), ReleaseError when not."""
    fields = cell.metadata.get("nbgrader")
    if fields is None:
        if _has_marker(cell):
            raise ReleaseError(f"{where}: an answer needs nbgrader metadata with a grade_id such as task2-1-cache.")
        return None
    marked = mark(cell)
    if marked is None or not _VALID_ID.fullmatch(marked.grade_id):
        raise ReleaseError(f"{where}: nbgrader metadata needs a grade_id of letters, digits, - and _.")
    unknown = set(fields) - _MARK_KEYS
    if fields.get("schema_version") != 3 or unknown:
        wrong = f"unknown keys {', '.join(sorted(unknown))}" if unknown else "schema_version is not 3"
        raise ReleaseError(f"{where}: nbgrader metadata is not of schema version 3 ({wrong}).")
    _check_roles(cell, marked, where)
    _check_markers(cell, marked, where)
    return marked


def _has_marker(cell: NotebookNode) -> bool:
    return _BEGIN in cell.source or _END in cell.source


def _check_markers(cell: NotebookNode, marked: Mark, where: str) -> None:
    is_code_answer = cell.cell_type == "code" and marked.solution
    if is_code_answer and not _has_marker(cell) and "solution" not in notebooks.tags(cell):
        raise ReleaseError(f"{where}: the answer has no {_BEGIN} … {_END}, so it would be released as it stands.")
    if _has_marker(cell) and not is_code_answer:
        raise ReleaseError(f"{where}: solution markers belong in code cells whose nbgrader metadata says solution.")


def _check_roles(cell: NotebookNode, marked: Mark, where: str) -> None:
    if marked.grade and (marked.points is None or marked.points < 0):
        raise ReleaseError(f"{where}: a cell with grade true needs points, a number from 0.")
    if marked.locked and marked.solution:
        raise ReleaseError(f"{where}: a cell is locked (ours) or a solution (the student's), not both.")
    if marked.grade and not marked.solution and not marked.locked:
        raise ReleaseError(f"{where}: a check must be locked, or a student could change it.")
    if cell.cell_type == "markdown" and marked.grade != marked.solution:
        raise ReleaseError(f"{where}: a markdown answer needs both grade and solution true; a locked text neither.")
    if marked.grade and not marked.solution and number(marked.grade_id) is None:
        raise ReleaseError(f"{where}: the grade id of a check says which exercise it belongs to: task2-1-check.")


def _derive_cell(cell: NotebookNode, where: str) -> NotebookNode:
    marked = mark(cell)
    if cell.cell_type == "code":
        cell.source = stubbed(cell.source, where, marked)
        cell.outputs, cell.execution_count = [], None
    if marked is not None:
        if cell.cell_type == "markdown" and marked.is_manual:
            cell.source = MANUAL_STUB
            cell.metadata["tags"] = sorted({*notebooks.tags(cell), "reflect"})
        cell.metadata["deletable"] = False
        if marked.locked:
            cell.metadata["editable"] = False
    return cell


def stubbed(source: str, where: str, marked: Mark | None = None) -> str:
    """``source`` with each region between the solution markers replaced by its stub; ReleaseError names ``where``."""
    return "\n".join(_stubbed_lines(source.split("\n"), where, marked))


def _stubbed_lines(lines: list[str], where: str, marked: Mark | None) -> Iterator[str]:
    region: list[str] | None = None
    for line in lines:
        text = line.strip()
        if text == _BEGIN:
            if region is not None:
                raise ReleaseError(f"{where}: {_BEGIN} inside a region that is still open. Add {_END} before it.")
            region = [line]
        elif text == _END:
            if region is None:
                raise ReleaseError(f"{where}: {_END} without {_BEGIN} before it.")
            yield from _stub(region, where, marked)
            region = None
        elif _BEGIN in text or _END in text:
            raise ReleaseError(f"{where}: a marker stands alone on its line, but here it is {text!r}.")
        elif region is not None:
            region.append(line)
        else:
            yield line
    if region is not None:
        raise ReleaseError(f"{where}: {_BEGIN} without {_END} after it.")


def _stub(region: list[str], where: str, marked: Mark | None) -> list[str]:
    """What stands for a region: its ``### STUB:`` lines, else a line that says which exercise is not done yet."""
    begin = region[0]
    indent = begin[: len(begin) - len(begin.lstrip())]
    given = [line.strip()[len(_STUB) :].removeprefix(" ") for line in region if line.strip().startswith(_STUB)]
    if given:
        return [f"{indent}{stub}".rstrip() for stub in given]
    exercise = number(marked.grade_id) if marked else None
    if exercise is None:
        raise ReleaseError(f"{where}: the stub needs an exercise number; name the cell like task2-1-cache.")
    return [f'{indent}raise NotImplementedError("{exercise}: your answer here")']


def solved_files(solutions: Path) -> list[Path]:
    """The solved notebooks in ``solutions``, in order; ReleaseError when there are none."""
    if not solutions.is_dir():
        raise ReleaseError(f"There is no folder {solutions}. Run this where the workbook's folders are, or name one.")
    files = sorted(path for path in solutions.glob("*.ipynb") if not path.name.startswith("."))
    if not files:
        raise ReleaseError(f"{solutions} holds no notebooks (*.ipynb).")
    return files


def derive_file(path: Path) -> NotebookNode:
    """The student notebook made from the solved one in ``path``."""
    try:
        return derive(notebooks.read(path), path.name)
    except notebooks.UnreadableNotebookError as error:
        raise ReleaseError(f"{path.name}: {error}") from error


def plan(solutions: Path, target: Path) -> list[Change]:
    """What releasing ``solutions`` would change in ``target`` (in its folder ``en``); nothing is written."""
    folder = target / LANGUAGE
    derived = {path.name: notebooks.dumps(derive_file(path)) for path in solved_files(solutions)}
    changes = [
        Change(folder / name, content, verb)
        for name, content in derived.items()
        if (verb := _difference(folder / name, content))
    ]
    removed = [path for path in sorted(folder.glob("*.ipynb")) if path.name not in derived and _is_derived(path)]
    return changes + [Change(path, None, "left over") for path in removed]


def carry_out(changes: list[Change]) -> None:
    """Write and remove what ``plan`` said, each file in one step."""
    for change in changes:
        if change.content is None:
            change.path.unlink(missing_ok=True)
        else:
            notebooks.write_atomically(change.path, change.content)


def _difference(path: Path, content: bytes) -> str:
    """How the file in ``path`` differs from ``content``; empty when it does not."""
    if not path.is_file():
        return "missing"
    old = path.read_bytes()
    if old == content:
        return ""
    lines, new_lines = (text.decode("utf-8", "replace").splitlines() for text in (old, content))
    told = list(difflib.unified_diff(lines, new_lines, n=0, lineterm=""))[2:]
    return f"changed (+{sum(line[0] == '+' for line in told)} -{sum(line[0] == '-' for line in told)} lines)"


def _is_derived(path: Path) -> bool:
    try:
        stamp = notebooks.read(path).metadata.get("labkit")
    except notebooks.UnreadableNotebookError:
        return False
    return isinstance(stamp, dict) and "derived_from" in stamp
