"""Every check bites: it refuses plausible wrong answers, and then accepts the right one."""

import pytest
from nbformat import NotebookNode

from tests.notebooks.kernel import SOLUTIONS, TASKS, Kernel, grade_id, kernel, read, text, verdicts
from tests.notebooks.wrong_answers import WRONG_ANSWERS


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_checks_refuse_wrong_answers(task: str, tmp_path) -> None:
    """In each exercise every wrong answer fails its check, and the solved one passes it afterwards."""
    cells = [cell for cell in read(SOLUTIONS / f"{task}.ipynb").cells if cell.cell_type == "code"]
    with kernel(tmp_path) as running:
        for position, cell in enumerate(cells):
            wrong = WRONG_ANSWERS.get(grade_id(cell) or "", [])
            if wrong:
                between, check = _up_to_check(cells, position)
                for given in between:
                    running.run(given)
                _refuses(running, cell, wrong, check)
            done = running.run(cell)
            assert not _errors(done), f"{grade_id(cell)}: {text(done)}"
            assert set(verdicts(done)) <= {"passed"}, text(done)


def _refuses(running: Kernel, answer: NotebookNode, wrong: list, check: NotebookNode) -> None:
    for mistake, right, replacement in wrong:
        assert answer.source.count(right) == 1, f"{mistake}: {right!r} does not stand once in the solved answer"
        defined = running.run(answer, answer.source.replace(right, replacement))
        assert not _errors(defined), f"{mistake}: {text(defined)}"
        refused = running.run(check)
        assert verdicts(refused) in (["failed"], ["error"]), f"{grade_id(answer)} accepts: {mistake}\n{text(refused)}"


def _up_to_check(cells: list[NotebookNode], position: int) -> tuple[list[NotebookNode], NotebookNode]:
    """The cells between the answer at ``position`` and its check, and the check."""
    end = next(k for k in range(position, len(cells)) if (grade_id(cells[k]) or "").endswith("-check"))
    return cells[position + 1 : end], cells[end]


def _errors(cell: NotebookNode) -> list[NotebookNode]:
    return [output for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("task", TASKS)
def test_every_exercise_has_wrong_answers(task: str) -> None:
    """Each of the sixteen exercises is tried with at least two mistakes."""
    answers = [
        grade_id(cell)
        for cell in read(SOLUTIONS / f"{task}.ipynb").cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution")
    ]
    assert len(answers) == 4
    assert [len(WRONG_ANSWERS[answer]) >= 2 for answer in answers] == [True] * 4
