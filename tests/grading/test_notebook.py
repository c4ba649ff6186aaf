"""Reading, tidying and writing notebooks."""

import json
from pathlib import Path

import nbformat
import pytest

from labkit.grading import notebook as notebooks
from labkit.grading.notebook import UnreadableNotebookError
from tests.grading.conftest import code, first_task, marked, notebook, text, write

WHOLE = notebooks.dumps(first_task())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"  \n", "is empty", id="blank"),
        pytest.param(WHOLE[: len(WHOLE) // 2], "not valid JSON .*cut off", id="truncated"),
        pytest.param(b"\xff\xfe\x00nonsense", "not JSON text", id="binary"),
        pytest.param(b"[" * 200_000, "not JSON text|not valid JSON", id="deeply-nested"),
        pytest.param(b"[1, 2]", "JSON, but not a notebook", id="a-list"),
        pytest.param(b'{"cells": []}', "format is None", id="no-format"),
        pytest.param(b'{"nbformat": 9, "cells": []}', "format is 9", id="format-of-the-future"),
        pytest.param(b'{"nbformat": "4", "cells": []}', "format is '4'", id="format-is-text"),
        pytest.param(b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}', "no cells", id="no-cells"),
        pytest.param(b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "no list of cells", id="cells-missing"),
        pytest.param(b'{"nbformat": 4, "nbformat_minor": 5, "cells": [7]}', "no list of cells", id="cells-are-numbers"),
        pytest.param(b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "not a valid notebook", id="no-source"),
        pytest.param(b'{"nbformat": 4, "cells": [{"cell_type": 5, "source": ""}]}', "not a valid", id="cell-type"),
        pytest.param(b'{"nbformat": 3, "worksheets": 5}', "not a valid notebook|no list", id="broken-old-format"),
    ],
)
def test_what_is_no_notebook_gets_a_reason(raw: bytes, reason: str) -> None:
    """A file that cannot be run is refused with a sentence for the report."""
    with pytest.raises(UnreadableNotebookError, match=reason):
        notebooks.parse(raw)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """The size is limited before the file is parsed."""
    path = tmp_path / "huge.ipynb"
    path.write_bytes(b" " * (notebooks.MAX_BYTES + 1))
    with pytest.raises(UnreadableNotebookError, match="larger than 10 MB"):
        notebooks.read(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A submission cannot make the grader read a file elsewhere."""
    target = write(tmp_path / "elsewhere.ipynb", first_task())
    (tmp_path / "link.ipynb").symlink_to(target)
    with pytest.raises(UnreadableNotebookError, match="is a link"):
        notebooks.read(tmp_path / "link.ipynb")


def test_a_missing_file_gets_a_reason(tmp_path: Path) -> None:
    """A file that vanished is a reason, not an exception of the operating system."""
    with pytest.raises(UnreadableNotebookError, match="cannot be read"):
        notebooks.read(tmp_path / "none.ipynb")


def test_an_old_format_is_upgraded() -> None:
    """A notebook of format 3 becomes one of today's."""
    cell = {
        "cell_type": "code",
        "language": "python",
        "input": "x = 1",
        "outputs": [],
        "collapsed": False,
        "metadata": {},
    }
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": [cell], "metadata": {}}],
    }
    upgraded = notebooks.parse(json.dumps(old).encode())
    assert (upgraded.nbformat, upgraded.nbformat_minor) == (4, 5)
    assert [cell.source for cell in upgraded.cells] == ["x = 1"]


def test_what_a_newer_editor_adds_does_no_harm() -> None:
    """Unknown fields and a higher minor version are read as if they were not there."""
    document = json.loads(WHOLE) | {"nbformat_minor": 9, "novelty": True}
    document["cells"][0]["novelty"] = True
    assert len(notebooks.parse(json.dumps(document).encode()).cells) == len(first_task().cells)


def test_missing_and_double_ids_are_mended() -> None:
    """Every cell has an id of its own, the same each time the file is read."""
    document = json.loads(WHOLE)
    del document["cells"][0]["id"]
    document["cells"][2]["id"] = document["cells"][1]["id"]
    raw = json.dumps(document).encode()
    ids = [cell.id for cell in notebooks.parse(raw).cells]
    assert len(set(ids)) == len(ids)
    assert ids == [cell.id for cell in notebooks.parse(raw).cells]


