"""A class graded from end to end: every submission, hostile ones included, ends with points and a reason."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from nbformat import NotebookNode

import labkit
from labkit.grading import grade as grading
from labkit.grading import release
from labkit.grading.attempt import Limits, personal_secret
from labkit.grading.grade import Graded, Options, SecretError, class_secret, grade_class
from labkit.grading.notebook import dumps, mark, node
from labkit.grading.processes import end_with_children
from tests.grading.conftest import code, first_task, second_task, write

# Ctrl-C: CPython turns our status into the signal when it arrives while code made from a string is running.
STOPPED = (130, -signal.SIGINT)
SECRET = "a secret of the class, for tests only"
LIMITS = Limits(cell_s=2.0, notebook_s=10.0, probes_s=8.0)
DOUBLE, TOKEN = "def double(number): return 2 * number", "def fetch(n): return [ask_for_a_token() for _ in range(n)]"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret comes from the environment, and an instructor has keys there too."""
    monkeypatch.setenv(grading.SECRET_VARIABLE, SECRET)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "instructors-own-key")


def released() -> NotebookNode:
    """The notebook of task 1 as students get it."""
    return release.derive(first_task(), "01_first.ipynb")


def place(notebook: NotebookNode, grade_id: str) -> int:
    """Where the cell with ``grade_id`` stands."""
    return next(
        index for index, cell in enumerate(notebook.cells) if (found := mark(cell)) and found.grade_id == grade_id
    )


def answered(double: str = DOUBLE, fetch: str = TOKEN, *more: str) -> NotebookNode:
    """The notebook of task 1 with these answers, and cells of the student's own at the end."""
    notebook = released()
    notebook.cells[place(notebook, "task1-1-double")].source = double
    notebook.cells[place(notebook, "task1-2-token")].source = fetch
    notebook.cells += [code(source) for source in more]
    return notebook


def without(notebook: NotebookNode, *grade_ids: str) -> NotebookNode:
    """``notebook`` with these cells deleted."""
    notebook.cells = [c for c in notebook.cells if not ((found := mark(c)) and found.grade_id in grade_ids)]
    return notebook


def edited(notebook: NotebookNode, grade_id: str, source: str) -> NotebookNode:
    """``notebook`` with another text in this cell."""
    notebook.cells[place(notebook, grade_id)].source = source
    return notebook


STUB = released().cells[place(released(), "task1-1-double")].source
SHOWS_ENVIRONMENT = "import os\ndef double(number): raise ValueError(sorted(os.environ.items()))"
SHOWS_KEYS = "import os\ndef double(n): raise ValueError(os.environ['LABKIT_LAB_KEY'] + os.environ['IDENTITY_HEADER'])"
# How long the daemon sleeps tells it apart from one of a test run beside this one.
NAP_S = f"601.{os.getpid()}"
DAEMON = f"""
import subprocess, sys
script = "import subprocess; subprocess.Popen(['sleep', '{NAP_S}'], start_new_session=True)"
subprocess.run([sys.executable, "-c", script])
"""
DEAF = "import signal\nfor number in (2, 10): signal.signal(number, signal.SIG_IGN)\nwhile True: pass"
ALWAYS_EQUAL = """
class Anything(list):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def double(number): return Anything()
"""
STUFFED = "def double(n): return {'x': 'y' * 10**7}"
PICKLED = """
class Evil:
    def __reduce__(self):
        import os
        return os.system, ("touch /tmp/labkit-was-here",)
    def __repr__(self): return "x" * 10**6
def double(n): return Evil()
"""
STRIPS_CHECKS = "import builtins\nbuiltins.print = lambda *a, **k: None\nget_ipython().run_cell = None"
MANY_CALLS = "[ask_for_a_token() for _ in range(30)]"

