"""``Router``: sends each prompt to the cheapest deployment expected to be right, by what was measured before.

The router knows the prompt only, before anything is asked. Where the prompt tells little about how hard it is,
``labkit.routing.cascade`` knows more: it asks the cheap deployment first and looks at whether its answers agree.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import InvalidRequestError
from labkit.routing.calibration import Calibration, shrunk
from labkit.routing.predictor import Features, Logistic, asked_text, fold_of, length_features, out_of_fold

if TYPE_CHECKING:
    import pandas as pd
    from openai.types.chat import ChatCompletion

    from labkit.optimizer import LLMOptimizer
    from labkit.routing.predictor import Matrix

_FOLDS = 5
# What a right answer may be worth, in multiples of what the dearest deployment takes for one: from "only the price
# counts" to "the best, whatever it costs".
_WORTH_FACTORS = tuple(10 ** (step / 20) for step in range(-40, 81))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which deployment to ask, what is expected of it, and why."""

    deployment: str
    expected_right: float
    expected_cost_usd: float
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment to choose from: how often it was right, and its cost as ``base_usd`` and ``usd_per_char``."""

    deployment: str
    right_share: float
    base_usd: float
    usd_per_char: float

    def cost_usd(self, chars: int) -> float:
        """The expected cost of a prompt of ``chars`` characters."""
        return self.base_usd + self.usd_per_char * chars


@dataclass(frozen=True, slots=True)
class Router:
    """Chooses among ``candidates``; ``fit`` makes one from measured answers.

    ``worth_usd`` is what one more right answer may cost: the smallest for which the share of right answers, on
    questions held out from learning, stays within ``max_loss`` of always asking ``best``. Infinite when no smaller one
    keeps that: then every prompt goes to ``best``.
    """

    candidates: tuple[Candidate, ...]
    best: str
    predictor: Logistic
    worth_usd: float
    max_loss: float
    questions: int
    features: Features = length_features

    @classmethod
    def fit(
        cls,
        observations: "pd.DataFrame",
        candidates: Sequence[str],
        *,
        max_loss: float = 0.01,
        features: Features = length_features,
        seed: int = 0,
    ) -> "Router":
        """The router learnt from ``observations`` (``AzureOpenAIManager.observe``) of the deployments ``candidates``.

        ``max_loss`` is the floor: how much smaller than with the best deployment alone the share of right answers may
        be (0.01 is one point). ``features`` turns a text into numbers: its length by default, or an embedding.
        ``InvalidRequestError`` when there are too few questions or no measurements of a candidate.
        """
        check_loss(max_loss)
        return cls._learn(Calibration.of(observations, candidates), max_loss, features, seed)

    @classmethod
    def _learn(cls, measured: Calibration, max_loss: float, features: Features, seed: int) -> "Router":
        stacked, happened, groups = _stacked(measured, features)
        fresh = out_of_fold(stacked, happened, groups, folds=_FOLDS, seed=seed).reshape(measured.right.shape)
        candidates = tuple(_candidate(measured, place) for place in range(len(measured.deployments)))
        return cls(
            candidates,
            best=measured.deployments[measured.best],
            predictor=Logistic.fit(stacked, happened),
            worth_usd=_least_worth(measured, fresh, _costs_usd(candidates, measured), max_loss),
            max_loss=max_loss,
            questions=len(measured.questions),
            features=features,
        )

    def choose(self, messages: Sequence[Mapping[str, Any]]) -> Choice:
        """The deployment for ``messages``, judged by what the last message of the user says. Nothing is sent."""
        text = asked_text(messages)
        known = tuple(self.features(text))
        rights = [self.predictor.probability((*known, *_one_hot(place, self))) for place in range(len(self.candidates))]
        costs_usd = [candidate.cost_usd(len(text)) for candidate in self.candidates]
        names = [candidate.deployment for candidate in self.candidates]
        best = names.index(self.best)
        place = _cheapest(costs_usd, rights, best, self.worth_usd)
        return Choice(names[place], rights[place], costs_usd[place], self._reason(place, best, rights, costs_usd))

    async def complete(
        self, messages: Sequence[Mapping[str, Any]], optimizers: "Mapping[str, LLMOptimizer]", **kwargs: Any
    ) -> "ChatCompletion":
        """The answer of the chosen deployment, through its optimizer in ``optimizers``."""
        deployment = self.choose(messages).deployment
        if deployment not in optimizers:
            raise InvalidRequestError(f"No optimizer for {deployment!r}; there are some for {', '.join(optimizers)}.")
        return await optimizers[deployment].optimized_completion(messages, **kwargs)

    def save(self, path: str | Path) -> None:
        """Writes the router as JSON; the features are code, and not part of it."""
        saved = {
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "best": self.best,
            "predictor": self.predictor.as_dict(),
            # JSON knows no infinity.
            "worth_usd": None if math.isinf(self.worth_usd) else self.worth_usd,
            "max_loss": self.max_loss,
            "questions": self.questions,
        }
        Path(path).write_text(json.dumps(saved, indent=1), "utf-8")

    @classmethod
    def load(cls, path: str | Path, *, features: Features = length_features) -> "Router":
        """The router that ``save`` wrote; give ``features`` when it was fitted with others than the default."""
        saved = json.loads(Path(path).read_text("utf-8"))
        return cls(
            tuple(Candidate(**candidate) for candidate in saved["candidates"]),
            best=saved["best"],
            predictor=Logistic.from_dict(saved["predictor"]),
            worth_usd=math.inf if saved["worth_usd"] is None else saved["worth_usd"],
            max_loss=saved["max_loss"],
            questions=saved["questions"],
            features=features,
        )

    def _reason(self, place: int, best: int, rights: Sequence[float], costs_usd: Sequence[float]) -> str:
        if place == best:
            return f"{self.best} is right most often, and nothing cheaper is expected to be nearly as good here"
        chance, saved = rights[best] - rights[place], 1 - costs_usd[place] / costs_usd[best]
        return f"expected to be right {chance:.1%} less often than {self.best}, for {saved:.0%} less"


def check_loss(max_loss: float) -> None:
    """Raises ``InvalidRequestError`` unless ``max_loss`` is a share."""
    if isinstance(max_loss, bool) or not isinstance(max_loss, int | float) or not 0 <= max_loss < 1:
        raise InvalidRequestError(f"max_loss is a share from 0 to below 1 (0.01 is one point), not {max_loss!r}.")


def routed(measured: Calibration, *, max_loss: float, features: Features = length_features, seed: int = 0) -> "Matrix":
    """For each question the place of the deployment that routers choose which have not seen it (five folds)."""
    import numpy as np

    chosen = np.zeros(len(measured.questions), dtype=int)
    for held_out in fold_of(np.arange(len(chosen)), folds=_FOLDS, seed=seed):
        router = Router._learn(measured.part(~held_out), max_loss, features, seed)
        for place in np.flatnonzero(held_out):
            choice = router.choose([{"role": "user", "content": measured.questions[place]}])
            chosen[place] = measured.deployments.index(choice.deployment)
    return chosen


def _stacked(measured: Calibration, features: Features) -> "tuple[Matrix, Matrix, Matrix]":
    """Each answer as a row: the prompt's features and which deployment it was; whether right; which question.

    All deployments share the weights of the features: what is hard for one is hard for all, more or less, and the many
    errors of a weak one teach where the few of a strong one are (the idea of item response theory).
    """
    import numpy as np

    asked, deployments = measured.right.shape
    known = np.repeat(measured.features(features), deployments, axis=0)
    which = np.tile(np.eye(deployments), (asked, 1))
    groups = np.repeat(np.arange(asked), deployments)
    return np.column_stack([known, which]), measured.right.ravel(), groups


def _one_hot(place: int, router: Router) -> list[float]:
    return [float(place == other) for other in range(len(router.candidates))]


def _candidate(measured: Calibration, place: int) -> Candidate:
    import numpy as np

    chars = np.array([len(question) for question in measured.questions], dtype=float)
    costs = measured.cost_usd[:, place]
    slope = 0.0 if chars.std() == 0 else max(0.0, float(np.cov(chars, costs, bias=True)[0, 1] / chars.var()))
    base = max(0.0, float(costs.mean() - slope * chars.mean()))
    return Candidate(measured.deployments[place], float(measured.right[:, place].mean()), base, slope)


def _costs_usd(candidates: Sequence[Candidate], measured: Calibration) -> "Matrix":
    import numpy as np

    rows = [[candidate.cost_usd(len(question)) for candidate in candidates] for question in measured.questions]
    return np.array(rows)


def _least_worth(measured: Calibration, fresh: "Matrix", costs_usd: "Matrix", max_loss: float) -> float:
    """The smallest worth of a right answer that keeps the loss within ``max_loss``, coming down from the largest."""
    import numpy as np

    best, rows = measured.best, np.arange(len(fresh))
    found = math.inf
    for factor in reversed(_WORTH_FACTORS):
        worth_usd = factor * float(costs_usd.max())
        chosen = [_cheapest(costs_usd[row], fresh[row], best, worth_usd) for row in rows]
        expected = float((fresh[:, best] - fresh[rows, chosen]).mean())
        seen = float((measured.right[:, best] - measured.right[rows, chosen]).mean())
        if shrunk(seen, expected, len(rows)) > max_loss:
            break
        found = worth_usd
    return found


def _cheapest(costs_usd: Sequence[float], rights: Sequence[float], best: int, worth_usd: float) -> int:
    """The place whose cost and expected errors together are least; the best one's when only being right counts."""
    if math.isinf(worth_usd):
        return best
    return min(range(len(costs_usd)), key=lambda place: costs_usd[place] + worth_usd * (1 - rights[place]))
