"""Alert rules in a line each: what they watch, in the words of the control plane."""

from collections.abc import Iterator
from typing import Any

from labkit.localazure.resources import Document, Resource, ResourceStore

_KINDS = {"microsoft.insights/metricalerts": "metric", "microsoft.insights/scheduledqueryrules": "log search"}
_RULES = 200


def rules(resources: ResourceStore) -> list[dict[str, Any]]:
    """The alert rules, in the order they were made."""
    found = [resource for resource in resources if resource.type.lower() in _KINDS]
    return [_rule(resource) for resource in found[:_RULES]]


def _rule(resource: Resource) -> dict[str, Any]:
    properties = resource.properties
    return {
        "id": resource.id,
        "name": resource.name,
        "kind": _KINDS[resource.type.lower()],
        "severity": properties.get("severity"),
        "enabled": properties.get("enabled") is not False,
        "condition": " and ".join(_conditions(properties)),
    }


def _conditions(properties: Document) -> Iterator[str]:
    """Each criterion as one would say it: ``Total AzureOpenAIRequests GreaterThan 10 in PT5M``."""
    window = properties.get("windowSize")
    for criterion in properties.get("criteria", {}).get("allOf", ()):
        what = criterion.get("metricName") or criterion.get("metricMeasureColumn") or "rows"
        bound = criterion.get("threshold", "a dynamic threshold")
        yield f"{criterion.get('timeAggregation')} {what} {criterion.get('operator')} {bound} in {window}"
