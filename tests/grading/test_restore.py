"""The locked cells of a submission are the release's, whatever became of them."""

import pytest
from nbformat import NotebookNode

from labkit.grading import release
from labkit.grading.notebook import mark, node
from labkit.grading.restore import Restored, restore
from tests.grading.conftest import code, first_task, text

RELEASE = release.derive(first_task(), "01_first.ipynb")


def submission() -> NotebookNode:
    """An untouched copy of the release."""
    return node(RELEASE)


def index(notebook: NotebookNode, grade_id: str) -> int:
    """Where the cell with ``grade_id`` stands."""
    return next(
        place for place, cell in enumerate(notebook.cells) if (found := mark(cell)) and found.grade_id == grade_id
    )


def sources(restored: Restored) -> list[str]:
    """The text of the cells."""
    return [cell.source for cell in restored.notebook.cells]


def kinds(restored: Restored) -> list[tuple[str, str]]:
    """What had to be mended, and where."""
    return [(problem.kind, problem.cell) for problem in restored.problems]


RELEASED = [cell.source for cell in RELEASE.cells]


def test_an_honest_submission_raises_no_alarm() -> None:
    """Nothing is reported for a submission whose locked cells are as released, answers and own cells aside."""
    handed_in = submission()
    handed_in.cells[index(handed_in, "task1-1-double")].source = "def double(number): return number + number"
    handed_in.cells.append(code("print('mine')"))
    restored = restore(RELEASE, handed_in)
    assert restored.problems == ()
    assert sources(restored) == [cell.source for cell in handed_in.cells]


def test_blanks_at_the_end_of_lines_are_no_edit() -> None:
    """Editors trim or add them."""
    handed_in = submission()
    cell = handed_in.cells[index(handed_in, "task1-1-check")]
    cell.source = cell.source.replace("\n", "  \n") + "\n\n"
    assert restore(RELEASE, handed_in).problems == ()


def test_an_edited_check_is_replaced() -> None:
    """The released cell runs, and the report says so."""
    handed_in = submission()
    handed_in.cells[index(handed_in, "task1-1-check")].source = "import sys; sys.exit(0)"
    restored = restore(RELEASE, handed_in)
    assert sources(restored) == RELEASED
    assert kinds(restored) == [("edited", "task1-1-check")]


def test_a_check_turned_into_text_is_replaced() -> None:
    """So is one whose type was changed."""
    handed_in = submission()
    place = index(handed_in, "task1-1-check")
    handed_in.cells[place] = text(handed_in.cells[place].source, **handed_in.cells[place].metadata)
    assert restore(RELEASE, handed_in).notebook.cells[place].cell_type == "code"


@pytest.mark.parametrize("grade_id", ["task1-setup", "task1-1-check", "task1-2-check"])
def test_a_deleted_check_comes_back_in_its_place(grade_id: str) -> None:
    """It stands where the release has it."""
    handed_in = submission()
    del handed_in.cells[index(handed_in, grade_id)]
    restored = restore(RELEASE, handed_in)
    assert sources(restored) == RELEASED
    assert kinds(restored) == [("deleted", grade_id)]


def test_a_deleted_check_runs_after_what_the_student_wrote_there() -> None:
    """A helper cell below the answer has run when the check comes."""
    handed_in = submission()
    place = index(handed_in, "task1-1-check")
    handed_in.cells[place] = code("helper = 1")
    restored = restore(RELEASE, handed_in)
    assert sources(restored)[place : place + 2] == ["helper = 1", RELEASED[place]]


def test_all_cells_deleted_but_one() -> None:
    """Every locked cell comes back, no answer does."""
    handed_in = submission()
    handed_in.cells = [code("print('all gone')")]
    restored = restore(RELEASE, handed_in)
    ids = [found.grade_id for cell in restored.notebook.cells if (found := mark(cell))]
    assert ids == ["task1-setup", "task1-1-check", "task1-2-check"]
    assert sources(restored)[0] == "print('all gone')"


def test_a_copied_check_runs_once() -> None:
    """Further copies are dropped and reported."""
    handed_in = submission()
    copy = node(handed_in.cells[index(handed_in, "task1-1-check")])
    handed_in.cells.append(copy)
    restored = restore(RELEASE, handed_in)
    assert sources(restored) == RELEASED
    assert kinds(restored) == [("duplicated", "task1-1-check")]


def test_a_copied_answer_is_the_students_own_cell() -> None:
    """Copying an answer cell copies its metadata too; that is no offence, and both run."""
    handed_in = submission()
    place = index(handed_in, "task1-1-double")
    copy = node(handed_in.cells[place])
    copy.source = "def double(number): return 2 * number"
    handed_in.cells.insert(place + 1, copy)
    restored = restore(RELEASE, handed_in)
    assert restored.problems == ()
    assert sources(restored)[place + 1] == copy.source
    assert mark(restored.notebook.cells[place + 1]) is None


def test_a_moved_check_goes_back() -> None:
    """The order of locked cells is the release's; as few as possible count as moved."""
    handed_in = submission()
    handed_in.cells.insert(0, handed_in.cells.pop(index(handed_in, "task1-2-check")))
    restored = restore(RELEASE, handed_in)
    assert sources(restored) == RELEASED
    assert kinds(restored) == [("moved", "task1-2-check")]


def test_a_deleted_answer_is_not_put_back() -> None:
    """The student may have answered in a cell of their own, which a stub would undo."""
    handed_in = submission()
    place = index(handed_in, "task1-1-double")
    handed_in.cells[place] = code("def double(number): return 2 * number")
    restored = restore(RELEASE, handed_in)
    assert restored.problems == ()
    assert sources(restored)[place] == "def double(number): return 2 * number"


@pytest.mark.parametrize("lost", ["metadata", "ids", "both"])
def test_an_editor_that_drops_metadata_or_ids_raises_no_alarm(lost: str) -> None:
    """Cells are recognised by grade id, by cell id, or by their text."""
    handed_in = submission()
    for place, cell in enumerate(handed_in.cells):
        if lost in ("metadata", "both"):
            cell.metadata = node({})
        if lost in ("ids", "both"):
            cell["id"] = f"other-{place}"
    restored = restore(RELEASE, handed_in)
    assert restored.problems == ()
    assert sources(restored) == RELEASED
    marked_cells = [found.grade_id for cell in restored.notebook.cells if (found := mark(cell))]
    assert "task1-1-check" in marked_cells


def test_a_students_cell_with_a_checks_grade_id_becomes_the_check() -> None:
    """Hiding a check under its own name changes nothing."""
    handed_in = submission()
    place = index(handed_in, "task1-1-check")
    handed_in.cells[place].source = "pass"
    handed_in.cells[place]["id"] = "mine"
    assert sources(restore(RELEASE, handed_in)) == RELEASED


def test_marks_of_another_release_are_dropped() -> None:
    """A grade id the release does not know makes an ordinary cell."""
    handed_in = submission()
    handed_in.cells.append(code("old = 1", nbgrader={"grade_id": "task1-9-old", "locked": True, "grade": True}))
    restored = restore(RELEASE, handed_in)
    assert mark(restored.notebook.cells[-1]) is None
    assert restored.problems == ()


def test_the_release_is_not_changed() -> None:
    """Restoring works on copies."""
    before = [dict(cell.metadata) for cell in RELEASE.cells]
    restored = restore(RELEASE, submission())
    for cell in restored.notebook.cells:
        cell.source = "changed"
        cell.metadata["changed"] = True
    assert [cell.source for cell in RELEASE.cells] == RELEASED
    assert [dict(cell.metadata) for cell in RELEASE.cells] == before
