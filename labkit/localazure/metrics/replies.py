"""How the metrics APIs write values, definitions and namespaces."""

from typing import TYPE_CHECKING, Any

from labkit.localazure.clock import iso
from labkit.localazure.metrics.asked import Asked
from labkit.localazure.metrics.components import custom_names
from labkit.localazure.metrics.definitions import (
    AGGREGATIONS,
    COMPONENTS,
    CUSTOM_NAMESPACE,
    INTERVALS_S,
    WITH_DATA,
    Metric,
)
from labkit.localazure.metrics.series import Found, lookup, namespaces, series, type_of
from labkit.localazure.metrics.values import Sample, Series
from labkit.localazure.timespan import iso_duration

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

Document = dict[str, Any]


def values(azure: "Azure", resource_id: str, asked: Asked) -> list[Document]:
    """The document of each metric that is asked for, with its time series."""
    return [_metric(azure, resource_id, name, asked) for name in asked.names]


def _metric(azure: "Azure", resource_id: str, name: str, asked: Asked) -> Document:
    found = lookup(azure, resource_id, name, asked.namespace)
    all_series = series(
        azure,
        resource_id,
        name,
        start_s=asked.start_s,
        end_s=asked.end_s,
        interval_s=asked.interval_s,
        namespace=asked.namespace,
        split_by=asked.split_by,
        keep=asked.filter.keeps,
        filtered_by=asked.filter.names,
    )
    aggregations = asked.aggregations or found.metric.aggregations[:1]
    shown = [_series(one, aggregations, asked) for one in _ordered(all_series, asked)[: asked.top]]
    metric = found.metric
    return {
        "id": f"{resource_id}/providers/Microsoft.Insights/metrics/{metric.name}",
        "type": "Microsoft.Insights/metrics",
        "name": _name(metric.name, metric.display_name),
        "displayDescription": metric.display_name,
        "unit": metric.unit,
        "timeseries": shown or ([] if asked.split_by else [_series(_empty(asked), aggregations, asked)]),
        "errorCode": "Success",
    }


def _ordered(found: list[Series], asked: Asked) -> list[Series]:
    by, descending = asked.order_by
    if not by:
        return found

    def value(one: Series) -> float:
        whole = Sample()
        for sample in one.samples:
            whole.add(sample)
        return whole.value(by) or 0.0

    return sorted(found, key=value, reverse=descending)


def _empty(asked: Asked) -> Series:
    """What is said of a resource that nothing happened to."""
    return Series((), [Sample() for _ in range(asked.steps)])


def _series(one: Series, aggregations: tuple[str, ...], asked: Asked) -> Document:
    return {
        # In lower case: clients look for modeldeploymentname here.
        "metadatavalues": [
            {"name": _name(name.lower(), name.lower()), "value": value} for name, value in one.dimensions
        ],
        "data": [
            {"timeStamp": iso(asked.start_s + place * asked.interval_s), **_aggregated(sample, aggregations)}
            for place, sample in enumerate(one.samples)
        ],
    }


def _aggregated(sample: Sample, aggregations: tuple[str, ...]) -> dict[str, float]:
    """The values of one interval. Nothing measured adds up to nothing, and has no mean, least or greatest."""
    found = {name.lower(): sample.value(name) for name in aggregations}
    empty = {name: 0.0 for name in found if name in ("total", "count")}
    return empty | {name: value for name, value in found.items() if value is not None}


def definitions(azure: "Azure", resource_id: str, namespace: str) -> list[Document]:
    """The definition of each metric of the resource that has values, or of those sent to the component."""
    kind = type_of(resource_id)
    if namespace.lower() == CUSTOM_NAMESPACE:
        names = custom_names(azure, resource_id) if kind == COMPONENTS else []
        metrics = [Metric(name, name, "Unspecified", AGGREGATIONS, (), "Custom") for name in names]
        return [_definition(resource_id, Found(one, CUSTOM_NAMESPACE)) for one in metrics]
    return [_definition(resource_id, Found(one, namespaces(kind)[0])) for one in WITH_DATA.get(kind, ())]


def _definition(resource_id: str, found: Found) -> Document:
    metric = found.metric
    return {
        "id": f"{resource_id}/providers/microsoft.insights/metricdefinitions/{metric.name}",
        "resourceId": resource_id,
        "namespace": found.namespace,
        "category": metric.category,
        "name": _name(metric.name, metric.display_name),
        "displayDescription": metric.display_name,
        "isDimensionRequired": False,
        "unit": metric.unit,
        "primaryAggregationType": metric.aggregations[0],
        "supportedAggregationTypes": list(metric.aggregations),
        "metricAvailabilities": [{"timeGrain": iso_duration(step_s), "retention": "P93D"} for step_s in INTERVALS_S],
        "dimensions": [_name(name, name) for name in metric.dimensions],
    }


def metric_namespaces(resource_id: str) -> list[Document]:
    """The namespaces of the resource's metrics."""
    return [
        {
            "id": f"{resource_id}/providers/microsoft.insights/metricNamespaces/{name}",
            "type": "Microsoft.Insights/metricNamespaces",
            "name": name,
            "classification": "Custom" if name == CUSTOM_NAMESPACE else "Platform",
            "properties": {"metricNamespaceName": name},
        }
        for name in namespaces(type_of(resource_id))
    ]


def _name(value: str, shown: str) -> Document:
    return {"value": value, "localizedValue": shown}
