"""Makes a small class of submissions from the solutions, so that anyone can see grading work."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from labkit.errors import LabkitError
from labkit.grading import notebook as notebooks
from labkit.grading import task as tasks
from labkit.grading.exercises import Exercise
from labkit.grading.notebook import mark
from labkit.grading.task import Task

# Tells a folder that may be made anew from one with somebody's work in it.
_STAMP = ".labkit-sample"
_ENDLESS = "while True:\n    pass"
_EXIT = "import sys\n\nsys.exit(0)"


class SampleError(LabkitError):
    """The sample cannot be written there."""


def make(solutions: Path, out: Path) -> list[str]:
    """Write the sample class to ``out``; returns the students' names, which say what is in their notebooks."""
    loaded = tasks.load(solutions)
    if out.exists() and not (out / _STAMP).is_file():
        raise SampleError(f"{out} is there already and is no sample class. Name a folder that is not there yet.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / _STAMP).write_text("Made by `labkit sample`, which makes it anew; do not keep anything here.\n", "utf-8")
    students = _students(loaded, {task.stem: notebooks.read(solutions / f"{task.stem}.ipynb") for task in loaded})
    for student, files in students.items():
        for stem, content in files.items():
            notebooks.write_atomically(out / student / f"{stem}.ipynb", content)
    return list(students)


def _students(loaded: list[Task], solved: dict[str, NotebookNode]) -> dict[str, dict[str, bytes]]:
    """Six students. Few have every notebook: a class of twenty-four runs would show nothing more."""
    first, second, last = loaded[0], loaded[min(1, len(loaded) - 1)], loaded[-1]
    half = {task.stem: _answered(task, solved[task.stem], task.exercises[:2]) for task in (first, second)}
    return {
        "solved": {task.stem: notebooks.dumps(solved[task.stem]) for task in loaded},
        "half-done": {stem: notebooks.dumps(notebook) for stem, notebook in half.items()},
        "untouched": {first.stem: notebooks.dumps(first.released)},
        "truncated": {second.stem: _first_half(notebooks.dumps(half[second.stem]))},
        "endless-loop": {last.stem: notebooks.dumps(_looping(last, solved[last.stem]))},
        "tampered": {first.stem: notebooks.dumps(_tampered(first, half[first.stem]))},
    }


def _answered(task: Task, solved: NotebookNode, exercises: Iterable[Exercise]) -> NotebookNode:
    """The released notebook with the answers of ``exercises`` filled in."""
    wanted = {grade_id for exercise in exercises for grade_id in exercise.cells}
    answers = {found.grade_id: cell.source for cell in solved.cells if (found := mark(cell)) and found.solution}
    notebook = notebooks.node(task.released)
    for cell in notebook.cells:
        found = mark(cell)
        if found and found.solution and found.grade_id in wanted:
            cell.source = _without_markers(answers[found.grade_id])
    return notebook


def _without_markers(source: str) -> str:
    return "\n".join(line for line in source.split("\n") if not line.lstrip().startswith("### "))


def _looping(task: Task, solved: NotebookNode) -> NotebookNode:
    """All answers, but the first exercise's is a loop without end."""
    notebook = _answered(task, solved, task.exercises)
    answer = next(cell for cell in notebook.cells if (found := mark(cell)) and found.solution)
    answer.source = _ENDLESS
    return notebook


def _tampered(task: Task, notebook: NotebookNode) -> NotebookNode:
    """The first check deleted, the others made to leave the kernel."""
    fresh = notebooks.node(notebook)
    checks = [cell for cell in fresh.cells if (found := mark(cell)) and found.grade and found.locked]
    for check in checks[1:]:
        check.source = _EXIT
    fresh.cells = [cell for cell in fresh.cells if cell is not checks[0]]
    return fresh


def _first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]
