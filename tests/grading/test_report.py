"""What students and instructors read."""

import csv
import json
from pathlib import Path

import pytest

from labkit.grading import report
from labkit.grading.restore import Problem
from labkit.grading.result import ExerciseResult, TaskResult, from_dict

FULL = ExerciseResult("task1-1-a", "1.1", 3.5, 4.0, "Nearly.", "2 calls", "1 call")
FIRST = TaskResult("task1", "01_first", "graded", "", (FULL,), (Problem("edited", "task1-1-check", "It was edited."),))
NONE = ExerciseResult("task2-1-a", "2.1", 0.0, 5.0, "No notebook was handed in.")
SECOND = TaskResult("task2", "02_second", "missing", "No notebook was handed in.", (NONE,))


def test_a_result_survives_json() -> None:
    """What is kept between two runs reads back the same."""
    assert from_dict(json.loads(json.dumps(FIRST.as_dict()))) == FIRST
    with pytest.raises((KeyError, TypeError)):
        from_dict({"task": "task1"})


def test_the_students_report(tmp_path: Path) -> None:
    """Points, reasons, what was seen and expected, and what was wrong with the notebook."""
    path = report.write_student(tmp_path, "ann", [FIRST, SECOND])
    told = json.loads(path.read_text("utf-8"))
    assert (path.name, told["student"], told["points"], told["max_points"]) == ("ann.json", "ann", 3.5, 9.0)
    assert told["tasks"]["task1"]["exercises"][0]["seen"] == "2 calls"
    assert told["tasks"]["task1"]["problems"][0]["text"] == "It was edited."
    assert told["tasks"]["task2"]["state"] == "missing"


def test_the_class_table(tmp_path: Path) -> None:
    """One row a student, a column a task, and what a person should look at; a spreadsheet runs none of it."""
    path = report.write_class(tmp_path, {"=cmd|' /C calc'!A0": [FIRST, SECOND], "bob": [FIRST]})
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    assert rows == [
        ["student", "task1", "task2", "total", "max", "problems"],
        [
            "'=cmd|' /C calc'!A0", "3.5", "0.0", "3.5", "9.0",
            "not handed in: task2 | task1: It was edited.",
        ],
        ["bob", "3.5", "0.0", "3.5", "4.0", "task1: It was edited."],
    ]  # fmt: skip
