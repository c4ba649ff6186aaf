"""Grades a folder of submissions; what is finished is kept, so that grading can be stopped and taken up again."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import labkit
from labkit.errors import LabkitError
from labkit.grading import report
from labkit.grading import task as tasks
from labkit.grading.attempt import Attempt, Limits, failed
from labkit.grading.notebook import MAX_BYTES, write_atomically
from labkit.grading.pool import grade_all
from labkit.grading.result import TaskResult, from_dict
from labkit.grading.submissions import Submission, find
from labkit.grading.task import Task

SECRET_VARIABLE = "LABKIT_GRADING_SECRET"
_STATE = ".labkit"
_SHORTEST_SECRET = 16


class SecretError(LabkitError):
    """The class's secret is too short to be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a class is graded: ``jobs`` at the same time, ``again`` even what is already graded."""

    solutions: Path
    out: Path
    jobs: int
    limits: Limits = Limits()
    again: bool = False


@dataclass(slots=True)
class Graded:
    """The class: results by student, tasks in order; how many were graded now and how many before."""

    results: dict[str, list[TaskResult]] = field(default_factory=dict)
    fresh: int = 0
    kept: int = 0

    @property
    def needs_a_person(self) -> bool:
        """True when the grader or a rubric, not a submission, was at fault somewhere."""
        return any(result.state == "needs a person" for found in self.results.values() for result in found)


@dataclass(frozen=True, slots=True)
class Step:
    """One student's task is done: the ``done``-th of ``total``."""

    done: int
    total: int
    student: str
    result: TaskResult


def grade_class(folder: Path, options: Options, on_step: Callable[[Step], None] = lambda step: None) -> Graded:
    """Grade every submission in ``folder`` and write the reports to ``options.out``.

    A student's report is written as soon as their last task is done. LabkitError when the solutions, the rubrics or the
    folder cannot be used; a submission never raises.
    """
    loaded = {task.stem: task for task in tasks.load(options.solutions)}
    submissions = find(folder, loaded)
    work = _Work(loaded, submissions, options, class_secret(options.out))
    graded = Graded()
    for done, (student, result) in enumerate(work.results(graded), start=1):
        found = graded.results.setdefault(student, [])
        found.append(result)
        if len(found) == len(loaded):
            found.sort(key=lambda one: one.task)
            report.write_student(options.out, student, found)
        on_step(Step(done, len(submissions), student, result))
    report.write_class(options.out, graded.results)
    return graded


def class_secret(out: Path) -> str:
    """The secret that hidden inputs are drawn from: the environment's, else one kept beside the reports.

    It is made on first use; graded again with the same one, everything comes out the same.
    """
    given = os.environ.get(SECRET_VARIABLE)
    if given is not None:
        if len(given) < _SHORTEST_SECRET:
            raise SecretError(f"{SECRET_VARIABLE} is too short: use at least {_SHORTEST_SECRET} characters.")
        return given
    path = out / _STATE / "secret"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text().strip()


class _Work:
    """What is to be graded, and what of it was graded before."""

    def __init__(
        self, loaded: Mapping[str, Task], submissions: list[Submission], options: Options, secret: str
    ) -> None:
        self._loaded = loaded
        self._submissions = submissions
        self._options = options
        self._secret = secret

    def results(self, graded: Graded) -> Iterator[tuple[str, TaskResult]]:
        """Every student's result of every task: first what is known already, then what comes from the pool."""
        attempts: dict[Attempt, Task] = {}
        for submission in self._submissions:
            task = self._loaded[submission.stem]
            if submission.path is None:
                yield submission.student, failed(task, "missing", f"No notebook {submission.stem}.ipynb was handed in.")
                continue
            kept = self._kept(submission, task)
            if kept is not None:
                graded.kept += 1
                yield submission.student, kept
            else:
                attempts[self._attempt(submission)] = task
        for attempt, result in grade_all(attempts.items(), jobs=self._options.jobs):
            graded.fresh += 1
            self._keep(attempt, attempts[attempt], result)
            yield attempt.student, result

    def _attempt(self, submission: Submission) -> Attempt:
        assert submission.path is not None
        solution = self._options.solutions / f"{submission.stem}.ipynb"
        return Attempt(submission.student, submission.path, solution, self._secret, self._options.limits)

    def _kept(self, submission: Submission, task: Task) -> TaskResult | None:
        if self._options.again or submission.path is None:
            return None
        try:
            kept = json.loads(self._place(submission.student, task).read_bytes())
            return from_dict(kept["result"]) if kept["digest"] == self._digest(submission.path, task) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # never graded, or by another version: grade it

    def _keep(self, attempt: Attempt, task: Task, result: TaskResult) -> None:
        # What went wrong on our side is tried again the next time.
        if result.state not in ("needs a person", "stopped"):
            kept: dict[str, Any] = {"digest": self._digest(attempt.submission, task), "result": result.as_dict()}
            write_atomically(self._place(attempt.student, task), json.dumps(kept).encode())

    def _place(self, student: str, task: Task) -> Path:
        return self._options.out / _STATE / "done" / student / f"{task.name}.json"

    def _digest(self, path: Path, task: Task) -> str:
        """Changes with anything that a result depends on."""
        digest = hashlib.blake2b(key=self._secret.encode()[:64])
        with path.open("rb") as file:
            digest.update(file.read(MAX_BYTES + 1))
        for part in (path.is_symlink(), task.digest, labkit.__version__, self._options.limits):
            digest.update(repr(part).encode())
        return digest.hexdigest()
