"""One submission of one task, from the file to the points. Runs in a process of its own, which may be killed."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from labkit.errors import LabkitError
from labkit.grading import notebook as notebooks
from labkit.grading import probe as probes
from labkit.grading import rubric as rubrics
from labkit.grading.evidence import Evidence, Recorder, cell_phase, probe_phase
from labkit.grading.play import TIME_IS_UP, CellRun, Played, Rules, one_line, play
from labkit.grading.probe import Probe
from labkit.grading.restore import Problem, Restored, restore
from labkit.grading.result import State, TaskResult, from_dict, nothing
from labkit.grading.rubric import Rubric, RubricError
from labkit.grading.score import check_probes, settle
from labkit.grading.task import Task, load_one
from labkit.localazure.inference.limits import Limits as Limiters
from labkit.localazure.server import LocalAzure

# All a kernel gets of the instructor's environment; Windows cannot start a process without the last four.
_PASSED_ON = ("PATH", "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT")
_START_AND_SCORE_S = 60.0
_DEFINITION = re.compile(r"^(?:(?:async +)?(?:def|class) +(\w+)|(\w+) *(?::[^=]+)?=(?!=))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one cell, the cells of one notebook and its probes together may take."""

    cell_s: float = 20.0
    notebook_s: float = 120.0
    probes_s: float = 90.0

    @property
    def attempt_s(self) -> float:
        """When an attempt is given up from outside; in good order it has ended itself long before."""
        return self.notebook_s + self.probes_s + _START_AND_SCORE_S


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is graded: the submission of ``student`` for the task solved in ``solution``; ``secret`` is the class's."""

    student: str
    submission: Path
    solution: Path
    secret: str = field(repr=False)
    limits: Limits = Limits()


def grade(attempt: Attempt, folder: Path) -> TaskResult:
    """The result of ``attempt``. ``folder`` is empty, belongs to it alone, and holds all that the kernel writes."""
    task = load_one(attempt.solution)
    assert task is not None, "only graded notebooks become attempts"
    try:
        submitted = notebooks.read(attempt.submission)
    except notebooks.UnreadableNotebookError as error:
        return failed(task, "unreadable", str(error))
    restored = restore(task.released, submitted)
    try:
        return _scored(task, restored, attempt, folder)
    except (RubricError, probes.ProbeError) as error:
        return failed(task, "needs a person", _for_a_person(error), restored.problems)
    except KernelError as error:
        return failed(task, "needs a person", str(error), restored.problems)


def _for_a_person(error: Exception) -> str:
    return f"Rubric error, needs a person. {one_line(str(error))}"


class KernelError(LabkitError):
    """No kernel could be started, so nothing is known of the submission."""


def _scored(task: Task, restored: Restored, attempt: Attempt, folder: Path) -> TaskResult:
    rubric = rubrics.load(task.rubric, task.name)
    secret = personal_secret(attempt.secret, attempt.student, task.name)
    with _local_azure(secret) as local:
        evidence = _gather(local, task, rubric, restored, secret, attempt.limits, folder)
        hidden = [attempt.secret, secret, *_keys(local)]
    results = settle(task.exercises, rubric.score(evidence), evidence.untouched)
    problems = (*restored.problems, *(Problem("run", task.stem, text) for text in evidence.problems))
    return without(hidden, TaskResult(task.name, task.stem, "graded", "", results, problems))


def _local_azure(secret: str) -> LocalAzure:
    """A submission's own local Azure, not yet started."""
    local = LocalAzure(seed=int(secret[:8], 16), latency_scale=0.0)
    # An action group of a submission must not make this process post to what else listens on this machine.
    local.azure.monitor.notifier.webhooks.enabled = False
    return local


def _keys(local: LocalAzure) -> list[str]:
    own = [local.admin_secret, local.lab_key, local.environment()["IDENTITY_HEADER"]]
    return own + [key for resource in local.azure.resources for key in resource.secrets.values()]


def without(hidden: Iterable[str], result: TaskResult) -> TaskResult:
    """``result`` with every text of ``hidden`` blotted out; a submission may return its environment as a value."""
    text = json.dumps(result.as_dict())
    for secret in filter(None, hidden):
        text = text.replace(secret, "***")
    return from_dict(json.loads(text))


def failed(task: Task, state: State, reason: str, problems: Sequence[Problem] = ()) -> TaskResult:
    """A result without points, for ``reason``."""
    return TaskResult(task.name, task.stem, state, reason, nothing(task.exercises, reason), tuple(problems))


def personal_secret(class_secret: str, student: str, task: str) -> str:
    """The secret that decides this student's hidden inputs in this task, the same when graded again."""
    return hashlib.blake2b(f"{student}\0{task}".encode(), key=class_secret.encode()[:64]).hexdigest()[:32]


