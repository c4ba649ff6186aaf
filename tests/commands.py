"""The ``labkit`` command, run as a person runs it."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest


def labkit(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "labkit.cli", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, env=environment)


@contextmanager
def running(*arguments: str | Path, until: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command while it runs, once it has printed a line that matches ``until``, and all it printed so far."""
    command = [sys.executable, "-m", "labkit.cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    told = ""
    try:
        for line in process.stdout:
            told += line
            if re.search(until, line):
                break
        else:
            pytest.fail(f"labkit {arguments[0]} ended early:\n{told}")
        yield process, told
    finally:
        with suppress(psutil.Error):  # it has usually ended by now, and what it started with it
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.communicate()


def answers(url: str) -> bool:
    """True when something listens there."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
