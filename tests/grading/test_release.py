"""Student notebooks are derived from solved ones: byte for byte, and with an error for whatever would go wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from labkit.grading import release
from labkit.grading.exercises import exercises, number
from labkit.grading.notebook import dumps, mark
from labkit.grading.release import ReleaseError
from tests.grading.conftest import code, first_task, marked, notebook, second_task, text, write

ANSWER = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"
DEFAULT_STUB = 'raise NotImplementedError("2.1: your answer here")'


def derived(*cells: NotebookNode) -> NotebookNode:
    """What is released of a notebook of these cells."""
    return release.derive(notebook(*cells), "01_first.ipynb")


def by_id(made: NotebookNode) -> dict[str, NotebookNode]:
    """The marked cells by grade id."""
    return {found.grade_id: cell for cell in made.cells if (found := mark(cell))}


def test_an_answer_becomes_a_stub_with_its_indentation() -> None:
    """The text between the markers is replaced; the rest of the cell stays."""
    cell = by_id(release.derive(first_task(), "01_first.ipynb"))["task1-1-double"]
    assert cell.source.splitlines() == [
        "def double(number: int) -> int:",
        '    """Twice the number."""',
        '    raise NotImplementedError("1.1: your answer here")',
    ]


@pytest.mark.parametrize(
    ("source", "stub"),
    [
        pytest.param(ANSWER, DEFAULT_STUB, id="default"),
        pytest.param("### BEGIN SOLUTION\n### STUB: x = None\nx = 1\n### END SOLUTION", "x = None", id="a-line"),
        pytest.param(
            "if y:\n    ### BEGIN SOLUTION\n    ### STUB: if z:\n    ### STUB:     pass\n    ### END SOLUTION\nend",
            "if y:\n    if z:\n        pass\nend",
            id="lines-that-are-indented",
        ),
        pytest.param("a\n### BEGIN SOLUTION\n### STUB:\n### END SOLUTION\nb", "a\n\nb", id="nothing"),
        pytest.param(
            f"{ANSWER}\nkept\n### BEGIN SOLUTION\n### STUB: two\n2\n### END SOLUTION",
            f"{DEFAULT_STUB}\nkept\ntwo",
            id="two-regions",
        ),
    ],
)
def test_stubs(source: str, stub: str) -> None:
    """A region gets the stub its comment gives, or one that names the exercise."""
    (cell,) = derived(code(source, **marked("task2-1-cache", solution=True))).cells
    assert cell.source == stub


def test_what_belongs_to_the_solution_only_vanishes() -> None:
    """Cells tagged solution, outputs, counts and the metadata of a run are not released."""
    solved = first_task()
    solved.metadata["papermill"] = {"duration": 1}
    for cell in solved.cells:
        if cell.cell_type == "code":
            cell.execution_count = 7
            cell.outputs = [nbformat.v4.new_output("stream", text="said\n")]
    made = release.derive(solved, "01_first.ipynb")
    assert "only in the solution" not in dumps(made).decode()
    assert "papermill" not in made.metadata
    assert all(cell.outputs == [] and cell.execution_count is None for cell in made.cells if cell.cell_type == "code")


def test_a_manual_answer_is_blank_and_tagged() -> None:
    """A model answer in prose is replaced by an invitation."""
    cell = by_id(release.derive(first_task(), "01_first.ipynb"))["task1-2-why"]
    assert cell.source == "*Your answer here.*"
    assert cell.metadata["tags"] == ["reflect"]


def test_jupyterlab_protects_what_is_locked() -> None:
    """A locked cell can neither be edited nor deleted, an answer cannot be deleted."""
    cells = by_id(release.derive(first_task(), "01_first.ipynb"))
    assert (cells["task1-1-check"].metadata["editable"], cells["task1-1-check"].metadata["deletable"]) == (False, False)
    assert "editable" not in cells["task1-1-double"].metadata
    assert cells["task1-1-double"].metadata["deletable"] is False


def test_ids_and_nbgrader_metadata_are_kept() -> None:
    """A released cell is the solution's cell: same id, same mark; the notebook is valid."""
    solved, made = first_task(), release.derive(first_task(), "01_first.ipynb")
    marks = {
        cell.id: cell.metadata.get("nbgrader")
        for cell in solved.cells
        if "solution" not in cell.metadata.get("tags", [])
    }
    assert {cell.id: cell.metadata.get("nbgrader") for cell in made.cells} == marks
    nbformat.validate(made)


