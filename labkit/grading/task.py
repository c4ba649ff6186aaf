"""The tasks of the course as grading needs them, read from ``solutions/``."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from labkit.grading import release
from labkit.grading.exercises import Exercise, exercises
from labkit.grading.rubric import RubricError


@dataclass(frozen=True, slots=True)
class Task:
    """One graded notebook: ``name`` is ``task2``, ``stem`` the file's name, ``released`` what students got."""

    name: str
    stem: str
    rubric: Path
    exercises: tuple[Exercise, ...]
    digest: str
    released: NotebookNode = field(repr=False)


def load(solutions: Path) -> list[Task]:
    """The graded tasks in ``solutions``; ReleaseError or RubricError says what keeps one from being graded."""
    tasks = [task for path in release.solved_files(solutions) if (task := load_one(path)) is not None]
    if not tasks:
        raise release.ReleaseError(f"No notebook in {solutions} has a cell that gives points (nbgrader's grade: true).")
    return tasks


def load_one(path: Path) -> Task | None:
    """The task whose solved notebook is ``path``; None for a notebook without points, such as the lecture."""
    released = release.derive_file(path)
    found = exercises(released)
    if not found:
        return None
    name = f"task{found[0].number.split('.')[0]}"
    rubric = path.parent / "rubric" / f"{name}.py"
    if not rubric.is_file():
        raise RubricError(f"{path.name} has no rubric: {rubric} is missing.")
    return Task(name, path.stem, rubric, found, _digest(path, rubric.parent), released)


def _digest(solution: Path, rubric_folder: Path) -> str:
    """Changes when the notebook or anything a rubric may import changes."""
    digest = hashlib.sha256(solution.read_bytes())
    for path in sorted(rubric_folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
