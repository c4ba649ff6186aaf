"""The metrics APIs through the real clients, and the words in which they refuse."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.mgmt.monitor import MonitorManagementClient
from azure.monitor.querymetrics import MetricsClient
from openai import AzureOpenAI

from labkit.localazure import LocalAzure
from labkit.localazure.metrics.definitions import WITH_DATA
from labkit.localazure.metrics.filters import BadFilterError, parse
from labkit.localazure.resources import GROUP_ID, SUBSCRIPTION_ID
from tests.localazure.asking import SMALL, Asker
from tests.localazure.conftest import ACCOUNT_ID, Answer, Caller, HttpBearerPolicy
from tests.localazure.telemetry.sending import COMPONENT, send_calls
from tests.localazure.telemetry.test_logs import make_component

NAMESPACE = "Microsoft.CognitiveServices/accounts"
Arm = Callable[..., Answer]


@pytest.fixture
def used(served: LocalAzure, client: AzureOpenAI) -> LocalAzure:
    """A running local Azure whose small model was asked twice, and a missing deployment once."""
    for _ in range(2):
        client.chat.completions.create(model=SMALL, messages=[{"role": "user", "content": "Hello"}])
    with pytest.raises(Exception, match="does not exist"):
        client.chat.completions.create(model="gone", messages=[{"role": "user", "content": "Hello"}])
    return served


@pytest.fixture
def metrics_client(served: LocalAzure) -> Iterator[MetricsClient]:
    """The data plane's client."""
    with DefaultAzureCredential() as credential:
        policy = HttpBearerPolicy(credential, "https://metrics.monitor.azure.com/.default")
        with MetricsClient(served.url, credential, authentication_policy=policy) as made:
            yield made


def total(metric: Any) -> float:
    """The sum of the totals of a metric's first series."""
    return float(sum(point.total or 0.0 for point in metric.timeseries[0].data))


def test_the_management_client_lists_metrics(used: LocalAzure, sdk: Callable[..., Any]) -> None:
    """By deployment and status, in the units of the service."""
    client = sdk(MonitorManagementClient)
    found = client.metrics.list(
        ACCOUNT_ID,
        timespan="PT1H",
        interval="PT5M",
        metricnames="AzureOpenAIRequests,TokenTransaction",
        aggregation="Total",
        metricnamespace=NAMESPACE,
    )
    requests, tokens = found.value
    assert (requests.name.value, requests.unit, total(requests)) == ("AzureOpenAIRequests", "Count", 3.0)
    spent = sum(entry.prompt_tokens + entry.completion_tokens for entry in used.azure.journal.after())
    assert total(tokens) == spent > 0
    split = client.metrics.list(
        ACCOUNT_ID,
        timespan="PT1H",
        metricnames="AzureOpenAIRequests",
        filter="ModelDeploymentName eq '*' and StatusCode eq '*'",
    )
    series = {
        tuple((value.name.value, value.value) for value in one.metadatavalues): sum(
            point.total or 0 for point in one.data
        )
        for one in split.value[0].timeseries
    }
    assert series[("modeldeploymentname", SMALL), ("statuscode", "200")] == 2.0
    assert sum(series.values()) == 3.0


def test_the_management_client_lists_what_there_is(used: LocalAzure, sdk: Callable[..., Any]) -> None:
    """Definitions with units, aggregations and dimensions, and namespaces."""
    client = sdk(MonitorManagementClient)
    definitions = {one.name.value: one for one in client.metric_definitions.list(ACCOUNT_ID)}
    assert set(definitions) == {metric.name for metric in WITH_DATA[NAMESPACE.lower()]}
    latency = definitions["AzureOpenAITimeToResponse"]
    assert (latency.unit, latency.primary_aggregation_type) == ("MilliSeconds", "Average")
    assert "ModelDeploymentName" in [dimension.value for dimension in latency.dimensions]
    assert [one.properties.metric_namespace_name for one in client.metric_namespaces.list(ACCOUNT_ID)] == [NAMESPACE]


def test_the_metrics_client_queries_resources_in_a_batch(used: LocalAzure, metrics_client: MetricsClient) -> None:
    """With a time span, a granularity and aggregations."""
    (result,) = metrics_client.query_resources(
        resource_ids=[ACCOUNT_ID],
        metric_namespace=NAMESPACE,
        metric_names=["AzureOpenAIRequests", "AzureOpenAIAvailabilityRate"],
        timespan=timedelta(hours=1),
        granularity=timedelta(minutes=5),
        aggregations=["Total", "Average"],
    )
    assert total(result.metrics["AzureOpenAIRequests"]) == 3.0
    rates = [point.average for point in result.metrics["AzureOpenAIAvailabilityRate"].timeseries[0].data]
    assert {rate for rate in rates if rate is not None} == {100.0}
    assert (result.granularity, result.resource_region) == (timedelta(minutes=5), "swedencentral")
    assert result.metrics[0].timeseries[0].data[0].timestamp.tzinfo is not None


