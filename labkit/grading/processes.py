"""Finds and ends the processes a submission started, wherever they went."""

import contextlib
import ctypes
import os
import signal
import sys

import psutil  # type: ignore[import-untyped]

_PR_SET_CHILD_SUBREAPER = 36
# A process may start another while the list is made; one that does so for ever is ended with its parents next round.
_ROUNDS = 20


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans (Linux), so that ``end_children`` still finds them.

    Elsewhere there is no such thing; a process that left its parent is then found no more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(pid: int | None = None) -> None:
    """Kill every descendant of the process ``pid`` (this one when None) and return once they are gone."""
    for _ in range(_ROUNDS):
        children = _children(os.getpid() if pid is None else pid)
        if not children:
            return
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        _, alive = psutil.wait_procs(children, timeout=1.0)
        if not alive:
            _reap()


def end_with_children(pid: int) -> None:
    """Kill the process ``pid``, its process group when it leads one, and every descendant."""
    end_children(pid)
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).kill()


def _children(pid: int) -> list[psutil.Process]:
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [child for child in found if _is_alive(child)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _reap() -> None:
    """Collect the orphans that ended here, so that they do not stay in the process table."""
    if not hasattr(os, "WNOHANG"):
        return
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
