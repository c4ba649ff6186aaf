"""Starts a local Azure as a process of its own, which ends when this one does."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from threading import Timer
from typing import IO, Any

from labkit.errors import NoConnectionError

_START_TIMEOUT_S = 60.0  # a busy classroom machine needs several seconds to import the server
_STOP_TIMEOUT_S = 5.0
_ADVICE = "To see all it says, run `python -m labkit.localazure` in a terminal."
# Jupyter's Stop button interrupts the kernel's whole process group; the local Azure shall live on.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"start_new_session": True}
)


@dataclass(frozen=True)
class Child:
    """A running local Azure; ``environment`` holds secrets, so it is not shown."""

    url: str
    seed: int
    environment: dict[str, str] = field(repr=False)
    _process: subprocess.Popen[str] = field(repr=False)
    _log: IO[bytes] = field(repr=False)
    _owner: int = field(default_factory=os.getpid, repr=False)

    @property
    def is_running(self) -> bool:
        """False once it has ended, for whatever reason."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ends it and waits until it has; harmless when it has already ended."""
        if os.getpid() != self._owner:
            return  # a fork of the process that started it has no say
        atexit.unregister(self.stop)
        _end(self._process)
        self._log.close()


def start(*, seed: int, latency_scale: float) -> Child:
    """A local Azure on a free port, ready to answer; ``NoConnectionError`` says why when it does not start."""
    # The log is a file, because a pipe that nobody reads would fill up and stop the server.
    log = tempfile.TemporaryFile()  # noqa: SIM115 (Child.stop closes it)
    process = _spawn(["--seed", str(seed), "--latency-scale", str(latency_scale)], log)
    try:
        url, environment = _wait_until_ready(process)
    except (ValueError, KeyError, TypeError):
        _end(process)
        with log:
            raise NoConnectionError(f"The local Azure did not start: {_last_line(log)}. {_ADVICE}") from None
    child = Child(url, seed, environment, process, log)
    atexit.register(child.stop)
    return child


def _spawn(options: list[str], log: IO[bytes]) -> subprocess.Popen[str]:
    # -P: a file of the reader's, such as random.py beside the notebook, must not be imported by the server.
    command = [sys.executable, "-P", "-m", "labkit.localazure", "--until-stdin-closes", *options]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        **_OWN_GROUP,
    )


def _wait_until_ready(process: subprocess.Popen[str]) -> tuple[str, dict[str, str]]:
    """The URL and the environment from the one line that it prints once it serves.

    ``ValueError``, ``KeyError`` or ``TypeError`` when it ends, or says something else, instead.
    """
    assert process.stdout is not None
    timeout = Timer(_START_TIMEOUT_S, process.kill)
    timeout.start()
    try:
        with process.stdout as lines:
            ready = json.loads(lines.readline())
    finally:
        timeout.cancel()
    # The line also holds the admin secret. It is for graders; nothing here keeps it.
    return ready["url"], ready["environment"]


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "it ended without a word"
