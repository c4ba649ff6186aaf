"""Running solved notebooks, and storing what they print."""

from pathlib import Path

import pytest
from nbformat import NotebookNode

from labkit.grading import notebook as notebooks
from labkit.grading.run import NoNotebooksError, environment, find, run
from tests.grading.conftest import code, notebook, second_task, text, write

PRINTS = """
import os, sys, time
print("strict" if os.environ.get("LABKIT_STRICT") else "lenient")
sys.stdout.flush()
time.sleep(0.05)
print("again")
{"b": 1, "a": [1, 2]}
"""


def solved() -> NotebookNode:
    """A notebook that prints in pieces."""
    return notebook(text("# T"), code(PRINTS), code(""), code("_ = 1"), code("'done'"))


@pytest.mark.slow
def test_stored_outputs_are_the_same_after_every_run(tmp_path: Path) -> None:
    """Two runs with --save write identical bytes, with outputs and counts in them and nothing of the run."""
    path = write(tmp_path / "01_first.ipynb", solved())
    ran = run(path, save=True)
    assert (ran.error, ran.was_saved) == (None, True)
    once = path.read_bytes()
    assert b"papermill" not in once
    kept = notebooks.nbformat.reads(once.decode(), as_version=4)
    assert [cell.get("execution_count") for cell in kept.cells] == [None, 1, None, 2, 3]
    assert kept.cells[1].outputs[0].text == "strict\nagain\n"
    assert kept.cells[1].outputs[1].data["text/plain"] == "{'b': 1, 'a': [1, 2]}"
    assert [cell.id for cell in kept.cells] == [cell.id for cell in solved().cells]
    assert run(path, save=True).was_saved
    assert path.read_bytes() == once


@pytest.mark.slow
def test_a_failing_notebook_names_its_cell_and_is_not_written(tmp_path: Path) -> None:
    """The first error ends the run; the file stays as it was."""
    cell = code("1 / 0", nbgrader={"schema_version": 3, "grade_id": "task1-1-a", "grade": False})
    path = write(tmp_path / "01_first.ipynb", notebook(code("1"), cell, code("print('never')")))
    before, seen = path.read_bytes(), []
    ran = run(path, save=True, on_cell=lambda done, total: seen.append((done, total)))
    assert ran.error == "task1-1-a: ZeroDivisionError: division by zero"
    assert path.read_bytes() == before
    assert seen == [(1, 3), (2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "error"),
    [
        pytest.param("while True: pass", "cell 1: the cell ran over its time and was stopped", id="loop"),
        pytest.param("import os; os._exit(3)", "cell 1: the kernel ended in this cell", id="exit"),
    ],
)
def test_a_cell_that_does_not_end_well_is_named(tmp_path: Path, source: str, error: str) -> None:
    """So are time-outs and a kernel that dies."""
    path = write(tmp_path / "01_first.ipynb", notebook(code(source)))
    assert run(path, timeout_s=1).error == error


@pytest.mark.slow
def test_files_are_read_from_the_notebooks_folder(tmp_path: Path) -> None:
    """As in JupyterLab."""
    (tmp_path / "data.txt").write_text("here")
    path = write(tmp_path / "01_first.ipynb", notebook(code("assert open('data.txt').read() == 'here'")))
    assert run(path).error is None


def test_an_unreadable_notebook_is_an_error(tmp_path: Path) -> None:
    """The reason is the same as in grading."""
    path = tmp_path / "x.ipynb"
    path.write_text("{")
    assert "not valid JSON" in str(run(path).error)


def test_each_notebook_starts_its_own_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Azure of the environment's, local or real, leads to the kernel; strictness does."""
    monkeypatch.setenv("LABKIT_AZURE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://real")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    monkeypatch.setenv("LABKIT_LATENCY_SCALE", "0.5")
    strict, lenient = environment(strict=True), environment(strict=False)
    assert not {"LABKIT_AZURE_URL", "AZURE_OPENAI_ENDPOINT", "IDENTITY_HEADER"} & set(strict)
    assert strict["LABKIT_STRICT"] == "1"
    assert "LABKIT_STRICT" not in lenient
    assert "PATH" in strict


def test_notebooks_are_found(tmp_path: Path) -> None:
    """Files as they are, folders by their notebooks; nothing at all is an error."""
    two = write(tmp_path / "02_second.ipynb", second_task())
    one = write(tmp_path / "01_first.ipynb", second_task())
    (tmp_path / ".hidden.ipynb").touch()
    assert find([tmp_path]) == [one, two]
    assert find([two, tmp_path]) == [two, one, two]
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoNotebooksError, match="No notebooks"):
        find([tmp_path / "empty"])
    with pytest.raises(NoNotebooksError, match="There is no"):
        find([tmp_path / "none"])
