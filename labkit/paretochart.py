"""Draws the Pareto view: a point for each deployment, its interval, and the line that joins those worth choosing."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe and Ito's colours, which colour-blind readers tell apart; the marker says the same without colour.
_CHOSEN, _DOMINATED, _WORDS = "#0072B2", "#9A9A9A", "#555555"
# From this ratio on, equal steps of an axis are equal factors.
_WIDE_RATIO = 5.0


def draw(found: "pd.DataFrame") -> "Figure":
    """A figure of ``labkit.pareto.frontier``'s table; deployments without a known share or cost are named below it."""
    # Through pyplot, which teaches a notebook to show figures; closed, so that it is not shown twice.
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8.0, 4.8), layout="constrained")
    known = found[found["right_share"].notna() & (found["cost_usd_per_1000"] > 0)]
    _scale(axes, known)
    # Of those worth choosing some are so for their latency alone, which is no direction of this picture.
    by_cost = known.sort_values("cost_usd_per_1000")
    joined = by_cost[by_cost["right_share"] > by_cost["right_share"].cummax().shift(fill_value=-1.0)]
    axes.plot(joined["cost_usd_per_1000"], joined["right_share"], color=_CHOSEN, lw=1.5, alpha=0.5, zorder=1)
    for name, row in known.iterrows():
        _point(axes, row, dominated=bool(row["dominated_by"]))
        _label(axes, str(name), row, known)
    _words(axes, known, [str(name) for name in found.index if name not in known.index])
    plt.close(figure)
    return figure


def _scale(axes: "Axes", known: "pd.DataFrame") -> None:
    costs = known["cost_usd_per_1000"]
    if len(known) and costs.max() / costs.min() > _WIDE_RATIO:
        axes.set_xscale("log")
        axes.set_xlim(costs.min() / 2, costs.max() * 2.6)
    elif len(known):
        axes.set_xlim(0, costs.max() * 1.35)
    low = float(known["right_low"].min()) if len(known) else 0.0
    axes.set_ylim(max(0.0, low - 0.06), 1.03)


def _point(axes: "Axes", row: Any, *, dominated: bool) -> None:
    colour, marker = (_DOMINATED, "X") if dominated else (_CHOSEN, "o")
    cost = row["cost_usd_per_1000"]
    axes.plot([cost, cost], [row["right_low"], row["right_high"]], color=colour, lw=3, alpha=0.25, zorder=1)
    axes.plot(cost, row["right_share"], marker, color=colour, ms=10, mec="white", mew=1, zorder=3)


def _label(axes: "Axes", name: str, row: Any, known: "pd.DataFrame") -> None:
    """The name and the latency: below to the right, where no line passes, or above to the left of a close neighbour."""
    from matplotlib.patheffects import withStroke

    latency_s = row["latency_p50_s"]
    below = not _has_neighbour_below(row, known)
    axes.annotate(
        name if math.isnan(latency_s) else f"{name}\n{latency_s:.2g} s",
        (row["cost_usd_per_1000"], row["right_share"]),
        xytext=(8, -5) if below else (-8, 5),
        textcoords="offset points",
        va="top" if below else "bottom",
        ha="left" if below else "right",
        size=9,
        color=_WORDS if row["dominated_by"] else "black",
        path_effects=[withStroke(linewidth=3, foreground="white")],
        linespacing=1.25,
        zorder=4,
    )


def _has_neighbour_below(row: Any, known: "pd.DataFrame") -> bool:
    costs, below = known["cost_usd_per_1000"], row["right_share"] - known["right_share"]
    return bool(((costs / row["cost_usd_per_1000"]).between(1, 2.5) & (below > 0) & (below < 0.15)).any())


def _words(axes: "Axes", known: "pd.DataFrame", left_out: Sequence[str]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

    axes.set_title(
        "Right answers against cost: upwards and to the left is better", loc="left", size=11, weight="bold", pad=10
    )
    scale = ", each step ten times more" if axes.get_xscale() == "log" else ""
    axes.set_xlabel(f"US dollars per 1,000 calls{scale}", color=_WORDS)
    axes.set_ylabel("right answers", color=_WORDS)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#E6E6E6", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(color="#999999", labelcolor=_WORDS)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    calls = sorted({int(number) for number in known["calls"]})
    number = "–".join(f"{each:,}" for each in (calls[:1] + calls[-1:] if len(calls) > 1 else calls))
    lines = [
        "● worth choosing   ✖ another is as good in quality, cost and latency, and better in one of them",
        f"│ 95 % sure, from {number} calls   seconds: median latency",
        *([f"not shown, as share or cost is unknown: {', '.join(left_out)}"] if left_out else []),
    ]
    axes.annotate("\n".join(lines), (0, -0.17), xycoords="axes fraction", size=8.5, color=_WORDS, va="top")
