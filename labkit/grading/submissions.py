"""Finds the notebooks in a folder of submissions."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import LabkitError


class SubmissionsError(LabkitError):
    """There is nothing to grade in the folder; the message says what it should look like."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The notebook a student handed in for the task with the file name ``stem``; None when there is none."""

    student: str
    stem: str
    path: Path | None


def find(folder: Path, stems: Iterable[str]) -> list[Submission]:
    """What every student in ``folder`` handed in for every one of ``stems``, students in alphabetical order.

    The layout is ``folder/<student>/…/<stem>.ipynb`` at any depth; a course folder of nbgrader's, with ``submitted``
    in it, is taken too. Of several, the one nearest to the top counts; a name that only begins with the stem
    (``01_deployment (1).ipynb``) when there is no exact one.
    """
    if not folder.is_dir():
        raise SubmissionsError(f"There is no folder {folder}. Give the folder that holds one folder for each student.")
    if (folder / "submitted").is_dir():
        folder = folder / "submitted"
    students = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    if not students:
        raise SubmissionsError(f"{folder} has no folders. It should hold one for each student, with the notebooks in.")
    wanted = list(stems)
    return [submission for student in students for submission in _of(student, wanted)]


def _of(student: Path, stems: Iterable[str]) -> Iterator[Submission]:
    notebooks = sorted(_notebooks(student), key=lambda path: (len(path.parts), str(path)))
    for stem in stems:
        exact = [path for path in notebooks if path.stem.lower() == stem.lower()]
        similar = [path for path in notebooks if path.stem.lower().startswith(stem.lower())]
        yield Submission(student.name, stem, next(iter(exact or similar), None))


def _notebooks(folder: Path) -> Iterator[Path]:
    # Links to folders are not followed: a submission must not lead out of its own folder.
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        yield from (Path(place, name) for name in files if name.endswith(".ipynb") and not name.startswith("."))