def test_outputs_and_broken_outputs_are_dropped() -> None:
    """What a student's run printed plays no part, however broken it is."""
    document = json.loads(WHOLE)
    document["cells"][1] |= {"outputs": "nonsense", "execution_count": "seven"}
    read = notebooks.parse(json.dumps(document).encode())
    assert read.cells[1].outputs == []
    assert read.cells[1].execution_count is None


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    """Text that JSON allows and no kernel can be sent is mended."""
    raw = WHOLE.replace(b"# Task 1", b"# Task \\ud800")
    assert notebooks.parse(raw).cells[0].source == "# Task ?"


@pytest.mark.parametrize("fields", [None, 5, {}, {"grade_id": 7}, "text"])
def test_a_mark_that_cannot_be_read_is_none(fields: object) -> None:
    """A cell with nonsense for nbgrader metadata is an ordinary cell."""
    assert notebooks.mark(code("x", nbgrader=fields)) is None


def test_a_mark_says_what_the_cell_is() -> None:
    """nbgrader's fields, with a type for each."""
    mark = notebooks.mark(code("x", **marked("task1-1-check", points=4)))
    assert mark == notebooks.Mark("task1-1-check", grade=True, solution=False, locked=True, points=4.0)
    assert notebooks.title(code("x", **marked("a")), 3) == "a"
    assert notebooks.title(code("x"), 3) == "cell 4"


def _executed() -> nbformat.NotebookNode:
    stream = {"output_type": "stream", "name": "stdout"}
    image = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "view"}}
    image["data"] |= {"application/vnd.jupyter.widget-view+json": {"model_id": "random"}}  # type: ignore[index]
    result = {"output_type": "execute_result", "execution_count": 9, "metadata": {}, "data": {"text/plain": "1"}}
    outputs = [
        stream | {"text": "one\n"},
        stream | {"name": "stderr", "text": "oh\n"},
        stream | {"text": "two\n"},
        image,
        result,
    ]
    made = notebook(text("# T"), code("print()"), code("  "), code("1"), papermill={"duration": 1.5}, widgets={"x": 1})
    made.cells[1] |= {"outputs": outputs, "execution_count": 9}
    made.cells[1].metadata |= {"papermill": {"duration": 1}, "execution": {"started": 1}, "tags": []}
    made.cells[3]["execution_count"] = 12
    return notebooks.node(made)


def test_tidy_leaves_only_the_lesson() -> None:
    """Counts run from 1, pieces of a stream are joined, nothing of the run stays in the metadata."""
    tidied = notebooks.tidy(_executed())
    assert [cell.get("execution_count") for cell in tidied.cells] == [None, 1, None, 2]
    assert [output.output_type for output in tidied.cells[1].outputs] == [
        "stream",
        "stream",
        "display_data",
        "execute_result",
    ]
    assert tidied.cells[1].outputs[0].text == "one\ntwo\n"
    assert tidied.cells[1].outputs[2].data == {"text/plain": "view"}
    assert tidied.cells[1].outputs[3].execution_count == 1
    assert tidied.cells[1].metadata == {}
    assert set(tidied.metadata) == {"kernelspec", "language_info"}
    assert [cell.id for cell in tidied.cells] == [cell.id for cell in _executed().cells]


def test_tidying_twice_changes_nothing() -> None:
    """The bytes are the same after every run."""
    once = notebooks.dumps(notebooks.tidy(_executed()))
    assert notebooks.dumps(notebooks.tidy(notebooks.tidy(_executed()))) == once
    assert once.endswith(b"}\n")
    nbformat.validate(notebooks.tidy(_executed()))


def test_writing_leaves_no_other_file(tmp_path: Path) -> None:
    """A file is replaced in one step and nothing is left beside it."""
    path = tmp_path / "deep" / "file.json"
    notebooks.write_atomically(path, b"one")
    notebooks.write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]
