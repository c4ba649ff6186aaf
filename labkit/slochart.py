"""Draws the scorecard: a line for each metric, with its target, what was measured, and how sure that is."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart; the marker says the same without colour.
_LOOKS = {
    "met": ("#0072B2", "o", "\u2713"),
    "missed": ("#D55E00", "X", "\u2717"),
    "too few to tell": ("#6E6E6E", "D", "?"),
    "not measured": ("#6E6E6E", "D", "\u2013"),
}
_NAMES = {
    "availability_share": "availability",
    "mean_latency_s": "mean latency",
    "cache_hit_share": "cache hit rate",
    "cost_saving_share": "saved per request",
}
_GOOD = "#DCE9F3"


def draw(card: "pd.DataFrame") -> "Figure":
    """A figure with a panel for each row of ``card``, which is ``labkit.slo.scorecard``'s table."""
    # Through pyplot, which teaches a notebook to show figures; closed, so that it is not shown twice.
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(len(card), 1, figsize=(8.0, 0.95 * len(card) + 0.2), squeeze=False)
    for axes, (metric, row) in zip(panels[:, 0], card.iterrows(), strict=True):
        _panel(axes, str(metric), row)
    figure.subplots_adjust(left=0.2, right=0.72, top=0.97, bottom=0.1, hspace=1.0)
    plt.close(figure)
    return figure


def _panel(axes: "Axes", metric: str, row: Any) -> None:
    sign, _, bound = row["target"].partition(" ")
    target, value, verdict = float(bound), float(row["measured"]), str(row["verdict"])
    colour, marker, symbol = _LOOKS[verdict.removesuffix(" in this run")]
    start, end = _range(target, value, float(row["low"]), float(row["high"]), is_share=metric.endswith("_share"))
    axes.axvspan(*((target, end) if sign.startswith(">") else (start, target)), color=_GOOD, lw=0)
    axes.axvline(target, color="black", lw=1.4)
    if not math.isnan(row["low"]):
        axes.plot([row["low"], row["high"]], [0, 0], color=colour, lw=3, solid_capstyle="butt", alpha=0.55)
    if not math.isnan(value):
        axes.plot(value, 0, marker, color=colour, ms=9, mec="white", mew=1, clip_on=False, zorder=3)
    axes.set(xlim=(start, end), ylim=(-1, 1), yticks=[])
    axes.xaxis.set_major_locator(_ticks())
    axes.xaxis.set_major_formatter(lambda number, _: _text(metric, number))
    axes.tick_params(axis="x", labelsize=8, color="#999999", labelcolor="#555555")
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color("#999999")
    around = axes.transAxes
    words = {"target": f"target {_sign(sign)} {_text(metric, target)}", "sample": f"n = {row['sample']:,}"}
    axes.text(-0.03, 0.66, _NAMES.get(metric, metric), transform=around, ha="right", va="center", weight="bold")
    axes.text(-0.03, 0.24, words["target"], transform=around, ha="right", va="center", size=8, color="#555555")
    said = "" if math.isnan(value) else _text(metric, value, exact=True)
    axes.text(1.04, 0.66, f"{symbol} {said}", transform=around, va="center", weight="bold", color=colour)
    axes.text(1.04, 0.24, f"{verdict}, {words['sample']}", transform=around, va="center", size=8, color="#555555")


def _range(target: float, value: float, low: float, high: float, *, is_share: bool) -> tuple[float, float]:
    """The part of the axis to show: target, value and limits with some air; a share ends at 1, seconds begin at 0."""
    shown = [number for number in (target, value, low, high) if not math.isnan(number)]
    if not is_share:
        return 0.0, max(shown) * 1.15
    air = max(max(shown) - min(shown), 0.15 * (1 - target), 0.002)
    start, end = min(shown) - 0.25 * air, min(max(shown) + 0.25 * air, 1.0)
    return (max(start, 0.0) if min(shown) >= 0 else start), end


def _ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def _sign(sign: str) -> str:
    return {">=": "\u2265"}.get(sign, sign)


def _text(metric: str, number: float, *, exact: bool = False) -> str:
    if metric.endswith("_s"):
        return f"{number:.2f} s" if exact else f"{number:g} s"
    return f"{100 * number:.1f} %" if exact else f"{round(100 * number, 4):g} %"