def test_exercises_are_read_from_the_release() -> None:
    """The cells whose grade ids share a number are one exercise; its points are those of its checks."""
    found = exercises(release.derive(first_task(), "01_first.ipynb"))
    assert [(one.name, one.number, one.max_points, one.is_manual) for one in found] == [
        ("task1-1-double", "1.1", 4, False),
        ("task1-2-token", "1.2", 6, False),
        ("task1-2-why", "1.2", 2, True),
    ]
    assert number("task1-setup") is None


def cell(source: str = "x = 1", **fields: Any) -> NotebookNode:
    """A code cell whose nbgrader mark has these fields over those of a good answer."""
    mark = marked("task1-1-a", solution=True)["nbgrader"] | fields
    return code(source, nbgrader={name: value for name, value in mark.items() if value is not None})


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        pytest.param([cell("### BEGIN SOLUTION\nx")], "task1-1-a: ### BEGIN SOLUTION without ### END", id="not-closed"),
        pytest.param([cell("x\n### END SOLUTION")], "without ### BEGIN", id="not-opened"),
        pytest.param([cell("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION")], "still open", id="nested"),
        pytest.param([cell("x  ### BEGIN SOLUTION\n### END SOLUTION")], "stands alone", id="marker-after-code"),
        pytest.param([cell(ANSWER), cell(ANSWER)], "task1-1-a: the grade id is used twice", id="double-id"),
        pytest.param([cell(ANSWER, grade_id=None)], "cell 1: .*grade_id", id="no-id"),
        pytest.param([cell(ANSWER, grade_id="a b")], "a b: .*grade_id of letters", id="bad-id"),
        pytest.param([code(ANSWER)], "cell 1: an answer needs nbgrader metadata", id="no-metadata"),
        pytest.param([cell(ANSWER, grade_id="task1-setup")], "needs an exercise number", id="no-number"),
        pytest.param([cell("x = 1")], "the answer has no ### BEGIN", id="answer-without-markers"),
        pytest.param([cell("x", solution=False, locked=True, grade=True)], "needs points", id="no-points"),
        pytest.param([cell("x", solution=False, locked=True, grade=True, points=-1)], "needs points", id="negative"),
        pytest.param([cell("x", solution=False, grade=True, points=1)], "must be locked", id="open-check"),
        pytest.param([cell(ANSWER, locked=True)], "not both", id="locked-answer"),
        pytest.param([cell(ANSWER, solution=False, locked=True)], "markers belong", id="markers-in-a-locked-cell"),
        pytest.param([cell(ANSWER, schema_version=2)], "schema version 3", id="old-schema"),
        pytest.param([cell(ANSWER, novelty=1)], "unknown keys novelty", id="unknown-key"),
        pytest.param(
            [text("x", **marked("task1-1-why", solution=True))], "both grade and solution", id="markdown-without-grade"
        ),
        pytest.param(
            [cell("x", grade_id="check", solution=False, locked=True, grade=True, points=1)],
            "which exercise it belongs to",
            id="check-without-number",
        ),
    ],
)
def test_what_cannot_be_released_names_file_and_cell(cells: list[NotebookNode], message: str) -> None:
    """Every mistake in a solved notebook is an error that says where it is."""
    with pytest.raises(ReleaseError, match=r"^01_first\.ipynb, .*" + message):
        derived(*cells)


