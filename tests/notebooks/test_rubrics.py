"""The rubrics: full marks for the solutions, nothing for blanks, and never full marks for a plausible mistake."""

import json
import os
from pathlib import Path

import nbformat
import pytest

from labkit.grading.grade import Options, grade_class
from tests.notebooks.kernel import NOTEBOOKS, SOLUTIONS, TASKS, grade_id, read
from tests.notebooks.wrong_answers import WRONG_ANSWERS

# Student -> which of an exercise's mistakes they make; None hands in the answer as it is in the folder named.
STUDENTS = {"solved": (SOLUTIONS, None), "blank": (NOTEBOOKS, None), "first": (SOLUTIONS, 0), "second": (SOLUTIONS, 1)}
Report = dict[str, dict[str, tuple[float, float]]]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """For each student and exercise the points and the most there are."""
    submissions, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("grades")
    for student, (folder, mistake) in STUDENTS.items():
        for task in TASKS:
            _hand_in(submissions / student / f"{task}.ipynb", folder / f"{task}.ipynb", mistake)
    grade_class(submissions, Options(solutions=SOLUTIONS, out=out, jobs=os.cpu_count() or 1), lambda step: None)
    return {student: _points(out / f"{student}.json") for student in STUDENTS}


def _hand_in(path: Path, source: Path, mistake: int | None) -> None:
    notebook = read(source)
    for cell in notebook.cells:
        wrong = WRONG_ANSWERS.get(grade_id(cell) or "", [])
        if wrong and mistake is not None:
            cell.source = cell.source.replace(wrong[mistake].right, wrong[mistake].wrong)
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)


def _points(path: Path) -> dict[str, tuple[float, float]]:
    tasks = json.loads(path.read_text("utf-8"))["tasks"].values()
    assert [task["state"] for task in tasks] == ["graded"] * 4, tasks
    return {one["exercise"]: (one["points"], one["max_points"]) for task in tasks for one in task["exercises"]}


@pytest.mark.slow
@pytest.mark.parametrize("exercise", WRONG_ANSWERS)
def test_points_follow_the_answer(report: Report, exercise: str) -> None:
    """The solution gets all points, the stub none, and each of two mistakes less than all."""
    _, full = report["solved"][exercise]
    assert full > 0
    assert report["solved"][exercise] == (full, full)
    assert report["blank"][exercise] == (0, full)
    assert report["first"][exercise][0] < full, WRONG_ANSWERS[exercise][0].mistake
    assert report["second"][exercise][0] < full, WRONG_ANSWERS[exercise][1].mistake
