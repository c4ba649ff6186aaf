"""The values of a metric that a condition looks at."""

from typing import TYPE_CHECKING

from labkit.localazure.errors import AzureError
from labkit.localazure.management.providers.metrics import KNOWN
from labkit.localazure.metrics.components import custom_names
from labkit.localazure.metrics.definitions import COMPONENTS, CUSTOM_NAMESPACE
from labkit.localazure.metrics.series import UnknownMetricError, series, type_of
from labkit.localazure.monitor.conditions import Dimensions, Document

if TYPE_CHECKING:
    from labkit.localazure.state import Azure


def names(azure: "Azure", resource_id: str, namespace: str) -> list[str]:
    """The metrics that the resource has; in the namespace of custom metrics those that were sent to it."""
    kind = type_of(resource_id)
    if namespace.lower() == CUSTOM_NAMESPACE and kind == COMPONENTS:
        return custom_names(azure, resource_id)
    return list(KNOWN.get(kind, ()))


def windows(
    azure: "Azure", resource_id: str, condition: Document, *, end_s: float, window_s: int, count: int
) -> dict[Dimensions, list[float | None]]:
    """Of each time series the values of the last ``count`` windows before ``end_s``, oldest first; None without data.

    A time series is a combination of values of the condition's dimensions. ``AzureError`` 400 when the resource has no
    such metric or dimension.
    """
    try:
        found = series(
            azure,
            resource_id,
            condition["metricName"],
            start_s=end_s - count * window_s,
            end_s=end_s,
            interval_s=window_s,
            namespace=condition.get("metricNamespace") or "",
            split_by=[dimension["name"] for dimension in condition.get("dimensions") or ()],
        )
    except UnknownMetricError as reason:
        raise AzureError(400, "BadRequest", str(reason)) from None
    aggregation = condition["timeAggregation"]
    return {one.dimensions: [sample.value(aggregation) for sample in one.samples] for one in found}
