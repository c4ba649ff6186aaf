"""How likely a prompt is answered rightly, learnt from measured answers: logistic regression on a few features.

A calibration has a hundred questions rather than a hundred thousand, so the features are few and need no API: how long
the prompt is. On the question bank, words, letters and numbers of the prompt added nothing that showed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from labkit.tokens import content_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[Any]

Features = Callable[[str], Sequence[float]]
# How hard weights are pulled to 0, as if this many undecided answers had been seen for each.
_RIDGE = 2.0
_MOST_STEPS = 50


def length_features(text: str) -> tuple[float, ...]:
    """The logarithms of how many characters and how many words ``text`` has."""
    return math.log1p(len(text)), math.log1p(len(text.split()))


def asked_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the last message of the user says: the question that is to be answered."""
    said = [content_text(message.get("content")) for message in messages if message.get("role") == "user"]
    return said[-1] if said else ""


@dataclass(frozen=True, slots=True)
class Logistic:
    """Probabilities from features; each weight belongs to a feature measured in its own standard deviations."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    @classmethod
    def fit(cls, features: "Matrix", happened: "Matrix", *, ridge: float = _RIDGE) -> "Logistic":
        """The regression for what ``happened`` (0 or 1), by Newton's method; ``ridge`` holds small samples back."""
        import numpy as np

        means, scales = features.mean(axis=0), features.std(axis=0)
        scales[scales < 1e-9] = 1.0
        design = np.column_stack([(features - means) / scales, np.ones(len(features))])
        # The bias is held back a little, too: in a sample without a failure it would grow without end.
        penalty = np.append(np.full(features.shape[1], ridge), 0.1)
        weights = np.zeros(design.shape[1])
        for _ in range(_MOST_STEPS):
            expected = _logistic(design @ weights)
            slope = design.T @ (expected - happened) + penalty * weights
            curvature = (design.T * (expected * (1 - expected))) @ design + np.diag(penalty)
            step = np.linalg.solve(curvature, slope)
            weights = weights - step
            if np.abs(step).max() < 1e-8:
                break
        return cls(tuple(means.tolist()), tuple(scales.tolist()), tuple(weights[:-1].tolist()), float(weights[-1]))

    def probabilities(self, features: "Matrix") -> "Matrix":
        """How likely each row of ``features`` is to happen."""
        import numpy as np

        standard = (features - np.array(self.means)) / np.array(self.scales)
        return _logistic(standard @ np.array(self.weights) + self.bias)

    def probability(self, features: Sequence[float]) -> float:
        """How likely one prompt is; without numpy, as this is asked before each call."""
        rows = zip(features, self.means, self.scales, self.weights, strict=True)
        logit = self.bias + sum(weight * (value - mean) / scale for value, mean, scale, weight in rows)
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))

    def as_dict(self) -> dict[str, Any]:
        """What ``from_dict`` reads: plain numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Logistic":
        """The regression that ``as_dict`` wrote."""
        lists = {name: tuple(saved[name]) for name in ("means", "scales", "weights")}
        return cls(**lists, bias=saved["bias"])


def out_of_fold(features: "Matrix", happened: "Matrix", groups: "Matrix", *, folds: int, seed: int) -> "Matrix":
    """For each row the probability that a regression gives which has not seen any row of its group.

    A regression judges what it has learnt from too kindly; this is how it does on what is new.
    """
    import numpy as np

    found = np.zeros(len(happened))
    for held_out in fold_of(groups, folds=folds, seed=seed):
        found[held_out] = Logistic.fit(features[~held_out], happened[~held_out]).probabilities(features[held_out])
    return found


def fold_of(groups: "Matrix", *, folds: int, seed: int) -> "list[NDArray[np.bool_]]":
    """For each fold which rows it holds out; rows of one group stay together."""
    import numpy as np

    distinct = np.unique(groups)
    order = np.random.default_rng(seed).permutation(len(distinct))
    return [np.isin(groups, distinct[order[fold::folds]]) for fold in range(min(folds, len(distinct)))]


def _logistic(values: "Matrix") -> "Matrix":
    import numpy as np

    result: Matrix = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return result
