"""The time series of any metric of any resource, for metric alerts and for the APIs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.localazure.management.providers import metrics as known
from labkit.localazure.metrics import accounts, components
from labkit.localazure.metrics.definitions import (
    AGGREGATIONS,
    COMPONENTS,
    CUSTOM_NAMESPACE,
    WITH_DATA,
    Metric,
    find,
)
from labkit.localazure.metrics.values import Keep, Measured, Series, as_rates, collect, everything

if TYPE_CHECKING:
    from labkit.localazure.state import Azure


class UnknownMetricError(Exception):
    """A resource has no metric of that name, or a metric no dimension of that one; the message names those it has."""


@dataclass(frozen=True, slots=True)
class Found:
    """A metric of a resource, and the namespace that it is in."""

    metric: Metric
    namespace: str

    @property
    def is_custom(self) -> bool:
        """True for what an application sends itself."""
        return self.namespace == CUSTOM_NAMESPACE


def series(
    azure: "Azure",
    resource_id: str,
    metric: str,
    *,
    start_s: float,
    end_s: float,
    interval_s: float,
    namespace: str = "",
    split_by: Sequence[str] = (),
    keep: Keep = everything,
    filtered_by: Iterable[str] = (),
) -> list[Series]:
    """The series of ``metric`` of the resource, in intervals of ``interval_s`` from ``start_s`` to before ``end_s``.

    One for each combination of values of the ``split_by`` dimensions that ``keep`` lets pass; ``keep`` sees those and
    the ``filtered_by`` ones. An interval in which nothing was measured has an empty sample (its values are None); no
    series at all means no data. Both times should be whole minutes: usage is counted by the minute.
    ``UnknownMetricError`` when the resource has no such metric or dimension.
    """
    found = lookup(azure, resource_id, metric, namespace)
    wanted = _spelled(found, dict.fromkeys((*split_by, *filtered_by)))
    split = [wanted[name] for name in split_by]
    measured = _measured(azure, resource_id, found, list(dict.fromkeys(wanted.values())), start_s, end_s)
    count = max(1, math.ceil((end_s - start_s) / interval_s))
    if not found.is_custom and accounts.is_rate(found.metric.name):
        measured, keep = as_rates(measured, split, keep), everything
    return collect(measured, split, keep, start_s=start_s, interval_s=interval_s, count=count)


def lookup(azure: "Azure", resource_id: str, metric: str, namespace: str = "") -> Found:
    """The metric of that name (any case), a custom one if the namespace says so; ``UnknownMetricError`` without one."""
    kind = type_of(resource_id)
    if namespace.lower() == CUSTOM_NAMESPACE and kind == COMPONENTS:
        return Found(Metric(metric, metric, "Unspecified", AGGREGATIONS, (), "Custom"), CUSTOM_NAMESPACE)
    if namespace and namespace.lower() != kind:
        raise UnknownMetricError(
            f"The namespace '{namespace}' is none of the resource's: {', '.join(namespaces(kind))}."
        )
    found = find(kind, metric)
    if found is None and not known.has(kind, metric):
        provider, _, rest = _spelled_type(kind).partition("/")
        valid = ",".join(one.name for one in WITH_DATA.get(kind, ()))
        # The sentence that Checkmk's agent_azure takes apart, read 2026-11-25.
        raise UnknownMetricError(
            f"Failed to find metric configuration for provider: {provider}, resource Type: {rest}, metric: {metric}, "
            f"Valid metrics: {valid}"
        )
    return Found(found or Metric(metric, metric, "Count", AGGREGATIONS, (), ""), _spelled_type(kind))


def type_of(resource_id: str) -> str:
    """The type of the resource in lower case: ``microsoft.cognitiveservices/accounts``."""
    parts = [part for part in resource_id.lower().rpartition("/providers/")[2].split("/") if part]
    return "/".join((parts[0], *parts[1::2])) if parts else ""


def namespaces(kind: str) -> list[str]:
    """The metric namespaces of a resource type."""
    return [_spelled_type(kind), *([CUSTOM_NAMESPACE] if kind == COMPONENTS else [])]


def _spelled_type(kind: str) -> str:
    spelled = ("Microsoft.CognitiveServices/accounts", "Microsoft.Insights/components")
    return next((name for name in spelled if name.lower() == kind), kind)


def _spelled(found: Found, asked: Iterable[str]) -> Mapping[str, str]:
    """The dimensions asked for, as they are spelled; those of a custom metric are what the application makes them."""
    own = {name.lower(): name for name in found.metric.dimensions}
    spelled = {name: name if found.is_custom else own.get(name.lower(), "") for name in asked}
    for name, there in spelled.items():
        if not there:
            raise UnknownMetricError(
                f"The metric {found.metric.name} has no dimension '{name}'. "
                f"It has: {', '.join(found.metric.dimensions) or 'none'}."
            )
    return spelled


def _measured(
    azure: "Azure", resource_id: str, found: Found, dimensions: Sequence[str], start_s: float, end_s: float
) -> Iterable[Measured]:
    if found.is_custom:
        return components.custom(azure, resource_id, found.metric.name, dimensions, start_s, end_s)
    if type_of(resource_id) == COMPONENTS:
        return components.measured(azure, resource_id, found.metric.name, dimensions, start_s, end_s)
    return accounts.measured(azure, resource_id, found.metric.name, start_s, end_s)