# name -> (the file, points, what the remarks must say)
HOSTILE: dict[str, tuple[Callable[[], NotebookNode | bytes], float, str]] = {
    "honest": (answered, 10.0, ""),
    "half": (lambda: answered(DOUBLE, "def fetch(n): raise NotImplementedError"), 4.0, ""),
    "untouched": (released, 0.0, ""),
    "elsewhere": (lambda: edited(answered("", TOKEN, DOUBLE), "task1-1-double", STUB), 10.0, ""),
    "prints": (lambda: answered(f"import warnings\n{DOUBLE}\nwarnings.warn('x')\nprint('debug')"), 10.0, ""),
    "truncated": (lambda: dumps(node(answered()))[:700], 0.0, "cut off"),
    "empty": (lambda: b"", 0.0, "is empty"),
    "no-cells": (lambda: b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}', 0.0, "no cells"),
    "binary": (lambda: b"\x00\xff" * 99, 0.0, "not valid JSON"),
    "endless": (lambda: answered("while True: pass"), 6.0, "task1-1-double ran over its time"),
    "endless-call": (lambda: answered("def double(n):\n    while True: pass"), 6.0, "task1-1-check ran over its time"),
    "deaf": (lambda: answered(DOUBLE, DEAF), 0.0, "could not be interrupted"),
    "dies": (lambda: answered(DOUBLE, TOKEN, "import os; os._exit(0)"), 2.0, "kernel ended"),
    "sys-exit": (lambda: answered(DOUBLE, TOKEN, "import sys; sys.exit(0)"), 10.0, ""),
    "deleted": (lambda: without(answered(), "task1-1-check", "task1-2-check"), 10.0, "task1-1-check was deleted"),
    "edited": (lambda: edited(answered(), "task1-2-check", "import sys; sys.exit()"), 10.0, "task1-2-check was edited"),
    "no-answers": (lambda: without(answered(), "task1-1-double"), 6.0, ""),
    "always-equal": (lambda: answered(ALWAYS_EQUAL), 6.0, ""),
    "stuffed": (lambda: answered(STUFFED), 6.0, ""),
    "pickled": (lambda: answered(PICKLED), 6.0, ""),
    "strips": (lambda: answered("def double(n): return 0", "def fetch(n): return [200] * n", STRIPS_CHECKS), 0.0, ""),
    "shows-environment": (lambda: answered(SHOWS_ENVIRONMENT), 6.0, ""),
    "shows-keys": (lambda: answered(SHOWS_KEYS), 6.0, ""),
    "daemon": (lambda: answered(DOUBLE, TOKEN, DAEMON), 10.0, ""),
    "many-calls": (lambda: answered(DOUBLE, TOKEN, MANY_CALLS), 10.0, ""),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graded]:
    """The folder of reports and the results of a class of hostile and honest students."""
    folder = tmp_path_factory.mktemp("class")
    solutions = folder / "solutions"
    write(solutions / "01_first.ipynb", first_task())
    from tests.grading.conftest import RUBRIC

    (solutions / "rubric").mkdir()
    (solutions / "rubric" / "task1.py").write_text(RUBRIC, "utf-8")
    for student, (make, _, _) in HOSTILE.items():
        made = make()
        content = made if isinstance(made, bytes) else dumps(node(made))
        (folder / "submissions" / student).mkdir(parents=True)
        (folder / "submissions" / student / "01_first.ipynb").write_bytes(content)
    (folder / "submissions" / "absent").mkdir()
    patch = pytest.MonkeyPatch()
    patch.setenv(grading.SECRET_VARIABLE, SECRET)
    patch.setenv("AZURE_OPENAI_API_KEY", "instructors-own-key")
    options = Options(solutions=solutions, out=folder / "grades", jobs=3, limits=LIMITS)
    graded = grade_class(folder / "submissions", options)
    patch.undo()
    return folder, graded


