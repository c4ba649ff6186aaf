"""Measured answers as routers learn from them: one row a question, one column a deployment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import InvalidRequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from labkit.routing.predictor import Features, Matrix

_COLUMNS = ("question", "deployment", "right", "cost_usd")
# With fewer, one question more or less would decide the whole routing.
FEWEST_QUESTIONS = 30
# Until this many questions have been measured, what the regression expects counts for more than what was seen: of a
# hundred questions, one answered wrongly is a whole point.
_SHRINKAGE = 150.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured: ``right`` (0 to 1) and ``cost_usd`` of each deployment (columns) for each question (rows)."""

    questions: tuple[str, ...]
    deployments: tuple[str, ...]
    right: "Matrix"
    cost_usd: "Matrix"
    agreement: "Matrix"

    @classmethod
    def of(cls, observations: "pd.DataFrame", deployments: Sequence[str]) -> "Calibration":
        """The questions that all ``deployments`` answered, from a table as ``comparison.observe`` gives it.

        Repeated answers are averaged; calls that failed and questions without a known answer say nothing and are left
        out. ``InvalidRequestError`` says which column, deployment or how many questions are missing.
        """
        if missing := [column for column in _COLUMNS if column not in observations.columns]:
            raise InvalidRequestError(
                f"The observations lack {', '.join(missing)}; they are one row an answer, "
                "as AzureOpenAIManager().observe(names) gives them."
            )
        known = list(dict.fromkeys(observations["deployment"]))
        if not deployments or (unknown := [name for name in deployments if name not in known]):
            raise InvalidRequestError(
                f"No observations of {unknown if deployments else []}. There are some of {known}."
            )
        answered = observations[observations["right"].notna() & observations["cost_usd"].notna()]
        if "error" in answered.columns:
            answered = answered[answered["error"].isna()]
        return cls._of_answers(answered, tuple(deployments))

    @classmethod
    def _of_answers(cls, answered: "pd.DataFrame", deployments: tuple[str, ...]) -> "Calibration":
        measured = answered.assign(
            right=answered["right"].astype(float),
            agreement=answered["agreement"].astype(float) if "agreement" in answered.columns else 1.0,
        )
        table = measured.pivot_table(
            index="question",
            columns="deployment",
            values=["right", "cost_usd", "agreement"],
            aggfunc="mean",
            sort=False,
        )
        complete = table.loc[:, (slice(None), list(deployments))].dropna() if len(table) else table
        if len(complete) < FEWEST_QUESTIONS:
            raise InvalidRequestError(
                f"All of {', '.join(deployments)} answered {len(complete)} questions whose answer and cost are known; "
                f"a router needs {FEWEST_QUESTIONS} or more: ask more of labkit.bank.QUESTIONS, or your own."
            )
        right, cost, agreement = (
            complete[value][list(deployments)].to_numpy(float) for value in ("right", "cost_usd", "agreement")
        )
        return cls(tuple(complete.index), deployments, right, cost, agreement)

    @property
    def best(self) -> int:
        """The deployment that is right most often; of several the one that costs least."""
        share, cost = self.right.mean(axis=0), self.cost_usd.mean(axis=0)
        return max(range(len(self.deployments)), key=lambda place: (share[place], -cost[place]))

    def features(self, features: "Features") -> "Matrix":
        """The features of each question, a row each."""
        import numpy as np

        return np.array([list(features(question)) for question in self.questions], dtype=float)

    def part(self, rows: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> "Calibration":
        """The questions chosen by ``rows`` alone."""
        chosen = tuple(question for question, kept in zip(self.questions, rows, strict=True) if kept)
        return Calibration(chosen, self.deployments, self.right[rows], self.cost_usd[rows], self.agreement[rows])


def shrunk(seen: float, expected: float, sample: int) -> float:
    """The loss to reckon with: what was ``seen`` on ``sample`` questions, pulled towards what is ``expected``."""
    return (sample * seen + _SHRINKAGE * expected) / (sample + _SHRINKAGE)