def test_releasing_twice_gives_the_same_bytes(solutions: Path, tmp_path: Path) -> None:
    """Derived notebooks are reproduced byte for byte, and a second release has nothing to do."""
    one, other = tmp_path / "one", tmp_path / "other"
    release.carry_out(release.plan(solutions, one))
    release.carry_out(release.plan(solutions, other))
    names = ["01_first.ipynb", "02_second.ipynb"]
    assert sorted(path.name for path in (one / "en").iterdir()) == names
    assert all((one / "en" / name).read_bytes() == (other / "en" / name).read_bytes() for name in names)
    assert release.plan(solutions, one) == []


def test_releasing_outputs_changes_nothing(solutions: Path, tmp_path: Path) -> None:
    """A solution that was run again releases the same notebook."""
    release.carry_out(release.plan(solutions, tmp_path))
    solved = first_task()
    solved.cells[1].outputs = [nbformat.v4.new_output("stream", text="said\n")]
    solved.cells[1].execution_count = 3
    write(solutions / "01_first.ipynb", solved)
    assert release.plan(solutions, tmp_path) == []


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"# Task 2", b"# Task two"))


@pytest.mark.parametrize(
    ("spoil", "verb"),
    [
        pytest.param(_edit, "changed (+1 -1 lines)", id="edited"),
        pytest.param(Path.unlink, "missing", id="deleted"),
        pytest.param(lambda path: path.write_bytes(b"\xff"), "changed (+70 -1 lines)", id="spoilt"),
    ],
)
def test_a_spoilt_derived_notebook_is_noticed(
    solutions: Path, tmp_path: Path, spoil: Callable[[Path], object], verb: str
) -> None:
    """plan says what differs, carry_out mends it."""
    release.carry_out(release.plan(solutions, tmp_path))
    path = tmp_path / "en" / "02_second.ipynb"
    before = path.read_bytes()
    spoil(path)
    assert [(change.path, change.verb) for change in release.plan(solutions, tmp_path)] == [(path, verb)]
    release.carry_out(release.plan(solutions, tmp_path))
    assert path.read_bytes() == before


def test_a_removed_solution_removes_its_notebook_and_no_other(solutions: Path, tmp_path: Path) -> None:
    """Only files that were derived are ever deleted."""
    release.carry_out(release.plan(solutions, tmp_path))
    own = write(tmp_path / "en" / "scratch.ipynb", second_task())
    (tmp_path / "en" / "broken.ipynb").write_text("{")
    (solutions / "02_second.ipynb").unlink()
    assert [(change.path.name, change.verb) for change in release.plan(solutions, tmp_path)] == [
        ("02_second.ipynb", "left over")
    ]
    release.carry_out(release.plan(solutions, tmp_path))
    assert sorted(path.name for path in own.parent.iterdir()) == ["01_first.ipynb", "broken.ipynb", "scratch.ipynb"]


def test_one_bad_solution_keeps_everything_as_it_was(solutions: Path, tmp_path: Path) -> None:
    """All is derived before anything is written."""
    write(solutions / "02_second.ipynb", notebook(cell("no markers")))
    with pytest.raises(ReleaseError, match=r"02_second\.ipynb"):
        release.plan(solutions, tmp_path)
    assert not (tmp_path / "en").exists()


def test_an_unreadable_solution_is_named(solutions: Path, tmp_path: Path) -> None:
    """A broken file is an error that names it."""
    (solutions / "02_second.ipynb").write_text(json.dumps({"nbformat": 4}))
    with pytest.raises(ReleaseError, match=r"02_second\.ipynb: The notebook has no list of cells"):
        release.plan(solutions, tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    """Releasing from the wrong place says so, and removes nothing."""
    with pytest.raises(ReleaseError, match="holds no notebooks"):
        release.plan(tmp_path, tmp_path)
    with pytest.raises(ReleaseError, match="no folder"):
        release.plan(tmp_path / "none", tmp_path)
