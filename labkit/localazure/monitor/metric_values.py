"""The values of a metric that a condition looks at."""

from typing import TYPE_CHECKING

from labkit.localazure.monitor.conditions import Dimensions, Document

if TYPE_CHECKING:
    from labkit.localazure.state import Azure


def windows(
    azure: "Azure", resource_id: str, condition: Document, *, end_s: float, window_s: int, count: int
) -> dict[Dimensions, list[float | None]]:
    """Of each time series the values of the last ``count`` windows before ``end_s``, oldest first."""
    return {}
