"""Running cells: whatever they do, the run comes back and says what became of each."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from nbformat import NotebookNode

from labkit.grading.play import MAX_OUTPUT_BYTES, Played, Rules, one_line, play
from tests.grading.conftest import code, notebook, text

pytestmark = pytest.mark.slow
Run = Callable[..., Played]

SWALLOWS_INTERRUPTS = """
import signal
for number in (signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
while True:
    pass
"""
BREAKS_THE_CONVERSATION = """
kernel = get_ipython().kernel
kernel.session.send(kernel.iopub_socket, "display_data", content={"data": "not a dict"}, parent=kernel.get_parent())
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs cells in an empty folder, each for at most a second."""

    def run(*sources: str | NotebookNode, **rules: object) -> Played:
        cells = [code(source) if isinstance(source, str) else source for source in sources]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        given = {"environment": environment, "folder": tmp_path, "timeout_s": lambda cell: 1.0}
        return play(notebook(*cells), Rules(**{**given, **rules}))  # type: ignore[arg-type]

    return run


def statuses(played: Played) -> list[str]:
    """What became of each cell."""
    return [run.status for run in played.runs]


def test_a_cell_after_an_error_still_runs(run: Run) -> None:
    """Errors are results in one line, and the rest of the notebook is run."""
    played = run(text("# T"), "1 / 0", "import sys; sys.exit(0)", "  ", "print('here')")
    assert statuses(played) == ["not run", "error", "error", "not run", "ran"]
    assert [one.error for one in played.runs[1:3]] == ["ZeroDivisionError: division by zero", "SystemExit: 0"]
    assert played.runs[4].outputs[0].text == "here\n"
    assert played.ended is None


def test_a_strict_run_ends_at_the_first_error(run: Run) -> None:
    """Running solved notebooks stops where they fail."""
    assert statuses(run("1", "raise ValueError", "1", stop_at_error=True)) == ["ran", "error", "not run"]


@pytest.mark.parametrize(
    "loop",
    [
        pytest.param("while True: pass", id="plain"),
        pytest.param("import asyncio\nwhile True: await asyncio.sleep(0)", id="async"),
        pytest.param("await __import__('asyncio').sleep(0)\nwhile True: pass", id="plain-in-async"),
        pytest.param("while True: print('x' * 1000)", id="printing"),
        pytest.param(
            "import time\ntry:\n    time.sleep(60)\nexcept BaseException:\n    time.sleep(60)", id="once-more"
        ),
    ],
)
def test_an_endless_loop_costs_its_cell_only(run: Run, loop: str) -> None:
    """It is interrupted, and the next cell runs."""
    played = run(loop, "print('here')")
    assert statuses(played) == ["timeout", "ran"]
    assert played.ended is None


def test_a_loop_that_ignores_interrupts_ends_the_run(run: Run) -> None:
    """The kernel is killed; what ran before counts."""
    began = time.monotonic()
    played = run("x = 1", SWALLOWS_INTERRUPTS, "x")
    assert statuses(played) == ["ran", "timeout", "not run"]
    assert "could not be interrupted" in str(played.ended)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("leave", ["import os; os._exit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_kernel_that_ends_is_noticed(run: Run, leave: str) -> None:
    """What ran before counts, and the reason is given."""
    played = run("x = 1", leave, "x")
    assert statuses(played) == ["ran", "error", "not run"]
    assert "kernel ended" in str(played.ended)


def test_leaving_through_exit_is_noticed(run: Run) -> None:
    """exit() ends the kernel a moment after its cell."""
    played = run("exit()", "import time; time.sleep(0.9)", "import time; time.sleep(0.9)", "1")
    assert statuses(played)[-1] != "ran"
    assert "kernel ended" in str(played.ended)


def test_messages_that_make_no_sense_end_the_run(run: Run) -> None:
    """A kernel that breaks the protocol breaks its own run only."""
    played = run(BREAKS_THE_CONVERSATION, "print('here')")
    assert played.ended is None or "could not be run any further" in played.ended


def test_output_is_limited(run: Run) -> None:
    """What a cell prints beyond the limit is dropped; the next cell has its own."""
    played = run(f"for _ in range(100): print('x' * {MAX_OUTPUT_BYTES // 10}, flush=True)", "print('here')")
    assert sum(len(output.text) for output in played.runs[0].outputs) <= MAX_OUTPUT_BYTES
    assert played.runs[1].outputs[0].text == "here\n"


def test_after_the_deadline_no_cell_starts(run: Run) -> None:
    """Cells that are late are not run, and a cell under way is stopped."""
    played = run("import time; time.sleep(60)", "1", timeout_s=lambda cell: 60.0, deadline_s=lambda cell: 1.0)
    assert statuses(played) == ["timeout", "not run"]
    assert "time was up" in played.runs[1].error


def test_the_environment_is_what_the_rules_say(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the instructor's environment reaches the kernel, nor do terminals or input."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "instructors-own")
    played = run("import os; print(sorted(os.environ))", "input('?')")
    assert "AZURE_OPENAI_API_KEY" not in played.runs[0].outputs[0].text
    assert played.runs[1].error.startswith("StdinNotImplementedError")


def test_the_kernel_is_this_python(run: Run) -> None:
    """A kernel spec in the instructor's home does not decide which Python grades."""
    assert run("import sys; print(sys.executable)").runs[0].outputs[0].text.strip() == sys.executable


def test_nothing_is_left_behind(run: Run, tmp_path: Path) -> None:
    """The kernel and its process group are gone when the run is over."""
    played = run("import os, subprocess", "print(os.getpid(), subprocess.Popen(['sleep', '600']).pid)")
    pids = [int(pid) for pid in played.runs[1].outputs[0].text.split()]
    deadline = time.monotonic() + 5
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
        assert time.monotonic() < deadline, "a process is left behind"
        time.sleep(0.05)


def test_a_long_temporary_folder_is_no_obstacle(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the path leaves no room for a socket's address the kernel is reached over TCP."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    played = run(code("40 + 2"))
    assert [one.status for one in played.runs] == ["ran"]
    assert list(deep.iterdir()) == []


def test_kernels_side_by_side_do_not_share_ports(tmp_path: Path) -> None:
    """Starting kernels in several processes at once never collides: they talk over sockets in folders of their own."""
    script = (
        "import pathlib, sys; sys.path.insert(0, '.');"
        "from labkit.grading.play import Rules, play; import nbformat;"
        "nb = nbformat.v4.new_notebook(); nb.cells = [nbformat.v4.new_code_cell('print(1)')];"
        "rules = Rules(environment={}, folder=pathlib.Path(sys.argv[1]), timeout_s=lambda cell: 20);"
        "print(play(nb, rules).runs[0].status)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in started] == ["ran"] * 3


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        pytest.param("a\x1b[31mb\x1b[0m\n\tc\x00", "a b c", id="control"),
        pytest.param("x" * 1000, "x" * 299 + "…", id="long"),
        pytest.param("Bearer eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl!", "Bearer ***!", id="token"),
        pytest.param("zażółć 🙂", "zażółć 🙂", id="polish"),
    ],
)
def test_one_line(said: str, shown: str) -> None:
    """Text of a submission is made fit for a report."""
    assert one_line(said) == shown