def test_the_metrics_client_filters_sorts_and_rolls_up(used: LocalAzure, metrics_client: MetricsClient) -> None:
    """Series by dimension, the busiest first; a dimension that is rolled up does not split."""

    def names(**options: Any) -> list[dict[str, str]]:
        now = datetime.now(UTC)
        (result,) = metrics_client.query_resources(
            resource_ids=[ACCOUNT_ID],
            metric_namespace=NAMESPACE,
            metric_names=["AzureOpenAIRequests"],
            timespan=(now - timedelta(minutes=30), now + timedelta(minutes=1)),
            **options,
        )
        return [one.metadata_values for one in result.metrics[0].timeseries]

    by_status = names(filter="StatusCode eq '*'", order_by="total desc")
    assert by_status == [{"statuscode": "200"}, {"statuscode": "404"}]
    assert names(filter="StatusCode eq '*'", order_by="total desc", max_results=1) == by_status[:1]
    assert names(filter="StatusCode eq '404' or StatusCode eq '500'") == [{"statuscode": "404"}]
    assert names(filter=f"ModelDeploymentName eq '{SMALL}' and StatusCode eq '*'", roll_up_by="StatusCode") == [
        {"modeldeploymentname": SMALL}
    ]
    assert names(filter="StatusCode eq '418'") == []


def test_an_unknown_metric_raises_with_those_there_are(metrics_client: MetricsClient, sdk: Callable[..., Any]) -> None:
    """In both APIs."""
    client = sdk(MonitorManagementClient)
    with pytest.raises(HttpResponseError, match="Failed to find metric configuration") as refused:
        client.metrics.list(ACCOUNT_ID, metricnames="Requests")
    assert refused.value.status_code == 400
    with pytest.raises(HttpResponseError, match="Valid metrics: AzureOpenAIRequests"):
        metrics_client.query_resources(
            resource_ids=[ACCOUNT_ID], metric_namespace=NAMESPACE, metric_names=["Requests"], timespan=timedelta(1)
        )


# -- without a client in between --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "metricnames holds 1 to 20 names"),
        ({"metricnames": "TotalCalls", "timespan": "an hour"}, "Invalid time: 'an hour' is no ISO 8601 duration"),
        ({"metricnames": "TotalCalls", "timespan": "2026-11-25/2026-11-24"}, "ends before it starts"),
        ({"metricnames": "TotalCalls", "interval": "PT7M"}, "Supported ones are: PT1M, PT5M, PT15M"),
        ({"metricnames": "TotalCalls", "aggregation": "Median"}, "Invalid aggregation: median"),
        ({"metricnames": "TotalCalls", "timespan": "P30D"}, "more than 1500 steps of PT1M"),
        ({"metricnames": "TotalCalls", "$filter": "StatusCode eq '*'"}, "no dimension 'StatusCode'"),
        ({"metricnames": "TotalCalls", "$filter": "Region is 'x'"}, "cannot be read at 'Region is"),
        ({"metricnames": "TotalCalls", "top": "0"}, "top is a whole number from 1"),
        ({"metricnames": "TotalCalls", "orderby": "name"}, "orderby is an aggregation"),
        ({"metricnames": "TotalCalls", "metricnamespace": "x/y"}, "namespace 'x/y'"),
    ],
)
def test_bad_parameters_are_named(arm: Arm, query: dict[str, str], said: str) -> None:
    """400 with code and message."""
    answer = arm("GET", f"{ACCOUNT_ID}/providers/Microsoft.Insights/metrics", **query)
    assert (answer.status, answer.json["code"]) == (400, "BadRequest")
    assert said in answer.json["message"]


def test_without_traffic_totals_are_zero_and_means_are_missing(arm: Arm) -> None:
    """One point for each step, with nothing in it."""
    names = "TotalCalls,Latency"
    answer = arm(
        "GET",
        f"{ACCOUNT_ID}/providers/microsoft.insights/metrics",
        metricnames=names,
        timespan="PT10M",
        interval="PT5M",
    )
    calls, latency = answer.json["value"]
    assert {point["total"] for point in calls["timeseries"][0]["data"]} == {0.0}
    assert all(set(point) == {"timeStamp"} for point in latency["timeseries"][0]["data"])
    assert answer.json["interval"] == "PT5M"