@pytest.mark.slow
@pytest.mark.parametrize("student", HOSTILE)
def test_every_submission_ends_with_points_and_a_reason(hostile: tuple[Path, Graded], student: str) -> None:
    """What a student did right counts, what they broke is said, and nothing stops the class."""
    folder, graded = hostile
    (result,) = graded.results[student]
    _, points, remark = HOSTILE[student]
    assert result.points == points, [exercise.reason for exercise in result.exercises]
    said = f"{result.reason} {' '.join(problem.text for problem in result.problems)}"
    assert remark in said
    assert remark or not result.problems, said
    assert all(exercise.reason for exercise in result.exercises)
    told = json.loads((folder / "grades" / f"{student}.json").read_text("utf-8"))
    assert told["points"] == points


@pytest.mark.slow
def test_a_missing_notebook_is_a_result(hostile: tuple[Path, Graded]) -> None:
    """No points, and the reason."""
    (result,) = hostile[1].results["absent"]
    assert (result.state, result.points, result.max_points) == ("missing", 0.0, 12.0)


@pytest.mark.slow
def test_reports_hold_no_secret_and_no_traceback(hostile: tuple[Path, Graded]) -> None:
    """Neither the instructor's environment, nor keys of the local Azure, nor how the grader is built."""
    folder, _ = hostile
    text = "".join(path.read_text("utf-8") for path in (folder / "grades").glob("*.*") if path.is_file())
    hidden = personal_secret(SECRET, "shows-environment", "task1")
    for word in (
        "instructors-own-key",
        SECRET,
        hidden,
        "Traceback",
        "labkit/grading",
        str(Path(labkit.__file__).parents[1]),
        "AZURE_OPENAI",
    ):
        assert word not in text
    shown = json.loads((folder / "grades" / "shows-keys.json").read_text("utf-8"))
    assert shown["tasks"]["task1"]["exercises"][0]["seen"] == "ValueError: ******"


@pytest.mark.slow
def test_no_process_is_left_behind(hostile: tuple[Path, Graded]) -> None:
    """Not even one that left its parent, its group and its session."""
    assert hostile
    ours = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in ours if NAP_S in command]
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "ipykernel_launcher" in " ".join(child.cmdline())]
    assert not Path("/tmp/labkit-was-here").exists()


@pytest.fixture
def small(solutions: Path, tmp_path: Path) -> Callable[..., Graded]:
    """Grades a class of two: one solved both tasks, one handed in a broken file."""
    write(tmp_path / "in" / "ann" / "01_first.ipynb", first_task())
    write(tmp_path / "in" / "ann" / "02_second.ipynb", second_task())
    (tmp_path / "in" / "bob").mkdir()
    (tmp_path / "in" / "bob" / "01_first.ipynb").write_text("{")
    options = Options(solutions=solutions, out=tmp_path / "out", jobs=2, limits=LIMITS)

    def grade(**changes: Any) -> Graded:
        return grade_class(tmp_path / "in", replace(options, **changes))

    return grade


def contents(folder: Path) -> dict[str, bytes]:
    """The reports."""
    return {path.name: path.read_bytes() for path in folder.glob("*.*") if path.is_file()}


@pytest.mark.slow
def test_graded_again_the_reports_are_the_same(small: Callable[..., Graded], tmp_path: Path) -> None:
    """Byte for byte, whether from scratch or from what was kept; only what changed is graded again."""
    first = small()
    reports = contents(tmp_path / "out")
    assert set(reports) == {"ann.json", "bob.json", "class.csv"}
    assert (first.fresh, first.kept) == (3, 0)
    kept = small()
    assert (kept.fresh, kept.kept) == (0, 3)
    assert contents(tmp_path / "out") == reports
    again = small(again=True, out=tmp_path / "out2")
    assert (again.fresh, again.kept) == (3, 0)
    assert contents(tmp_path / "out2") == reports
    write(tmp_path / "in" / "bob" / "02_second.ipynb", second_task())
    more = small()
    assert (more.fresh, more.kept) == (1, 3)
    assert [result.points for result in more.results["bob"]] == [0.0, 5.0]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["rubric", "solution", "limits", "kept"])
