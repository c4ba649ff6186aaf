"""The local Azure as a child process: how it starts, ends and fails."""

import os
import signal
import sys
from pathlib import Path

import pytest

from labkit import launch
from labkit.errors import NoConnectionError


def test_it_is_ready_when_it_is_handed_over_and_shows_no_secret() -> None:
    """The child answers at once; its repr has neither the lab key nor the identity header."""
    child = launch.start(seed=5, latency_scale=0)
    try:
        assert child.is_running
        assert child.environment["LABKIT_AZURE_URL"] == child.url
        assert repr(child) == f"Child(url={child.url!r}, seed=5)"
        assert "admin_secret" not in vars(child)
    finally:
        child.stop()
    assert not child.is_running
    child.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")
def test_the_stop_button_does_not_reach_it() -> None:
    """Jupyter interrupts the kernel's process group; the child is in one of its own."""
    child = launch.start(seed=5, latency_scale=0)
    try:
        assert os.getpgid(child._process.pid) != os.getpgid(0)
    finally:
        child.stop()


def test_a_fork_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the process that started it stops it: a fork that ends must not take it away from the others."""
    child = launch.start(seed=5, latency_scale=0)
    try:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "getpid", lambda: -1)
            child.stop()
        assert child.is_running
    finally:
        child.stop()


def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that does not end by itself is ended."""
    monkeypatch.setattr(launch, "_STOP_TIMEOUT_S", 0.05)
    child = launch.start(seed=5, latency_scale=0)
    os.kill(child._process.pid, signal.SIGSTOP)
    child.stop()
    assert not child.is_running


def test_when_it_does_not_start_its_last_words_are_in_the_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A broken installation is named, not just "did not start"."""
    (tmp_path / "uvicorn.py").write_text("raise ImportError('no uvicorn in this installation')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NoConnectionError, match=r"did not start: .*no uvicorn in this installation\. To see all"):
        launch.start(seed=5, latency_scale=0)


def test_one_that_says_something_else_is_no_local_azure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An answer without URL is not waited on for ever, and the child does not stay."""
    (tmp_path / "uvicorn.py").write_text("print('[]', flush=True); import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(launch, "_STOP_TIMEOUT_S", 0.05)
    with pytest.raises(NoConnectionError, match="did not start: it ended without a word"):
        launch.start(seed=5, latency_scale=0)


def test_a_file_beside_the_notebook_is_not_imported_by_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader's ``uvicorn.py`` or ``random.py`` in the working folder does not break the server."""
    (tmp_path / "uvicorn.py").write_text("raise ImportError('the wrong uvicorn')")
    monkeypatch.chdir(tmp_path)
    child = launch.start(seed=5, latency_scale=0)
    child.stop()
