"""Writes what grading came to: one JSON for each student, a table of the class for a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import labkit
from labkit.grading.notebook import write_atomically
from labkit.grading.result import TaskResult

CLASS_TABLE = "class.csv"
# A spreadsheet takes a cell that starts with one of these for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def student_report(student: str, results: Sequence[TaskResult]) -> dict[str, Any]:
    """One student's report as plain data: tasks in order, the same whenever the same submission is graded again."""
    return {
        "student": student,
        "points": total(results),
        "max_points": round(sum(result.max_points for result in results), 2),
        "tasks": {result.task: result.as_dict() for result in results},
        "labkit": labkit.__version__,
    }


def total(results: Iterable[TaskResult]) -> float:
    """The sum over the tasks."""
    return round(sum(result.points for result in results), 2)


def write_student(folder: Path, student: str, results: Sequence[TaskResult]) -> Path:
    """Write ``folder/<student>.json``; returns its path."""
    path = folder / f"{student}.json"
    text = json.dumps(student_report(student, results), indent=2, ensure_ascii=False)
    write_atomically(path, text.encode("utf-8", "replace") + b"\n")
    return path


def write_class(folder: Path, results: Mapping[str, Sequence[TaskResult]]) -> Path:
    """Write ``folder/class.csv``: student, a column for each task, total, problems; returns its path."""
    tasks = sorted({result.task for found in results.values() for result in found})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["student", *tasks, "total", "max", "problems"])
    for student, found in sorted(results.items()):
        points = {result.task: result.points for result in found}
        full = round(sum(result.max_points for result in found), 2)
        row = [student, *(points.get(task, 0.0) for task in tasks), total(found), full, " | ".join(remarks(found))]
        writer.writerow([_harmless(value) for value in row])
    path = folder / CLASS_TABLE
    # The mark at the start tells spreadsheets that the text is UTF-8.
    write_atomically(path, table.getvalue().encode("utf-8-sig", "replace"))
    return path


def remarks(results: Iterable[TaskResult]) -> list[str]:
    """What a person should look at: why a task was not scored, and what was wrong with its notebook."""
    found = list(results)
    absent = [result.task for result in found if result.state == "missing"]
    said = [f"not handed in: {', '.join(absent)}"] if absent else []
    return said + [f"{result.task}: {text}" for result in found for text in _said(result)]


def _said(result: TaskResult) -> list[str]:
    reason = [] if result.state in ("graded", "missing") else [result.reason]
    return reason + [problem.text for problem in result.problems]


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