def test_what_a_result_depends_on_makes_it_graded_again(
    small: Callable[..., Graded], solutions: Path, tmp_path: Path, spoil: str
) -> None:
    """A changed rubric, solution or limit is not answered with an old result, nor is a broken record."""
    small()
    changes: dict[str, Any] = {}
    if spoil == "rubric":
        (solutions / "rubric" / "shared.py").write_text("X = 1\n")
    elif spoil == "solution":
        write(solutions / "02_second.ipynb", node({**second_task(), "metadata": {"x": 1}}))
    elif spoil == "limits":
        changes = {"limits": replace(LIMITS, cell_s=3.0)}
    else:
        (tmp_path / "out" / ".labkit" / "done" / "ann" / "task2.json").write_text("{")
    expected = {"rubric": 3, "solution": 1, "limits": 3, "kept": 1}
    assert small(**changes).fresh == expected[spoil]


RUBRIC_BREAKS = """
TASK = "task2"
def score(evidence):
    return [evidence.nothing]
"""
RUBRIC_DIES = """
import os
import re
TASK = "task2"
def score(evidence):
    os._exit(7)
"""
RUBRIC_HANGS = """
TASK = "task2"
def score(evidence):
    while True: pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rubric", "state", "reason"),
    [
        pytest.param(RUBRIC_BREAKS, "needs a person", "Rubric error, needs a person.*line 4 .Attr", id="raises"),
        pytest.param(RUBRIC_DIES, "needs a person", "exit status 7", id="dies"),
        pytest.param(RUBRIC_HANGS, "stopped", "did not end within", id="hangs"),
    ],
)  # fmt: skip
def test_a_broken_rubric_does_not_stop_the_class(
    small: Callable[..., Graded],
    solutions: Path,
    monkeypatch: pytest.MonkeyPatch,
    rubric: str,
    state: str,
    reason: str,
) -> None:
    """Its task needs a person, the others are graded; the next run tries it again."""
    monkeypatch.setattr("labkit.grading.attempt._START_AND_SCORE_S", 1.0)
    (solutions / "rubric" / "task2.py").write_text(rubric)
    limits = replace(LIMITS, notebook_s=4.0, probes_s=1.0)
    graded = small(limits=limits)
    first, second = graded.results["ann"]
    assert first.points == 10.0
    assert second.state == state
    assert re.search(reason, second.reason), second.reason
    assert small(limits=limits).fresh == 1


@pytest.mark.slow
def test_ctrl_c_leaves_what_is_finished_and_no_process(solutions: Path, tmp_path: Path) -> None:
    """The same command goes on from there."""
    write(tmp_path / "in" / "ann" / "02_second.ipynb", second_task())
    write(tmp_path / "in" / "bob" / "01_first.ipynb", answered("import time; time.sleep(100)"))
    command = [sys.executable, "-m", "labkit.cli", "grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    command += ["--solutions", str(solutions), "--jobs", "1", "--timeout-s", "60"]
    temporary = tmp_path / "t"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    finished = tmp_path / "out" / "ann.json"
    try:
        deadline = time.monotonic() + 60
        while not finished.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)  # into the endless one
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    finally:
        end_with_children(process.pid)
        process.communicate()
    assert process.returncode in STOPPED, told
    assert "What is finished is kept" in told
    assert finished.exists()
    assert list(temporary.iterdir()) == []
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_the_secret_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept where only its owner can read it; one from the environment must not be short."""
    monkeypatch.delenv(grading.SECRET_VARIABLE)
    made = class_secret(tmp_path)
    assert class_secret(tmp_path) == made
    assert class_secret(tmp_path / "other") != made
    if os.name == "posix":
        assert (tmp_path / ".labkit" / "secret").stat().st_mode & 0o077 == 0
    monkeypatch.setenv(grading.SECRET_VARIABLE, "short")
    with pytest.raises(SecretError, match="16 characters"):
        class_secret(tmp_path)
    assert personal_secret(made, "ann", "task1") != personal_secret(made, "bob", "task1")
