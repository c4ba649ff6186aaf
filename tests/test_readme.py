"""The README's commands do what it says, to the letter."""

import contextlib
import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
README = (REPO / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
VENV = Path(sys.prefix)
SET_UP_BY_MAKE = pytest.mark.skipif(not (VENV / "test.done").exists(), reason="run by `make test`, which sets up .venv")


def _labkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labkit.cli", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60, check=False)


def test_the_first_command_comes_early() -> None:
    """A reader finds out what to type within about 80 words."""
    assert len(README.split("```bash")[0].split()) <= 85


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_knows_the_verb(command: str) -> None:
    """Every `make …` of the README is a rule of the Makefile."""
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(".venv/bin/labkit")])
def test_labkit_knows_the_command_and_its_options(command: str) -> None:
    """Every `labkit …` of the README is a command, with the options it names."""
    _, *words = shlex.split(command)
    verbs = list(itertools.takewhile(lambda word: "/" not in word and not word.startswith("-"), words))
    helped = _labkit(*verbs, "--help")
    assert helped.returncode == 0, helped.stderr
    for option in (word for word in words if word.startswith("--")):
        assert option in helped.stdout, f"labkit {' '.join(verbs)} has no {option}"


def test_make_help_explains_every_verb() -> None:
    """`make` alone lists every verb with a sentence each."""
    told = subprocess.run(["make"], cwd=REPO, capture_output=True, text=True, check=True).stdout
    verbs = ["help", "lab", "test", "test-az", "grade", "release", "bench"]
    assert re.findall(r"^make ([\w-]+) +\w", told, re.MULTILINE) == verbs


def test_ci_runs_the_readme_command() -> None:
    """Continuous integration runs `make test` and nothing else."""
    script = (REPO / ".ci" / "run").read_text("utf-8").splitlines()
    assert [line for line in script if line.startswith("make")] == ["make test"]


def test_the_listing_names_what_is_there() -> None:
    """Every folder in the README's listing exists."""
    listing = README.split("## What is where")[1].split("```")[1]
    folders = re.findall(r"^( *)([\w]+/)(\w+/)?", listing, re.MULTILINE)
    for indent, first, second in folders:
        parent = REPO / "labkit" if indent else REPO
        assert (parent / first / second).is_dir(), f"{first}{second}"


@pytest.fixture
def lab() -> Iterator[subprocess.Popen[str]]:
    """`make lab` without a browser; its whole process group is gone afterwards."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    for name in [name for name in environment if name.startswith(("LABKIT_", "AZURE_", "IDENTITY_"))]:
        del environment[name]
    process = subprocess.Popen(
        ["make", "lab", f"VENV={VENV}", "LAB_ARGS=--no-browser"],
        cwd=REPO,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    # Asked first: it ends JupyterLab, which is in a group of its own.
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
    assert process.stdout is not None
    process.stdout.close()


def _wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"make lab ended without {pattern}:\n" + "".join(said))


def _page(url: str) -> str:
    """What ``url`` serves. JupyterLab prints its address a moment before it listens there."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=30) as page:
                return page.read().decode()
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.slow
@SET_UP_BY_MAKE
def test_make_lab_opens_the_first_task_and_ends_cleanly(lab: subprocess.Popen[str]) -> None:
    """`make lab` serves JupyterLab with the first task, and Ctrl-C ends it together with the local Azure."""
    url = _wait_for(lab, r"(http://127\.0\.0\.1:\d+/lab\S*)")[1]
    assert "01_deployment.ipynb" in url
    assert "JupyterLab" in _page(url)
    os.killpg(lab.pid, signal.SIGINT)
    deadline = time.monotonic() + 30
    assert lab.stdout is not None
    lab.stdout.read()
    lab.wait(timeout=max(1.0, deadline - time.monotonic()))
    with pytest.raises(OSError, match=r"refused|reset"):
        urllib.request.urlopen(url, timeout=5)
