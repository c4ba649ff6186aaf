"""Turns a rubric's shares into points, and makes sure that every exercise has exactly one score."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from labkit.grading.exercises import Exercise, find
from labkit.grading.play import one_line
from labkit.grading.result import ExerciseResult
from labkit.grading.rubric import RubricError, Score

_FOR_A_PERSON = "A person reads this answer."
_NOT_DONE = "Not done yet: the answer is still the stub."


def settle(
    exercises: Sequence[Exercise], scores: Iterable[Score], untouched: Collection[str] = ()
) -> tuple[ExerciseResult, ...]:
    """One result for each of ``exercises``; RubricError when one has no score, two, or a score has no exercise.

    An ``untouched`` answer gets no points and says so, whatever else the rubric found missing.
    """
    by_name: dict[str, Score] = {}
    for score in scores:
        exercise = find(exercises, score.exercise)
        if exercise is None:
            raise RubricError(f"The rubric scores {score.exercise!r}, which is no exercise of the notebook.")
        if exercise.name in by_name:
            raise RubricError(f"The rubric scores {exercise.name!r} twice.")
        by_name[exercise.name] = score
    for exercise in exercises:
        if exercise.name in untouched and exercise.name in by_name and not exercise.is_manual:
            by_name[exercise.name] = Score(exercise.name, 0.0, _NOT_DONE)
    return tuple(_result(exercise, by_name.get(exercise.name)) for exercise in exercises)


def _result(exercise: Exercise, score: Score | None) -> ExerciseResult:
    if score is None:
        if not exercise.is_manual:
            raise RubricError(f"The rubric gives no score for {exercise.name!r}.")
        score = Score(exercise.name, 0.0, _FOR_A_PERSON)
    return ExerciseResult(
        exercise=exercise.name,
        number=exercise.number,
        points=round(score.share * exercise.max_points, 2),
        max_points=exercise.max_points,
        reason=one_line(score.reason),
        seen=one_line(score.seen),
        expected=one_line(score.expected),
    )


def check_probes(exercises: Sequence[Exercise], asked: Iterable[str]) -> None:
    """RubricError when a probe belongs to no exercise: a misspelt name would never be noticed otherwise."""
    unknown = [name for name in Counter(asked) if find(exercises, name) is None]
    if unknown:
        raise RubricError(f"The rubric's probes name {', '.join(unknown)}, which is no exercise of the notebook.")
