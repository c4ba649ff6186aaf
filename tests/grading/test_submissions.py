"""Finding the notebooks in whatever folders a learning platform makes."""

from pathlib import Path

import pytest

from labkit.grading.submissions import SubmissionsError, find

STEMS = ["01_first", "02_second"]


def handed_in(folder: Path, *files: str) -> None:
    """Empty files at these paths."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder: Path) -> dict[tuple[str, str], str | None]:
    """The path found for each student and stem, from the folder on."""
    paths = {(one.student, one.stem): one.path for one in find(folder, STEMS)}
    return {key: path and path.relative_to(folder).as_posix() for key, path in paths.items()}


def test_every_student_gets_every_task(tmp_path: Path) -> None:
    """A notebook that was not handed in is there as None; students come in order."""
    handed_in(tmp_path, "zoe/02_second.ipynb", "adam/deep/er/01_first.ipynb", "notes.txt")
    assert found(tmp_path) == {
        ("adam", "01_first"): "adam/deep/er/01_first.ipynb",
        ("adam", "02_second"): None,
        ("zoe", "01_first"): None,
        ("zoe", "02_second"): "zoe/02_second.ipynb",
    }


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        pytest.param(["deep/01_first.ipynb", "01_first.ipynb"], "01_first.ipynb", id="nearest"),
        pytest.param(["b/01_first.ipynb", "a/01_first.ipynb"], "a/01_first.ipynb", id="alphabet"),
        pytest.param(["01_first (1).ipynb"], "01_first (1).ipynb", id="downloaded-twice"),
        pytest.param(["01_first_Kowalski.ipynb", "x/01_first.ipynb"], "x/01_first.ipynb", id="exact-name-first"),
        pytest.param(["01_FIRST.ipynb"], "01_FIRST.ipynb", id="case"),
        pytest.param([".ipynb_checkpoints/01_first-checkpoint.ipynb", "x.txt"], None, id="checkpoints"),
        pytest.param(["__MACOSX/01_first.ipynb", "x.txt"], None, id="resource-forks"),
        pytest.param(["first.ipynb"], None, id="other-name"),
    ],
)
def test_one_of_several(tmp_path: Path, files: list[str], chosen: str | None) -> None:
    """The nearest exact name counts, else a name that begins with the stem."""
    handed_in(tmp_path / "ann", *files)
    path = found(tmp_path)["ann", "01_first"]
    assert path == (chosen and f"ann/{chosen}")


def test_an_nbgrader_course_folder(tmp_path: Path) -> None:
    """nbgrader's submitted/<student>/<assignment>/ is taken as it is."""
    handed_in(tmp_path, "submitted/ann/task1/01_first.ipynb", "source/x/01_first.ipynb")
    assert found(tmp_path) == {("ann", "01_first"): "submitted/ann/task1/01_first.ipynb", ("ann", "02_second"): None}


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """A submission does not lead into another student's folder."""
    handed_in(tmp_path, "ann/01_first.ipynb", "bob/x.txt")
    (tmp_path / "bob" / "link").symlink_to(tmp_path / "ann")
    assert found(tmp_path)["bob", "01_first"] is None


def test_nothing_to_grade_is_an_error(tmp_path: Path) -> None:
    """The message says what the folder should hold."""
    handed_in(tmp_path, "01_first.ipynb", ".hidden/01_first.ipynb")
    with pytest.raises(SubmissionsError, match="one for each student"):
        find(tmp_path, STEMS)
    with pytest.raises(SubmissionsError, match="no folder"):
        find(tmp_path / "none", STEMS)