def _gather(
    local: LocalAzure,
    task: Task,
    rubric: Rubric,
    restored: Restored,
    secret: str,
    limits: Limits,
    folder: Path,
) -> Evidence:
    asked = rubric.probes(secret)
    check_probes(task.exercises, (probe.exercise for probe in asked))
    cells = [*restored.notebook.cells, *map(probes.cell, asked)]
    notebook = notebooks.node({**restored.notebook, "cells": cells})
    local.azure.faults.add_all(rubric.faults(secret))
    recorder = Recorder(local)
    played = play(notebook, _rules(local, recorder, asked, limits, folder))
    recorder.end()
    if played.ended and all(run.status == "not run" for run in played.runs):
        raise KernelError(f"No kernel could be started, needs a person. {played.ended}")
    return _evidence(task, secret, notebook.cells, played, recorder)


def _rules(local: LocalAzure, recorder: Recorder, asked: Sequence[Probe], limits: Limits, folder: Path) -> Rules:
    by_id = {probe.id: probe for probe in asked}

    def timeout_s(cell: NotebookNode) -> float:
        id = probes.probe_id(cell)
        return limits.cell_s if id is None else by_id[id].timeout_s

    def deadline_s(cell: NotebookNode) -> float:
        return limits.notebook_s + (limits.probes_s if probes.probe_id(cell) is not None else 0.0)

    def on_start(index: int, cell: NotebookNode) -> None:
        recorder.begin(_phase(cell))
        id = probes.probe_id(cell)
        if id is not None:
            _set_scene(local, by_id[id])

    return Rules(
        environment=kernel_environment(folder, local.environment()),
        folder=folder,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
        on_start=on_start,
    )


def _set_scene(local: LocalAzure, probe: Probe) -> None:
    """Every probe finds its own faults, and no minute in which the notebook has used up what its deployments allow."""
    local.azure.limits = Limiters()
    local.azure.faults.clear()
    local.azure.faults.add_all(probe.faults)


def _phase(cell: NotebookNode) -> str | None:
    id = probes.probe_id(cell)
    if id is not None:
        return probe_phase(id)
    marked = notebooks.mark(cell)
    return cell_phase(marked.grade_id) if marked is not None else None


def kernel_environment(folder: Path, local: Mapping[str, str]) -> dict[str, str]:
    """All that a submission's kernel finds in its environment: nothing of the instructor's but where programs are."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    own = {name: str(folder) for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP")}
    return {**passed_on, **own, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **local}


def _evidence(task: Task, secret: str, cells: Sequence[NotebookNode], played: Played, recorder: Recorder) -> Evidence:
    runs = list(zip(cells, played.runs, strict=True))
    answered = {marked.grade_id: cell.source for cell in cells if (marked := notebooks.mark(cell)) and marked.solution}
    own = [cell.source for cell in cells if notebooks.mark(cell) is None and probes.probe_id(cell) is None]
    return Evidence(
        task=task.name,
        secret=secret,
        journal=tuple(recorder.entries),
        phases=recorder.phases,
        resources=tuple(recorder.resources()),
        telemetry=recorder.telemetry(),
        probes={id: probes.read(run.outputs, run.error) for cell, run in runs if (id := probes.probe_id(cell))},
        cells=_statuses(task, runs),
        answers=answered,
        untouched=frozenset(_untouched(task, answered, own)),
        problems=tuple(_problems(runs, played, recorder)),
    )


def _statuses(task: Task, runs: Iterable[tuple[NotebookNode, CellRun]]) -> dict[str, str]:
    """What became of each marked cell of the release, by grade id."""
    by_id = {marked.grade_id: run for cell, run in runs if (marked := notebooks.mark(cell))}
    expected = [marked.grade_id for cell in task.released.cells if (marked := notebooks.mark(cell))]
    return {grade_id: _status(by_id.get(grade_id)) for grade_id in expected}


def _status(run: CellRun | None) -> str:
    if run is None:
        return "missing"
    return f"error: {run.error}" if run.error else run.status


def _untouched(task: Task, answers: Mapping[str, str], own: Iterable[str]) -> Iterator[str]:
    """The answers that are what was released, unless a cell of the student's ``own`` defines one of their names."""
    defined = {name for source in own for name in _defined(source)}
    for cell in task.released.cells:
        marked = notebooks.mark(cell)
        if marked is None or marked.grade_id not in answers or defined.intersection(_defined(cell.source)):
            continue
        if notebooks.same_text(cell.source, answers[marked.grade_id]):
            yield marked.grade_id


def _defined(source: str) -> list[str]:
    """The names that ``source`` gives at its left margin; by pattern, since a cell need not be Python."""
    return [first or second for first, second in _DEFINITION.findall(source)]


def _problems(cells: Iterable[tuple[NotebookNode, CellRun]], played: Played, recorder: Recorder) -> Iterator[str]:
    for cell, run in cells:
        if run.status == "timeout" and probes.probe_id(cell) is None:
            marked = notebooks.mark(cell)
            which = f"The cell {marked.grade_id}" if marked else "A cell of the student's own"
            yield f"{which} ran over its time and was stopped."
    if any(run.error == TIME_IS_UP for run in played.runs):
        yield "The notebook's time was up before its last cell."
    if played.ended:
        yield played.ended
    if not recorder.is_complete:
        yield "It sent more requests than are kept as evidence."
