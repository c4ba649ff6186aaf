"""``Cascade``: asks the cheap deployment several times in one call, and the dear one when the answers do not convince.

How hard a prompt is shows better in its answers than in its words: a model that knows says the same each time. Answers
that agree are no proof, as a model may be wrong with confidence; so how far agreement counts is measured, too. The
price is a second round trip where the cheap answers are not taken, and samples that are paid for. It is for short
answers, which can be told apart by their words, or with a ``vote`` of one's own. (Self-consistency as a signal for
cascades: Yue et al., arXiv 2310.03094, 2023.)
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.comparison import most_frequent
from labkit.errors import InvalidRequestError
from labkit.routing.calibration import Calibration, shrunk
from labkit.routing.predictor import Features, Logistic, asked_text, fold_of, length_features, out_of_fold
from labkit.routing.router import check_loss

if TYPE_CHECKING:
    import pandas as pd
    from openai.types.chat import ChatCompletion

    from labkit.optimizer import LLMOptimizer
    from labkit.routing.predictor import Matrix

_FOLDS = 5
_OWN = ("n", "temperature", "stream")
Vote = Callable[[Sequence[str]], tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Cascade:
    """``cheap`` first, then ``dear`` where needed; ``fit`` makes one from measured answers.

    The cheap answer is taken when it is right with a probability of at least ``accept_from``: the smallest for which
    the share of right answers, on questions held out from learning, stays within ``max_loss`` of always asking
    ``dear``. Infinite when there is none: then ``cheap`` is not asked at all.
    """

    cheap: str
    dear: str
    samples: int
    predictor: Logistic
    accept_from: float
    max_loss: float
    questions: int
    features: Features = length_features
    vote: Vote = most_frequent

    @classmethod
    def fit(
        cls,
        observations: "pd.DataFrame",
        *,
        cheap: str,
        dear: str,
        max_loss: float = 0.01,
        features: Features = length_features,
        vote: Vote = most_frequent,
        seed: int = 0,
    ) -> "Cascade":
        """The cascade learnt from ``observations``: ``cheap`` measured with several samples a call, ``dear`` with one.

        ``pd.concat([manager.observe([cheap], samples=8), manager.observe([dear])])`` is such a table.
        """
        check_loss(max_loss)
        samples = _samples(observations, cheap)
        measured = Calibration.of(observations, (cheap, dear))
        return cls._learn(measured, samples, max_loss, features, vote, seed)

    @classmethod
    def _learn(
        cls, measured: Calibration, samples: int, max_loss: float, features: Features, vote: Vote, seed: int
    ) -> "Cascade":
        import numpy as np

        known, groups = _features(measured, features), np.arange(len(measured.questions))
        # The dear one's chances, too: where the cheap one's answers agree, the question is easy for both.
        fresh = np.column_stack([out_of_fold(known, r, groups, folds=_FOLDS, seed=seed) for r in measured.right.T])
        cheap, dear = measured.deployments
        return cls(
            cheap,
            dear,
            samples=samples,
            predictor=Logistic.fit(known, measured.right[:, 0]),
            accept_from=_least_probability(measured, fresh, max_loss),
            max_loss=max_loss,
            questions=len(groups),
            features=features,
            vote=vote,
        )

    def expected_right(self, messages: Sequence[Mapping[str, Any]], *, agreement: float = 1.0) -> float:
        """How likely ``cheap`` answers ``messages`` rightly when that share of its samples agrees."""
        return self.predictor.probability((*self.features(asked_text(messages)), *_of_agreement(agreement)))

    def tries_cheap(self, messages: Sequence[Mapping[str, Any]]) -> bool:
        """Whether ``cheap`` is worth asking: its answers would be taken if they all agreed."""
        return self.expected_right(messages) >= self.accept_from

    async def complete(
        self, messages: Sequence[Mapping[str, Any]], optimizers: "Mapping[str, LLMOptimizer]", **kwargs: Any
    ) -> "ChatCompletion":
        """The answer that most samples of ``cheap`` give, where that convinces, else the answer of ``dear``.

        ``optimizers`` has one for each of the two; ``answer.model`` tells who answered.
        """
        if own := [name for name in _OWN if name in kwargs]:
            raise InvalidRequestError(f"{', '.join(own)} cannot be set: a cascade takes {self.samples} samples itself.")
        if lacking := [name for name in (self.cheap, self.dear) if name not in optimizers]:
            raise InvalidRequestError(f"No optimizer for {', '.join(lacking)}; there are some for {list(optimizers)}.")
        if self.tries_cheap(messages):
            answer = await optimizers[self.cheap].optimized_completion(
                messages, n=self.samples, temperature=1, **kwargs
            )
            place, agreement = self.vote([choice.message.content or "" for choice in answer.choices])
            if self.expected_right(messages, agreement=agreement) >= self.accept_from:
                return answer.model_copy(update={"choices": [answer.choices[place]]})
        return await optimizers[self.dear].optimized_completion(messages, **kwargs)

    def save(self, path: str | Path) -> None:
        """Writes the cascade as JSON; features and vote are code, and not part of it."""
        saved = {name: getattr(self, name) for name in ("cheap", "dear", "samples", "max_loss", "questions")}
        saved["predictor"] = self.predictor.as_dict()
        # JSON knows no infinity.
        saved["accept_from"] = None if math.isinf(self.accept_from) else self.accept_from
        Path(path).write_text(json.dumps(saved, indent=1), "utf-8")

    @classmethod
    def load(cls, path: str | Path, *, features: Features = length_features, vote: Vote = most_frequent) -> "Cascade":
        """The cascade that ``save`` wrote, with the features and the vote it was fitted with."""
        saved = json.loads(Path(path).read_text("utf-8"))
        saved["predictor"] = Logistic.from_dict(saved["predictor"])
        saved["accept_from"] = math.inf if saved["accept_from"] is None else saved["accept_from"]
        return cls(**saved, features=features, vote=vote)


def cascaded(
    measured: Calibration, *, max_loss: float, features: Features = length_features, seed: int = 0
) -> "tuple[Matrix, Matrix]":
    """For each question whether the cheap deployment is asked, and whether its answer is taken, by cascades that have
    not seen it (five folds)."""
    import numpy as np

    tried, taken = np.zeros((2, len(measured.questions)), dtype=bool)
    for held_out in fold_of(np.arange(len(tried)), folds=_FOLDS, seed=seed):
        cascade = Cascade._learn(measured.part(~held_out), 1, max_loss, features, most_frequent, seed)
        for place in np.flatnonzero(held_out):
            asked = [{"role": "user", "content": measured.questions[place]}]
            agreement = float(measured.agreement[place, 0])
            tried[place] = cascade.tries_cheap(asked)
            taken[place] = tried[place] and cascade.expected_right(asked, agreement=agreement) >= cascade.accept_from
    return tried, taken


def _samples(observations: "pd.DataFrame", cheap: str) -> int:
    """How many samples a call ``cheap`` was measured with."""
    if "samples" in observations.columns and "deployment" in observations.columns:
        found = observations.loc[observations["deployment"] == cheap, "samples"].unique()
        if len(found) == 1 and found[0] > 1:
            return int(found[0])
    raise InvalidRequestError(
        f"A cascade needs {cheap} measured with several samples a call, the same number each time: "
        "AzureOpenAIManager().observe([…], samples=8)."
    )


def _features(measured: Calibration, features: Features) -> "Matrix":
    import numpy as np

    agreed = [_of_agreement(float(share)) for share in measured.agreement[:, 0]]
    return np.column_stack([measured.features(features), np.array(agreed)])


def _of_agreement(share: float) -> tuple[float, float]:
    # That nobody says anything else is more than one voice more.
    return share, float(share > 0.999)


def _least_probability(measured: Calibration, fresh: "Matrix", max_loss: float) -> float:
    """The smallest probability from which on answers of ``cheap`` can be taken, coming down from the largest.

    ``fresh`` has the chances of the two as those see them who have not learnt from the question.
    """
    sample, found = len(fresh), math.inf
    for probability in sorted(set(fresh[:, 0].tolist()), reverse=True):
        taken = fresh[:, 0] >= probability
        seen = float((measured.right[taken, 1] - measured.right[taken, 0]).sum()) / sample
        expected = float((fresh[taken, 1] - fresh[taken, 0]).clip(min=0).sum()) / sample
        if shrunk(seen, expected, sample) > max_loss:
            break
        found = probability
    return found
