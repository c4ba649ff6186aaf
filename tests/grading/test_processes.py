"""Nothing a submission starts outlives its attempt."""

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from labkit.grading.processes import end_children, end_with_children

# A process that starts one in a session of its own, leaves it an orphan, prints its pid and waits.
PARENT = """
import subprocess, sys, time
from labkit.grading.processes import adopt_orphans
adopt_orphans()
middle = (
    "import subprocess; null = subprocess.DEVNULL;"
    "print(subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=null, stderr=null).pid)"
)
print(subprocess.run([sys.executable, "-c", middle], capture_output=True, text=True).stdout.strip(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """The process above."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def is_gone(pid: int) -> bool:
    """True within a moment when the process has ended."""
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="orphans can be adopted on Linux only")
def test_an_orphan_in_a_session_of_its_own_is_ended(parent: subprocess.Popen[str]) -> None:
    """A daemon does not escape by leaving its parent and its group."""
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    end_children(parent.pid)
    assert is_gone(orphan)
    assert parent.poll() is None
    end_with_children(parent.pid)
    assert parent.wait(5) != 0


def test_ending_what_has_ended_does_nothing() -> None:
    """A process id that is gone is no error."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        end_children(process.pid)
        end_with_children(process.pid)
