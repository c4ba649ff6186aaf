"""What routing would have saved, and at what loss: learnt on some measured questions, judged on the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.routing.calibration import Calibration
from labkit.routing.cascade import cascaded
from labkit.routing.predictor import Features, length_features
from labkit.routing.router import check_loss, routed
from labkit.slo import share_interval

if TYPE_CHECKING:
    import pandas as pd

    from labkit.routing.predictor import Matrix

_SEEDS = tuple(range(5))


def evaluate(
    observations: "pd.DataFrame",
    candidates: Sequence[str],
    *,
    max_loss: float = 0.01,
    features: Features = length_features,
    seeds: Sequence[int] = _SEEDS,
) -> "pd.DataFrame":
    """One row a strategy: each candidate alone, the router, a random mix that costs the same, and the oracle.

    Routers learn from four fifths of the questions and are judged on the fifth they have not seen, five times, for
    each of ``seeds`` (how the questions are divided); rows are means over the seeds. The oracle knows the answers: it
    is what no router can beat. Columns: ``right_share`` with the bounds of its 95 % interval, ``loss_points`` and
    ``saving_share`` against the best candidate alone, ``cost_usd_per_1000``, ``elsewhere_share`` (the questions that
    the best candidate does not answer), ``questions``.
    """
    check_loss(max_loss)
    measured = Calibration.of(observations, candidates)
    choices = [routed(measured, max_loss=max_loss, features=features, seed=seed) for seed in seeds]
    rows = {f"always {name}": _of_places(measured, [_all(measured, i)]) for i, name in _numbered(measured)}
    rows["router"] = _of_places(measured, choices)
    return _table(measured, rows, "router")


def evaluate_cascade(
    observations: "pd.DataFrame",
    *,
    cheap: str,
    dear: str,
    max_loss: float = 0.01,
    features: Features = length_features,
    seeds: Sequence[int] = _SEEDS,
) -> "pd.DataFrame":
    """The table of ``evaluate`` for a ``Cascade`` from ``cheap`` to ``dear``.

    ``cheap`` was measured with several samples a call: its row, too, is the majority of them, at the price of all.
    """
    check_loss(max_loss)
    measured = Calibration.of(observations, (cheap, dear))
    outcomes = [_of_cascade(measured, *cascaded(measured, max_loss=max_loss, features=features, seed=s)) for s in seeds]
    rows = {f"always {name}": _of_places(measured, [_all(measured, i)]) for i, name in _numbered(measured)}
    rows["cascade"] = _mean(outcomes)
    return _table(measured, rows, "cascade")


_Outcome = tuple[float, float, float]


def _of_places(measured: Calibration, choices: "Sequence[Matrix]") -> _Outcome:
    """Right answers, cost and the share answered elsewhere, when the deployments at these places are asked."""
    import numpy as np

    rows = np.arange(len(measured.questions))
    return _mean(
        [
            (
                float(measured.right[rows, places].mean()),
                float(measured.cost_usd[rows, places].mean()),
                float((places != measured.best).mean()),
            )
            for places in choices
        ]
    )


def _of_cascade(measured: Calibration, tried: "Matrix", taken: "Matrix") -> _Outcome:
    import numpy as np

    right = np.where(taken, measured.right[:, 0], measured.right[:, 1])
    # A cheap answer that is not taken has been paid for, too.
    cost = measured.cost_usd[:, 0] * tried + measured.cost_usd[:, 1] * ~taken
    return float(right.mean()), float(cost.mean()), float(taken.mean())


def _mean(outcomes: Sequence[_Outcome]) -> _Outcome:
    rights, costs, shares = zip(*outcomes, strict=True)
    return sum(rights) / len(rights), sum(costs) / len(costs), sum(shares) / len(shares)


def _table(measured: Calibration, rows: dict[str, _Outcome], routing: str) -> "pd.DataFrame":
    import pandas as pd

    rows["random mix of the same cost"] = _mix(measured, rows[routing][1])
    rows["oracle"] = _of_places(measured, [_oracle(measured)])
    best = rows[f"always {measured.deployments[measured.best]}"]
    table = pd.DataFrame({name: _row(measured, outcome, best) for name, outcome in rows.items()}).T
    table["questions"] = table["questions"].astype(int)
    return table.rename_axis("strategy")


def _row(measured: Calibration, outcome: _Outcome, best: _Outcome) -> dict[str, Any]:
    right_share, cost_usd, elsewhere = outcome
    sample = len(measured.questions)
    low, high = share_interval(round(right_share * sample), sample)
    return {
        "right_share": right_share,
        "right_low": low,
        "right_high": high,
        "loss_points": 100 * (best[0] - right_share),
        "cost_usd_per_1000": 1000 * cost_usd,
        "saving_share": 1 - cost_usd / best[1] if best[1] else 0.0,
        "elsewhere_share": elsewhere,
        "questions": sample,
    }


def _mix(measured: Calibration, cost_usd: float) -> _Outcome:
    """What drawing lots between the best and the cheapest deployment gives on average, for the same money."""
    rights, costs = measured.right.mean(axis=0), measured.cost_usd.mean(axis=0)
    best, cheapest = measured.best, int(costs.argmin())
    span = float(costs[best] - costs[cheapest])
    share = 0.0 if span <= 0 else min(1.0, max(0.0, (float(costs[best]) - cost_usd) / span))
    mixed = [float(values[best]) * (1 - share) + float(values[cheapest]) * share for values in (rights, costs)]
    return mixed[0], mixed[1], share


def _oracle(measured: Calibration) -> "Matrix":
    """For each question the cheapest deployment of those that are right, or the cheapest of all when none is."""
    import numpy as np

    wrong = measured.right < measured.right.max(axis=1, keepdims=True)
    places: Matrix = np.where(wrong, np.inf, measured.cost_usd).argmin(axis=1)
    return places


def _all(measured: Calibration, place: int) -> "Matrix":
    import numpy as np

    return np.full(len(measured.questions), place)


def _numbered(measured: Calibration) -> "list[tuple[int, str]]":
    return list(enumerate(measured.deployments))
