"""Gives every attempt a process of its own, and ends those that do not come back."""

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from labkit.grading.attempt import Attempt, failed, grade
from labkit.grading.processes import adopt_orphans, end_children, end_with_children
from labkit.grading.result import TaskResult, from_dict
from labkit.grading.task import Task

# Far above any honest result; what comes back is read into memory.
_MAX_RESULT_BYTES = 8 * 2**20
_MODULES = ["labkit.grading.attempt", "labkit.localazure.app"]


@dataclass(slots=True)
class _Running:
    attempt: Attempt
    task: Task
    process: BaseProcess
    results: Connection
    deadline_s: float
    folder: tempfile.TemporaryDirectory[str]


def grade_all(work: Iterable[tuple[Attempt, Task]], *, jobs: int) -> Iterator[tuple[Attempt, TaskResult]]:
    """The result of every attempt in ``work``, as they come; at most ``jobs`` run at the same time.

    Each runs in a process of its own with a deadline; one that dies or does not end becomes a result with a reason.
    Leaving the loop early ends what still runs.
    """
    context = _context()
    waiting = iter(work)
    running: dict[Connection, _Running] = {}
    try:
        while True:
            while len(running) < jobs and (following := next(waiting, None)) is not None:
                one = _start(context, *following)
                running[one.results] = one
            if not running:
                return
            for one in _ended(running):
                del running[one.results]
                yield one.attempt, _finish(one)
    finally:
        for one in running.values():
            _clean_up(one)


def _context() -> Any:
    """How processes are made: by a server that has imported everything, where there is such a thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_MODULES)
    return context


def _start(context: Any, attempt: Attempt, task: Task) -> _Running:
    folder = tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True)
    results, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, attempt, Path(folder.name)), daemon=True)
    process.start()
    sender.close()
    return _Running(attempt, task, process, results, time.monotonic() + attempt.limits.attempt_s, folder)


def _ended(running: dict[Connection, _Running]) -> list[_Running]:
    """Those that have sent something, died or run out of time; waits until there is one."""
    while True:
        now_s = time.monotonic()
        next_deadline_s = min(one.deadline_s for one in running.values())
        ready = wait(list(running), timeout=max(0.0, next_deadline_s - now_s))
        ended = [one for results, one in running.items() if results in ready or one.deadline_s <= time.monotonic()]
        if ended:
            return ended


def _finish(one: _Running) -> TaskResult:
    try:
        return _received(one)
    finally:
        _clean_up(one)


def _received(one: _Running) -> TaskResult:
    if not one.results.poll():
        reason = f"The attempt did not end within {one.attempt.limits.attempt_s:.0f} s and was stopped."
        return failed(one.task, "stopped", reason)
    try:
        message = json.loads(one.results.recv_bytes(_MAX_RESULT_BYTES))
    except (EOFError, OSError, ValueError):
        one.process.join(5.0)
        reason = f"The grader's process ended without a result (exit status {one.process.exitcode}), needs a person."
        return failed(one.task, "needs a person", reason)
    if "failed" in message:
        return failed(one.task, "needs a person", f"The grader failed, needs a person ({message['failed']}).")
    return from_dict(message)


def _clean_up(one: _Running) -> None:
    one.process.join(0.2)  # it has usually nothing left to do
    if one.process.is_alive() and one.process.pid is not None:
        end_with_children(one.process.pid)
    one.process.join(5.0)
    one.results.close()
    with contextlib.suppress(OSError):
        one.folder.cleanup()


def _work(results: Connection, attempt: Attempt, folder: Path) -> None:
    """The whole life of an attempt's process."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C in the terminal is for the parent, which then ends this one
    adopt_orphans()
    _be_silent()
    tempfile.tempdir = str(folder)  # so that the parent removes it all, even when this process is killed
    home = folder / "home"
    home.mkdir()
    try:
        message = grade(attempt, home).as_dict()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = {"failed": f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"}
    end_children()
    results.send_bytes(json.dumps(message).encode())


def _be_silent() -> None:
    """Nothing a library says here belongs among the instructor's progress bars."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