def test_component_and_custom_metrics_are_served(call: Caller, arm: Arm) -> None:
    """Under the component's id, in two namespaces."""
    make_component(call)
    send_calls(call.azure.telemetry, call.azure.clock.now() - 60)
    path = f"{COMPONENT}/providers/Microsoft.Insights"
    found = arm("GET", f"{path}/metrics", metricnames="requests/count", timespan="PT1H", interval="FULL").json["value"]
    assert sum(point["count"] for point in found[0]["timeseries"][0]["data"]) == 6.0
    spaces = [one["name"] for one in arm("GET", f"{path}/metricNamespaces").json["value"]]
    assert spaces == ["Microsoft.Insights/components", "azure.applicationinsights"]
    custom = arm("GET", f"{path}/metricDefinitions", metricnamespace="azure.applicationinsights")
    assert custom.json["value"] == []


def test_metrics_are_of_resources_that_have_some(arm: Arm) -> None:
    """404 for a resource that is not there, 400 for one without metrics, 405 for other methods."""
    behind = "providers/Microsoft.Insights/metrics"
    assert arm("GET", f"{ACCOUNT_ID}-gone/{behind}").error == (404, "ResourceNotFound")
    group = "Microsoft.Insights/actionGroups/ag"
    arm("PUT", group, {"location": "Global", "properties": {"groupShortName": "ag", "enabled": True}})
    assert arm("GET", f"{GROUP_ID}/providers/{group}/{behind}").error == (400, "BadRequest")
    assert arm("POST", f"{ACCOUNT_ID}/{behind}").error == (405, "HttpMethodNotAllowed")


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({}, {"metricnames": "TotalCalls"}),
        ({"resourceids": []}, {"metricnames": "TotalCalls"}),
        ({"resourceids": [ACCOUNT_ID] * 51}, {"metricnames": "TotalCalls"}),
        ({"resourceids": [7]}, {"metricnames": "TotalCalls"}),
        ({"resourceids": [ACCOUNT_ID]}, {}),
        ([], {"metricnames": "TotalCalls"}),
    ],
)
def test_batches_that_are_none(call: Caller, body: object, query: dict[str, str]) -> None:
    """400 in the data plane's shape."""
    token = call.azure.identity.issue("https://metrics.monitor.azure.com")["access_token"]
    path = f"/subscriptions/{SUBSCRIPTION_ID}/metrics:getBatch"
    answer = call("POST", path, body, headers={"Authorization": f"Bearer {token}"}, **query)
    assert answer.error == (400, "BadRequest")


def test_the_data_plane_wants_a_token_of_its_own(call: Caller) -> None:
    """One for the control plane does not open it, nor the other way round."""
    path = f"/subscriptions/{SUBSCRIPTION_ID}/metrics:getBatch"
    assert call("POST", path, {}).error == (401, "Unauthorized")
    token = call.azure.identity.issue("https://management.azure.com")["access_token"]
    assert call("POST", path, {}, headers={"Authorization": f"Bearer {token}"}).error == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("text", "kept", "dropped"),
    [
        ("", {"a": "x"}, None),
        ("a eq 'x'", {"a": "X"}, {"a": "y"}),
        ("A eq '*' and b ne 'z'", {"a": "x", "b": "y"}, {"a": "x", "b": "z"}),
        ("(a eq 'x' or a eq 'y') and b eq 'z'", {"a": "y", "b": "z"}, {"a": "w", "b": "z"}),
        ("a sw 'gpt'", {"a": "gpt-4o"}, {"a": "o3"}),
        ("a eq 'it''s'", {"a": "it's"}, {"a": "its"}),
        ("dim %2528test%2529 1 eq 'x'", {"dim (test) 1": "x"}, {"dim (test) 1": "y"}),
    ],
)
def test_filters_are_read(text: str, kept: dict[str, str], dropped: dict[str, str] | None) -> None:
    """Names in any case, values too."""
    conditions = parse(text)
    assert conditions.keeps(kept)
    assert dropped is None or not conditions.keeps(dropped)


@pytest.mark.parametrize("text", ["a", "a eq x", "a eq 'x' b eq 'y'", "a eq 'x' or b eq 'y'", "(" * 5_000])
def test_filters_that_cannot_be_read(text: str) -> None:
    """The message shows where."""
    with pytest.raises(BadFilterError):
        parse(text)


def test_usage_shows_up_as_it_happens(ask: Asker, arm: Arm) -> None:
    """One call more is one request more."""
    path = f"{ACCOUNT_ID}/providers/Microsoft.Insights/metrics"
    for expected in (1.0, 2.0):
        ask.chat()
        ask.azure.clock.advance(60)
        answer = arm(
            "GET", path, metricnames="ModelRequests", interval="PT1H", timespan="PT1H", aggregation="total,count"
        )
        assert sum(point["total"] for point in answer.json["value"][0]["timeseries"][0]["data"]) == expected
