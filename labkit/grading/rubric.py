'''What a rubric module is written with: ``solutions/rubric/task2.py`` scores the notebook of task 2.

    from labkit.grading.rubric import Evidence, Fault, Probe, Score, part, share

    TASK = "task2"

    def faults(secret: str) -> list[Fault]:              # optional: they wait in the local Azure before the run
        return [Fault(deployment="gpt-35-turbo", times=2, retry_after_s=0.2)]
        # or scripted([{"at_s": 5, "fault": {"status": 503}}, {"at_s": 8, "clear": True}]): by the local Azure's clock

    def probes(secret: str) -> list[Probe]:              # optional: asked after the run, in this order
        return [Probe("2.1-repeat", "task2-1-cache", """
            optimizer = LLMOptimizer("gpt-35-turbo", cache=AnswerCache())
            for _ in range(3):
                await optimizer.optimized_completion([{"role": "user", "content": question}], temperature=0)
            optimizer.get_performance_report()
        """, inputs={"question": f"What is {number(secret, 'question', 100, 999)} + 1?"})]

    def score(evidence: Evidence) -> list[Score]:        # a pure function of the evidence
        calls = evidence.calls(probe="2.1-repeat", operation="chat.completions")
        return [share("task2-1-cache", {
            "a repeated question costs one call": part(len(calls) == 1, seen=f"{len(calls)} calls", expected="1 call"),
            "hits are counted": evidence.value("2.1-repeat", int, "performance_metrics", "cache_hits") == 2,
        })]

- A Score has a ``share`` from 0 to 1; the points come from the check cell's nbgrader metadata. Every exercise of the
  notebook gets exactly one Score, under the grade id of its answer; answers a person reads (markdown) get one or none.
- ``secret`` differs for each student and task, and is the same when graded again. ``choose`` and ``number`` draw from
  it. Expected values are computed in ``score``, outside the student's process.
- A probe's value comes from the student and may have any shape: ``evidence.value(id, kind, *path)`` is always a
  ``kind``, an empty one when there is no such value. ``evidence.probe(id).error`` says why there is none.
- An error in ``score`` reports the whole task as "needs a person"; the class goes on.
- The kernel is killed at the end of the run: telemetry that waits in an exporter is lost, so flush it in a probe.
- ``reason``, ``seen`` and ``expected`` are shown to the student: no times, ports or ids, so that grading again says the
  same.
'''

import hashlib
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from labkit.errors import LabkitError
from labkit.grading.evidence import Evidence
from labkit.grading.probe import Json, Probe, ProbeResult
from labkit.localazure.faults import Fault, scripted
from labkit.localazure.journal import Entry

__all__ = [
    "Entry",
    "Evidence",
    "Fault",
    "Json",
    "Part",
    "Probe",
    "ProbeResult",
    "Rubric",
    "RubricError",
    "Score",
    "choose",
    "load",
    "number",
    "part",
    "scripted",
    "share",
]

T = TypeVar("T")


class RubricError(LabkitError):
    """A rubric cannot be used as it is; its author has to look, no student lost anything."""


@dataclass(frozen=True, slots=True)
class Score:
    """How much of an exercise is there: ``share`` from 0 to 1, and the reason in a sentence."""

    exercise: str
    share: float
    reason: str
    seen: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """How much of one thing an exercise asks for is there, weighed against its other parts."""

    share: float
    weight: float
    seen: str
    expected: str


def part(holds: object, *, weight: float = 1.0, seen: object = "", expected: object = "") -> Part:
    """One part of an exercise, for ``share``: whether it holds (a number: how much of it), and what was seen."""
    amount = holds if isinstance(holds, int | float) else bool(holds)
    return Part(float(amount), weight, str(seen), str(expected))


