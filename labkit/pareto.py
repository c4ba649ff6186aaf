"""Which deployments are worth choosing among: those that no other beats in quality, cost and latency at once."""

import math
from typing import TYPE_CHECKING, Any

from labkit.errors import InvalidRequestError
from labkit.slo import share_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_COLUMNS = ("calls", "cost_usd", "right_share", "latency_p50_s")


def frontier(table: "pd.DataFrame") -> "pd.DataFrame":
    """The measured deployments, the best first, each with the names of those that it is ``dominated_by``.

    ``table`` is what ``AzureOpenAIManager.compare`` gives. One deployment dominates another when it is right at least
    as often, costs no more and takes no longer, and is better in one of these; an empty tuple means that there are
    reasons to choose this one. ``right_low`` and ``right_high`` are the 95 % interval of ``right_share``: where two
    overlap, more calls may turn the order round. Repeated questions count as calls here, but teach less than new ones.
    A deployment whose share or cost is not known (nan) is neither dominated nor dominates.
    """
    import pandas as pd

    if missing := [column for column in _COLUMNS if column not in table.columns]:
        raise InvalidRequestError(
            f"The table lacks {', '.join(missing)}; AzureOpenAIManager().compare(names) gives one with them."
        )
    found = table[["model", *_COLUMNS]] if "model" in table.columns else table[list(_COLUMNS)]
    found = found.assign(cost_usd_per_1000=1000 * table["cost_usd"] / table["calls"]).drop(columns="cost_usd")
    limits = [_limits(row) for _, row in found.iterrows()]
    found = found.assign(right_low=[low for low, _ in limits], right_high=[high for _, high in limits])
    rows: dict[Any, Any] = dict(zip(found.index, found.to_dict("records"), strict=True))
    beaten = [tuple(name for name, other in rows.items() if _dominates(other, row)) for row in rows.values()]
    found["dominated_by"] = pd.Series(beaten, index=found.index, dtype=object)
    return found.sort_values(["right_share", "cost_usd_per_1000"], ascending=[False, True], kind="stable")


def plot(table: "pd.DataFrame") -> "Figure":
    """A picture of ``frontier(table)``: cost to the right, quality upwards, the deployments worth choosing joined."""
    from labkit.paretochart import draw

    return draw(frontier(table))


def _limits(row: Any) -> tuple[float, float]:
    if math.isnan(row["right_share"]):
        return math.nan, math.nan
    calls = int(row["calls"])
    return share_interval(round(row["right_share"] * calls), calls)


def _dominates(other: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether ``other`` is as good as ``row`` in everything, and better in something; latencies may be unknown."""
    better = (
        float(other["right_share"] - row["right_share"]),
        float(row["cost_usd_per_1000"] - other["cost_usd_per_1000"]),
        float(row["latency_p50_s"] - other["latency_p50_s"]),
    )
    if math.isnan(better[0]) or math.isnan(better[1]):
        return False
    known = [each for each in better if not math.isnan(each)]
    return min(known) >= 0 and max(known) > 0
