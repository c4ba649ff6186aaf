"""The promises: solved notebooks hold, blank ones run and pass nothing, derived means derived, nothing volatile."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.grading import release
from labkit.localazure import LocalAzure
from tests.notebooks.kernel import NOTEBOOKS, REPO, SOLUTIONS, TASKS, grade_id, kernel, read, text, verdicts

# What must not stand in a stored output: it would differ on another machine or at another time. (The made-up week of
# task 4 begins on 2026-11-16.)
VOLATILE = re.compile(
    r"127\.0\.0\.1|localhost|:\d{5}\b|/home/|/tmp/|0x[0-9a-f]{6,}"
    r"|eyJ[A-Za-z0-9_-]{10,}|(?<!2026-11-16 )\d\d:\d\d:\d\d"
)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_blank_notebook_runs_to_its_end_and_passes_nothing(task: str, tmp_path: Path) -> None:
    """Run All on an unsolved notebook: no cell fails, and every check says kindly that it is not done yet."""
    said = []
    with kernel(tmp_path) as running:
        for cell in read(NOTEBOOKS / f"{task}.ipynb").cells:
            if cell.cell_type == "code":
                done = running.run(cell)
                assert not [o for o in done.outputs if o.output_type == "error"], text(done)
                said += verdicts(done)
    assert said == ["not_yet"] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "done", [pytest.param((0, 2), id="first-and-third"), pytest.param((1, 3), id="second-and-fourth")]
)
@pytest.mark.parametrize("task", TASKS)
def test_half_done_notebook_runs_to_its_end(task: str, done: tuple[int, int], tmp_path: Path) -> None:
    """With two of four exercises done no cell fails: those two pass, the others are not done yet."""
    solved = {grade_id(cell): cell.source for cell in read(SOLUTIONS / f"{task}.ipynb").cells}
    said, answers = [], 0
    with kernel(tmp_path) as running:
        for cell in read(NOTEBOOKS / f"{task}.ipynb").cells:
            if cell.cell_type != "code":
                continue
            source = cell.source
            if cell.metadata.get("nbgrader", {}).get("solution"):
                source, answers = solved[grade_id(cell)] if answers in done else source, answers + 1
            ran = running.run(cell, source)
            assert not [o for o in ran.outputs if o.output_type == "error"], text(ran)
            said += verdicts(ran)
    assert said == ["passed" if place in done else "not_yet" for place in range(4)]


@pytest.mark.parametrize("task", TASKS)
def test_solved_notebook_is_stored_with_every_check_green(task: str) -> None:
    """What stands in the repository was run: four checks, all passed, no error, no warning."""
    cells = [cell for cell in read(SOLUTIONS / f"{task}.ipynb").cells if cell.cell_type == "code"]
    assert [verdict for cell in cells for verdict in verdicts(cell)] == ["passed"] * 4
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


@pytest.mark.parametrize("task", TASKS)
def test_stored_outputs_hold_nothing_volatile(task: str) -> None:
    """No port, address, path, token or time of day in what the solved notebooks show."""
    for cell in read(SOLUTIONS / f"{task}.ipynb").cells:
        found = VOLATILE.search(text(cell)) if cell.cell_type == "code" else None
        assert found is None, f"{grade_id(cell) or cell.id}: {found}"


def test_notebooks_are_derived_from_solutions() -> None:
    """notebooks/ equals what the release makes of solutions/, byte for byte."""
    assert release.plan(SOLUTIONS, REPO / "notebooks") == []


@pytest.mark.parametrize("task", TASKS)
def test_student_notebook_does_not_hold_the_answers(task: str) -> None:
    """No line of a solution is left in what students get."""
    blank = "\n".join(cell.source for cell in read(NOTEBOOKS / f"{task}.ipynb").cells)
    assert "SOLUTION" not in blank
    assert blank.count("raise NotImplementedError(") >= 4
    assert "A model answer" not in blank


@pytest.mark.parametrize("task", TASKS)
def test_a_lab_is_short_enough_to_teach(task: str) -> None:
    """Cells stay small: no example of more than 25 lines, and the whole lab fits its time."""
    cells = read(NOTEBOOKS / f"{task}.ipynb").cells
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    assert 20 <= len(cells) <= 36
    assert words <= 1100


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_solved_notebook_runs_under_papermill(task: str, tmp_path: Path) -> None:
    """`labkit run` executes the solved notebook strictly: a failing check would end it with exit code 1."""
    (tmp_path / "solutions").mkdir()
    shutil.copy(SOLUTIONS / f"{task}.ipynb", tmp_path / "solutions")
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "run", str(tmp_path / "solutions"), "--save"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    saved = (tmp_path / "solutions" / f"{task}.ipynb").read_bytes()
    assert saved == (SOLUTIONS / f"{task}.ipynb").read_bytes(), "run again, the outputs are not the stored ones"


@pytest.mark.slow
def test_all_four_on_one_azure_and_the_first_again(tmp_path: Path) -> None:
    """`make lab` is one Azure for the whole workbook: no task spoils another, and a task can be done twice."""
    with LocalAzure(latency_scale=0.02) as local:
        for task in (*TASKS, TASKS[0]):
            with kernel(tmp_path, LABKIT_STRICT="1", **local.environment()) as running:
                for cell in read(SOLUTIONS / f"{task}.ipynb").cells:
                    if cell.cell_type == "code":
                        done = running.run(cell)
                        assert not [o for o in done.outputs if o.output_type == "error"], f"{task}: {text(done)}"
