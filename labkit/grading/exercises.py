"""The exercises of a task, read from the cells of its notebook."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from nbformat import NotebookNode

from labkit.grading.notebook import Mark, mark

_GRADE_ID = re.compile(r"task(\d+)-(\d+)-\w[\w-]*")


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise: its name is the grade id of its answer; ``cells`` are all its grade ids in order."""

    name: str
    number: str
    max_points: float
    cells: tuple[str, ...]
    is_manual: bool = False


def number(grade_id: str) -> str | None:
    """The exercise a grade id belongs to: ``"2.1"`` for ``task2-1-cache`` and for ``task2-1-check``, else None."""
    found = _GRADE_ID.fullmatch(grade_id)
    return f"{found[1]}.{found[2]}" if found else None


def exercises(notebook: NotebookNode) -> tuple[Exercise, ...]:
    """The exercises of ``notebook`` in order: the cells whose grade ids share a number and that give points."""
    groups: dict[str, list[Mark]] = {}
    for marked in filter(None, map(mark, notebook.cells)):
        # A manual answer is an exercise by itself: a person reads it, a rubric scores the rest.
        key = marked.grade_id if marked.is_manual else number(marked.grade_id)
        if key is not None:
            groups.setdefault(key, []).append(marked)
    return tuple(_exercise(group) for group in groups.values() if any(marked.grade for marked in group))


def _exercise(group: list[Mark]) -> Exercise:
    answers = [marked for marked in group if marked.solution]
    named = (answers or group)[0]
    return Exercise(
        name=named.grade_id,
        number=number(named.grade_id) or named.grade_id,
        max_points=sum(marked.points or 0.0 for marked in group if marked.grade),
        cells=tuple(marked.grade_id for marked in group),
        is_manual=named.is_manual,
    )


def find(exercises: Iterable[Exercise], grade_id: str) -> Exercise | None:
    """The exercise that ``grade_id`` belongs to, or None."""
    return next((exercise for exercise in exercises if grade_id in exercise.cells), None)
