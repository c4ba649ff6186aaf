"""The sample class shows every kind of submission."""

from pathlib import Path

import pytest

from labkit.grading import notebook as notebooks
from labkit.grading import sample
from labkit.grading.attempt import Limits
from labkit.grading.grade import Options, grade_class
from labkit.grading.sample import SampleError

STUDENTS = ["solved", "half-done", "untouched", "truncated", "endless-loop", "tampered"]


def test_six_students(solutions: Path, tmp_path: Path) -> None:
    """A solved, a half-done, an untouched and three broken submissions, made anew by the same command."""
    out = tmp_path / "sample"
    assert sample.make(solutions, out) == STUDENTS
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == sorted(STUDENTS)
    (out / "solved" / "01_first.ipynb").write_text("spoilt")
    sample.make(solutions, out)
    assert notebooks.read(out / "solved" / "01_first.ipynb").cells
    answers = [cell.source for cell in notebooks.read(out / "half-done" / "01_first.ipynb").cells]
    assert not any("### BEGIN" in source or "NotImplementedError(" in source for source in answers)


def test_nobodys_folder_is_overwritten(solutions: Path, tmp_path: Path) -> None:
    """A folder that is no sample is left alone."""
    (tmp_path / "mine").mkdir()
    with pytest.raises(SampleError, match="is no sample class"):
        sample.make(solutions, tmp_path / "mine")


@pytest.mark.slow
def test_graded_the_sample_shows_every_outcome(solutions: Path, tmp_path: Path) -> None:
    """The points are those that the names promise, and each broken one has its reason."""
    sample.make(solutions, tmp_path / "sample")
    options = Options(solutions=solutions, out=tmp_path / "grades", jobs=2, limits=Limits(cell_s=2.0))
    graded = grade_class(tmp_path / "sample", options)
    points = {student: [result.points for result in found] for student, found in graded.results.items()}
    assert points["solved"] == [10.0, 5.0]
    assert points["half-done"] == [10.0, 5.0]
    assert points["untouched"] == [0.0, 0.0]
    assert points["tampered"] == [10.0, 0.0]
    assert "cut off" in graded.results["truncated"][1].reason
    assert "ran over its time" in graded.results["endless-loop"][1].problems[0].text
    assert {problem.kind for problem in graded.results["tampered"][0].problems} == {"deleted", "edited"}