def share(exercise: str, parts: Mapping[str, object]) -> Score:
    """The Score of ``exercise`` from its parts, each under a sentence that is true when it holds.

    The reason names what does not hold yet.
    """
    weighed = {what: one if isinstance(one, Part) else part(one) for what, one in parts.items()}
    missing = {what: one for what, one in weighed.items() if one.share < 1}
    if not missing:
        sentence = "; ".join(parts)
        return Score(exercise, 1.0, f"{sentence[:1].upper()}{sentence[1:]}.")
    total = sum(one.weight for one in weighed.values())
    return Score(
        exercise,
        sum(one.share * one.weight for one in weighed.values()) / total,
        f"{len(parts) - len(missing)} of {len(parts)} hold. Not yet: {'; '.join(missing)}.",
        seen="; ".join(one.seen for one in missing.values() if one.seen),
        expected="; ".join(one.expected for one in missing.values() if one.expected),
    )


def choose(secret: str, label: str, among: Sequence[T], count: int = 1) -> list[T]:
    """``count`` different items of ``among``, drawn by ``secret``; ``label`` tells draws of one rubric apart."""
    drawn = sorted(range(len(among)), key=lambda index: _digest(secret, f"{label}/{index}"))
    return [among[index] for index in drawn[:count]]


def number(secret: str, label: str, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, drawn by ``secret``."""
    return low + int(_digest(secret, label), 16) % (high - low + 1)


def _digest(secret: str, label: str) -> str:
    return hashlib.sha256(f"{secret}\0{label}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Rubric:
    """A loaded rubric module. Its functions' errors come out as RubricError."""

    task: str
    _module: ModuleType

    def faults(self, secret: str) -> list[Fault]:
        """What waits in the local Azure before the run; a rubric may write a fault as a dict of its fields."""
        found: list[Fault | Mapping[str, Any]] = self._call("faults", secret)
        try:
            return [one if isinstance(one, Fault) else Fault(**one) for one in found]
        except (TypeError, ValueError) as error:
            raise RubricError(f"{self.task}: a fault of the rubric cannot be: {error}") from error

    def probes(self, secret: str) -> list[Probe]:
        """What is asked after the run."""
        probes: list[Probe] = self._call("probes", secret)
        ids = [probe.id for probe in probes]
        if len(ids) != len(set(ids)):
            raise RubricError(f"{self.task}: two probes of the rubric have the same id.")
        return probes

    def score(self, evidence: Evidence) -> list[Score]:
        """The scores of ``evidence``; RubricError when the rubric fails or scores what cannot be."""
        scores: list[Score] = self._call("score", evidence)
        for one in scores:
            if not isinstance(one, Score) or not _is_share(one.share):
                raise RubricError(f"{self.task}: the rubric gave a score that is none: {one!r:.200}")
        return scores

    def _call(self, name: str, argument: object) -> list[Any]:
        function: Callable[[object], Iterable[Any]] | None = getattr(self._module, name, None)
        if function is None:
            return []
        try:
            return list(function(argument))
        except Exception as error:
            # Without the error's text: the report may reach the student, and the text may hold what was expected.
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise RubricError(
                f"{self.task}: {name} of the rubric failed in {Path(where.filename).name}, line {where.lineno} "
                f"({type(error).__name__})"
            ) from error


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 1


def load(path: Path, task: str) -> Rubric:
    """The rubric in ``path``; RubricError says what is missing. Modules beside it can be imported by it."""
    if not path.is_file():
        raise RubricError(f"{task} has no rubric: {path} is missing.")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    module = ModuleType(f"labkit_rubric_{task}")
    module.__file__ = str(path)
    try:
        # Not imported: Python's cache of compiled modules takes an edit within the same second for no edit at all.
        exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    except Exception as error:
        raise RubricError(f"{path.name} cannot be imported ({type(error).__name__}: {error}).") from error
    if getattr(module, "TASK", None) != task or not callable(getattr(module, "score", None)):
        raise RubricError(f'{path.name} needs TASK = "{task}" and a function score(evidence).')
    return Rubric(task, module)
