"""One attempt: what the kernel is given, what each probe finds, and what the rubric gets to see."""

import json
import os
from pathlib import Path

import pytest

from labkit.grading import attempt as attempts
from labkit.grading import probe as probes
from labkit.grading.attempt import Attempt, Limits, grade, kernel_environment, without
from labkit.grading.evidence import MAX_ENTRIES, Phase, Recorder
from labkit.grading.probe import Probe
from labkit.grading.result import ExerciseResult, TaskResult
from labkit.localazure import LocalAzure
from labkit.localazure.faults import Fault
from labkit.localazure.journal import Entry
from labkit.localazure.monitor.outbox import Notification
from tests.grading.conftest import code, first_task, marked, notebook, write

TELLS = """
import json
from labkit.grading.rubric import Score

TASK = "task1"


def score(evidence):
    seen = {
        "cells": dict(evidence.cells),
        "untouched": sorted(evidence.untouched),
    }
    return [
        Score("task1-1-double", 0.5, "x", seen=json.dumps(seen["cells"]), expected=json.dumps(seen["untouched"])),
        Score("task1-2-token", 0.5, "x"),
    ]
"""


def entry(operation: str = "token") -> Entry:
    """A request."""
    return Entry(1.0, "identity", "GET", "/msi/token", operation, 200)


def test_the_kernel_gets_nothing_of_the_instructors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where programs are, a home of its own, and its local Azure: a list of what may pass, not of what may not."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "instructors-own")
    monkeypatch.setenv("PYTHONPATH", "/instructors/own")
    given = kernel_environment(tmp_path, {"LABKIT_AZURE_URL": "http://127.0.0.1:1"})
    own = {"HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"}
    assert {given[name] for name in own} == {str(tmp_path)}
    assert set(given) - own == {"PATH", "LANG", "PYTHONDONTWRITEBYTECODE", "LABKIT_AZURE_URL"} | (
        {"SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT"} & set(os.environ)
    )


def test_each_probe_finds_its_own_faults_and_fresh_limits(tmp_path: Path) -> None:
    """Neither what the notebook left behind nor what the probe before it was given."""
    asked = [Probe("a", "e", "1", faults=[Fault(times=2)]), Probe("b", "e", "1")]
    with LocalAzure() as local:
        rules = attempts._rules(local, Recorder(local), asked, Limits(cell_s=7, notebook_s=11, probes_s=13), tmp_path)
        local.azure.faults.add(Fault(times=9, by="lab"))
        before = local.azure.limits
        cells = [probes.cell(probe) for probe in asked]
        rules.on_start(0, cells[0])
        assert [(one["times"], one["by"]) for one in local.azure.faults.waiting()] == [(2, "admin")]
        assert local.azure.limits is not before
        rules.on_start(1, cells[1])
        assert local.azure.faults.waiting() == []
    assert (rules.timeout_s(code("x")), rules.timeout_s(cells[0])) == (7, 20)
    assert (rules.deadline_s(code("x")), rules.deadline_s(cells[0])) == (11, 24)


def test_a_submissions_webhooks_are_not_posted() -> None:
    """The grader's process calls nobody on a submission's word, this machine included."""
    told = Notification(1, 0.0, "a", "rule", "Fired", "group", "webhook", "r", "http://127.0.0.1:9", "", "pending")
    with attempts._local_azure("0" * 32) as local:
        local.azure.monitor.notifier.webhooks.send(told.to, b"{}", told)
        assert not local.azure.monitor.notifier.webhooks.is_posting
    assert (told.outcome, told.attempts) == ("not delivered", 0)


def test_requests_are_recorded_by_phase() -> None:
    """Each belongs to the cell during which it came; what probes caused is not part of the run."""
    with LocalAzure() as local:
        recorder = Recorder(local)
        journal = local.azure.journal
        recorder.begin("cell a")
        journal.add(entry())
        recorder.begin(None)
        journal.add(entry())
        recorder.begin("probe p")
        journal.add(entry())
        recorder.begin("probe q")
        journal.add(entry())
        recorder.end()
        assert recorder.phases == {
            "cell a": Phase(0, 1),
            "probe p": Phase(2, 3),
            "probe q": Phase(3, 4),
            "run": Phase(0, 2),
        }
        assert [one.id for one in recorder.entries] == [1, 2, 3, 4]
        assert recorder.is_complete


def test_a_flood_of_requests_is_cut_and_noticed() -> None:
    """Evidence has a limit; the journal's own oldest entries are saved before it forgets them."""
    with LocalAzure() as local:
        recorder = Recorder(local)
        for phase in ("cell a", "cell b", "cell c"):
            recorder.begin(phase)
            for _ in range(9_000):
                local.azure.journal.add(entry())
        recorder.end()
        assert [one.id for one in recorder.entries] == list(range(1, MAX_ENTRIES + 1))
        assert not recorder.is_complete


def test_secrets_are_blotted_out() -> None:
    """Wherever in a result they turn up."""
    exercise = ExerciseResult("e", "1.1", 1.0, 2.0, "it was s3cret", seen="s3cret s3cret", expected="k3y")
    result = TaskResult("task1", "01_first", "graded", "", (exercise,))
    (blotted,) = without(["s3cret", "k3y", ""], result).exercises
    assert (blotted.reason, blotted.seen, blotted.expected) == ("it was ***", "*** ***", "***")


@pytest.mark.slow
def test_the_rubric_sees_what_became_of_each_cell(tmp_path: Path) -> None:
    """Cells by grade id, answers, and which of them are still the stub."""
    solution = write(tmp_path / "solutions" / "01_first.ipynb", first_task())
    (tmp_path / "solutions" / "rubric").mkdir()
    (tmp_path / "solutions" / "rubric" / "task1.py").write_text(TELLS, "utf-8")
    handed_in = notebook(
        code("raise ValueError('mine')", **marked("task1-1-double", solution=True)),
        code(
            'def fetch(times: int) -> list[int]:\n    raise NotImplementedError("1.2: your answer here")  \n',
            **marked("task1-2-token", solution=True),
        ),
    )
    (tmp_path / "folder").mkdir()
    submission = write(tmp_path / "in.ipynb", handed_in)
    result = grade(Attempt("ann", submission, solution, "a secret of the class"), tmp_path / "folder")
    first, second, _ = result.exercises
    assert json.loads(first.seen) == {
        "task1-setup": "ran",
        "task1-1-double": "error: ValueError: mine",
        "task1-1-check": "error: NameError: name 'double' is not defined",
        "task1-2-token": "ran",
        "task1-2-check": "ran",
        "task1-2-why": "missing",
    }
    assert json.loads(first.expected) == ["task1-2-token"]
    assert first.points == 2.0
    assert (second.points, second.reason) == (0.0, "Not done yet: the answer is still the stub.")
    assert {problem.kind for problem in result.problems} == {"deleted"}
