"""The ``labkit`` command: what it prints, how it fails, and that what it starts ends with it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from labkit.grading.processes import end_with_children
from tests.commands import answers, labkit, running
from tests.grading.conftest import code, notebook, solutions, write

__all__ = ["solutions"]

# Ctrl-C: CPython turns our status into the signal when it arrives while code made from a string is running.
STOPPED = (130, -signal.SIGINT)
COMMANDS = ["lab", "azure", "run", "release", "sample", "grade"]


def command_line(process: psutil.Process) -> str:
    """What ``process`` was started with; empty when it has ended meanwhile, as JupyterLab's helpers do."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def listens_on(process: psutil.Process) -> set[str]:
    """The addresses on which ``process`` takes connections; none when it has ended meanwhile."""
    with suppress(psutil.Error):
        return {each.laddr.ip for each in process.net_connections("inet") if each.status == "LISTEN"}
    return set()


def started(url: str) -> bool:
    """True once JupyterLab has started a kernel; it prints its address a moment before it listens."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=b"{}"), timeout=20) as reply:
                return reply.status == 201
        except OSError:
            time.sleep(0.1)
    return False


def test_help_names_every_command() -> None:
    """Each with a sentence, and each command's help documents its options."""
    told = labkit("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b +\w", told), command
        helped = labkit(command, "--help")
        assert helped.returncode == 0
        assert not re.search(r"^│ +--[\w-]+ +(<\w+>)? *│$", helped.stdout, re.MULTILINE), helped.stdout
    assert labkit().returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["release", "none"], "There is no folder none", id="release"),
        pytest.param(["run", "none"], "There is no none", id="run"),
        pytest.param(["grade", "none", "--out", "out"], "There is no folder solutions", id="grade"),
        pytest.param(["sample", "out"], "There is no folder solutions", id="sample"),
        pytest.param(["lab"], "There is no notebooks/en/01_deployment.ipynb", id="lab"),
        pytest.param(["lab", "--port", "many"], "--port", id="option"),
        pytest.param(["fly"], "No such command", id="command"),
    ],
)
def test_wrong_use_is_told_in_a_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit status 2, a sentence on standard error, no traceback."""
    done = labkit(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_release_and_check(solutions: Path, tmp_path: Path) -> None:
    """--check finds what differs and changes nothing; without it the notebooks are brought up to date."""
    target = tmp_path / "notebooks"
    found = labkit("release", solutions, target, "--check")
    assert found.returncode == 1
    assert "01_first.ipynb: missing" in found.stdout
    assert not target.exists()
    assert labkit("release", solutions, target).returncode == 0
    assert labkit("release", solutions, target, "--check").returncode == 0
    write(solutions / "01_first.ipynb", notebook(code("### BEGIN SOLUTION\n### END SOLUTION")))
    broken = labkit("release", solutions, target)
    assert broken.returncode == 2
    assert "01_first.ipynb, cell 1: an answer needs" in broken.stderr


@pytest.mark.slow
def test_run_tells_which_notebook_failed(tmp_path: Path) -> None:
    """Exit status 1, and the notebook, the cell and the error in a line; the others still run."""
    write(tmp_path / "01_a.ipynb", notebook(code("raise ValueError('no')")))
    write(tmp_path / "02_b.ipynb", notebook(code("import os; assert os.environ['LABKIT_STRICT'] == '1'")))
    done = labkit("run", tmp_path, "--save")
    assert done.returncode == 1
    assert f"{tmp_path / '01_a.ipynb'}: cell 1: ValueError: no" in done.stdout
    assert f"{tmp_path / '02_b.ipynb'}: ran to its last cell, outputs stored" in done.stdout
    assert "1 of 2 notebooks ran." in done.stdout
    assert labkit("run", tmp_path / "02_b.ipynb", "--no-strict").returncode == 1


@pytest.mark.slow
def test_ctrl_c_ends_a_run_and_its_kernel(tmp_path: Path) -> None:
    """No kernel is left behind."""
    path = write(tmp_path / "01_a.ipynb", notebook(code("open('began', 'w'); import time; time.sleep(600)")))
    process = subprocess.Popen([sys.executable, "-m", "labkit.cli", "run", path], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "began").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    finally:
        end_with_children(process.pid)
        process.communicate()
    assert process.returncode in STOPPED, told
    assert "Traceback" not in told
    assert not psutil.wait_procs(children, timeout=5)[1]


@pytest.mark.slow
def test_sample_and_grade(solutions: Path, tmp_path: Path) -> None:
    """The class is graded, the table printed, and the reports are where the last line says."""
    shutil.rmtree(solutions / "rubric" / "__pycache__", ignore_errors=True)
    sampled = labkit("sample", tmp_path / "sample", "--solutions", solutions)
    assert "6 students: solved, half-done" in sampled.stdout
    arguments = ["grade", tmp_path / "sample", "--out", tmp_path / "grades", "--solutions", solutions]
    done = labkit(*arguments, "--timeout-s", "2", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"solved +│ 10 / 12 +│ 5 / 5 +│ 15 ", done.stdout)
    assert f"Reports: {tmp_path}/grades/<student>.json" in done.stdout.replace("\n", "")
    assert json.loads((tmp_path / "grades" / "solved.json").read_text("utf-8"))["points"] == 15.0
    again = labkit(*arguments, "--timeout-s", "2")
    assert "Graded 0 notebooks, 8 were finished before." in again.stdout
    (solutions / "rubric" / "task2.py").write_text("TASK = 'task2'\ndef score(evidence): return 1 / 0\n")
    broken = labkit(*arguments, "--timeout-s", "2")
    assert broken.returncode == 1
    assert "need a person" in broken.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_lab(tmp_path: Path, number: signal.Signals) -> None:
    """JupyterLab opens the notebook on 127.0.0.1, its kernels find the local Azure, and both end together."""
    path = write(tmp_path / "01_first.ipynb", notebook(code("1")))
    until = r"http://127\.0\.0\.1:\d+/lab/tree/01_first\.ipynb\?token=\w+"
    with running("lab", "--no-browser", "--notebook", path, "--ServerApp.port_retries=99", until=until) as (
        process,
        told,
    ):
        address = re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/01_first\.ipynb\?(token=\w+)", told)
        assert address is not None
        assert started(f"{address[1]}/api/kernels?{address[2]}")
        children = psutil.Process(process.pid).children(recursive=True)
        (kernel,) = [child for child in children if "ipykernel_launcher" in command_line(child)]
        azure, key = (kernel.environ()[name] for name in ("LABKIT_AZURE_URL", "LABKIT_LAB_KEY"))
        assert answers(f"{azure}/labkit")
        assert f"{azure}/#key={key}" in told, "the console's address is shown"
        listening = {address for each in [*children, psutil.Process(process.pid)] for address in listens_on(each)}
        assert listening == {"127.0.0.1"}
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert not psutil.wait_procs(children, timeout=10)[1]
        assert not answers(f"{azure}/labkit")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["run"], id="run"),
        pytest.param(["release"], id="release"),
        pytest.param(["grade", "submissions", "--out", "grades"], id="grade"),
    ],
)
def test_without_the_instructors_extra_it_says_what_to_install(arguments: list[str]) -> None:
    """A student's set-up has no papermill: one line says how to get it, instead of a traceback."""
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['papermill', 'nbformat', 'nbclient', 'psutil', 'jupyter_client']))\n"
        f"sys.argv = {['labkit', *arguments]!r}\n"
        "from labkit.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert ".[instructor]" in done.stderr
    assert "Traceback" not in done.stderr
