"""A small course of two tasks: solved notebooks and rubrics, as ``solutions/`` has them."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from labkit.grading import notebook as notebooks
from labkit.grading.notebook import node

SETUP = """
import os
import urllib.request


def ask_for_a_token():
    url = os.environ["IDENTITY_ENDPOINT"] + "?api-version=2019-08-01&resource=https://management.azure.com/"
    request = urllib.request.Request(url, headers={"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]})
    return urllib.request.urlopen(request).status
"""

DOUBLE = """
def double(number: int) -> int:
    \"\"\"Twice the number.\"\"\"
    ### BEGIN SOLUTION
    return number * 2
    ### END SOLUTION
"""

TOKEN = """
def fetch(times: int) -> list[int]:
    ### BEGIN SOLUTION
    return [ask_for_a_token() for _ in range(times)]
    ### END SOLUTION
"""

CHECK_DOUBLE = """
try:
    print("double", double(4))
except NotImplementedError as error:
    print("not yet:", error)
"""

CHECK_TOKEN = """
try:
    print("fetch", fetch(2))
except NotImplementedError as error:
    print("not yet:", error)
"""

RUBRIC = '''
from labkit.grading.rubric import Evidence, Probe, Score, number, part, share

TASK = "task1"


def asked(secret: str) -> list[int]:
    return [number(secret, f"double {index}", 3, 999) for index in range(3)]


def probes(secret: str) -> list[Probe]:
    inputs = {"numbers": asked(secret)}
    return [
        Probe("1.1", "task1-1-double", "[double(number) for number in numbers]", inputs=inputs, timeout_s=3),
        Probe("1.2", "task1-2-token", """
            statuses = fetch(3)
            return {"statuses": statuses}
        """, timeout_s=3),
    ]


def score(evidence: Evidence) -> list[Score]:
    doubled = evidence.value("1.1", list)
    calls = evidence.calls(probe="1.2")
    in_check = evidence.calls(cell="task1-2-check")
    return [
        share("task1-1-double", {
            "three numbers are doubled": part(
                doubled == [2 * one for one in asked(evidence.secret)],
                seen=evidence.probe("1.1").error or doubled, expected="twice each number"),
        }),
        share("task1-2-token", {
            "three tokens cost three calls": part(len(calls) == 3, weight=2, seen=f"{len(calls)} calls"),
            "the check asked for two": part(len(in_check) == 2, seen=f"{len(in_check)} calls"),
        }),
    ]
'''

RUBRIC_2 = """
from labkit.grading.rubric import Score

TASK = "task2"


def score(evidence):
    return [Score("task2-1-say", 1.0 if evidence.cells["task2-1-say"] == "ran" else 0.0, "It ran or it did not.")]
"""


def code(source: str, **metadata: Any) -> NotebookNode:
    """A code cell."""
    return nbformat.v4.new_code_cell(source.strip("\n"), metadata=metadata)


def text(source: str, **metadata: Any) -> NotebookNode:
    """A markdown cell."""
    return nbformat.v4.new_markdown_cell(source, metadata=metadata)


def marked(grade_id: str, *, points: float | None = None, solution: bool = False, **fields: Any) -> dict[str, Any]:
    """nbgrader's metadata of an answer (``solution``), of a check (``points``), or of a locked cell (neither)."""
    mark = {"schema_version": 3, "grade_id": grade_id, "solution": solution, "locked": not solution, "task": False}
    mark |= {"grade": points is not None} | ({} if points is None else {"points": points}) | fields
    return {"nbgrader": mark}


def notebook(*cells: NotebookNode, **metadata: Any) -> NotebookNode:
    """A notebook whose cells have ids that say where they stand."""
    made = nbformat.v4.new_notebook(metadata=metadata)
    made.cells = list(cells)
    for index, cell in enumerate(made.cells):
        cell["id"] = f"id{index}"
    return made


def first_task() -> NotebookNode:
    """The solved notebook of task 1: two exercises, a hint that vanishes, a question for a person."""
    return notebook(
        text("# Task 1"),
        code(SETUP, **marked("task1-setup")),
        text("Double a number."),
        code(DOUBLE, **marked("task1-1-double", solution=True)),
        code(CHECK_DOUBLE, **marked("task1-1-check", points=4)),
        code("print('only in the solution')", tags=["solution"]),
        code(TOKEN, **marked("task1-2-token", solution=True)),
        code(CHECK_TOKEN, **marked("task1-2-check", points=6)),
        text("Because.", **marked("task1-2-why", points=2, solution=True)),
        text("The end."),
    )


def second_task() -> NotebookNode:
    """The solved notebook of task 2: one exercise."""
    answer = "### BEGIN SOLUTION\n### STUB: answer = None\nanswer = 42\n### END SOLUTION\nprint(answer)"
    return notebook(
        text("# Task 2"),
        code(answer, **marked("task2-1-say", solution=True)),
        code("assert answer is None or answer == 42", **marked("task2-1-check", points=5)),
    )


def write(path: Path, made: NotebookNode) -> Path:
    """Write ``made`` to ``path``; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(notebooks.dumps(node(made)))
    return path


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    """The folder with both solved notebooks and their rubrics."""
    folder = tmp_path / "solutions"
    write(folder / "01_first.ipynb", first_task())
    write(folder / "02_second.ipynb", second_task())
    (folder / "rubric").mkdir()
    (folder / "rubric" / "task1.py").write_text(dedent(RUBRIC), "utf-8")
    (folder / "rubric" / "task2.py").write_text(dedent(RUBRIC_2), "utf-8")
    return folder
