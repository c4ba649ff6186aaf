"""What grading comes to: points for each exercise of each task of each student, with reasons."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from labkit.grading.exercises import Exercise
from labkit.grading.restore import Problem

# graded: scored from evidence · missing, unreadable: nothing to run · stopped: the attempt itself had to be ended ·
# needs a person: the rubric or the grader failed, the submission may be fine.
State = Literal["graded", "missing", "unreadable", "stopped", "needs a person"]


@dataclass(frozen=True, slots=True)
class ExerciseResult:
    """Points for one exercise, why, and what was seen next to what was expected."""

    exercise: str
    number: str
    points: float
    max_points: float
    reason: str
    seen: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task of one student; ``notebook`` is the stem of the file's name, ``reason`` explains every other state."""

    task: str
    notebook: str
    state: State
    reason: str
    exercises: tuple[ExerciseResult, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def points(self) -> float:
        """The sum over the exercises."""
        return round(sum(exercise.points for exercise in self.exercises), 2)

    @property
    def max_points(self) -> float:
        """What a full solution gets."""
        return round(sum(exercise.max_points for exercise in self.exercises), 2)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, the sums included."""
        return {**asdict(self), "points": self.points, "max_points": self.max_points}


def from_dict(fields: Mapping[str, Any]) -> TaskResult:
    """The result that ``as_dict`` wrote; TypeError or KeyError when the fields are others."""
    return TaskResult(
        task=fields["task"],
        notebook=fields["notebook"],
        state=fields["state"],
        reason=fields["reason"],
        exercises=tuple(ExerciseResult(**exercise) for exercise in fields["exercises"]),
        problems=tuple(Problem(**problem) for problem in fields["problems"]),
    )


def nothing(exercises: Iterable[Exercise], reason: str) -> tuple[ExerciseResult, ...]:
    """No points for any exercise, all for the same reason."""
    return tuple(ExerciseResult(one.name, one.number, 0.0, one.max_points, reason) for one in exercises)
