"""The values of metrics, worked out by hand from what was used and sent."""

from typing import Any

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.journal import Entry
from labkit.localazure.metrics.definitions import WITH_DATA
from labkit.localazure.metrics.series import UnknownMetricError, series
from labkit.localazure.state import Azure
from tests.localazure.conftest import ACCOUNT_ID
from tests.localazure.telemetry.sending import COMPONENT, item, send_calls

NOON_S = 1_795_608_000.0  # 2026-11-25T12:00:00Z


@pytest.fixture
def azure() -> Azure:
    """A local Azure at noon, in whose last ten minutes two deployments were called."""
    made = Azure(ManualClock(NOON_S))
    call(made, 1, ms=100.0, prompt=100, cached=50, completion=10)
    call(made, 1, ms=300.0, prompt=100, completion=30)
    call(made, 1, status=500)
    call(made, 1, status=429)
    call(made, 3, deployment="mini", model="gpt-4o-mini", ms=200.0, prompt=40, completion=20, stream=True)
    call(made, 3, deployment="vectors", model="text-embedding-3-small", operation="embeddings", ms=20.0, prompt=8)
    call(made, 3, account="another", prompt=1_000, ms=1.0)
    return made


def call(azure: Azure, minutes_ago: float, **given: Any) -> None:
    """One request to the inference face, as the journal notes it."""
    entry = Entry(
        at_s=NOON_S - 60 * minutes_ago,
        face="inference",
        method="POST",
        path="/openai",
        operation=given.get("operation", "chat.completions"),
        status=given.get("status", 200),
        account=given.get("account", "aoai-session13"),
        deployment=given.get("deployment", "chat"),
        model=given.get("model", "gpt-4o"),
        stream=given.get("stream", False),
        prompt_tokens=given.get("prompt", 0),
        cached_tokens=given.get("cached", 0),
        completion_tokens=given.get("completion", 0),
        simulated_ms=given.get("ms", 0.0),
    )
    azure.usage.note(entry)


def values(azure: Azure, metric: str, aggregation: str, **given: Any) -> dict[tuple[str, ...], list[float | None]]:
    """The values of the last ten minutes in steps of five, by the values of the dimensions."""
    options = {"start_s": NOON_S - 600, "end_s": NOON_S, "interval_s": 300, **given}
    found = series(azure, options.pop("resource_id", ACCOUNT_ID), metric, **options)
    return {
        tuple(value for _, value in one.dimensions): [sample.value(aggregation) for sample in one.samples]
        for one in found
    }


@pytest.mark.parametrize(
    ("metric", "aggregation", "expected"),
    [
        ("AzureOpenAIRequests", "Total", 6.0),
        ("ModelRequests", "Count", 6.0),
        ("ProcessedPromptTokens", "Total", 248.0),
        ("InputTokens", "Total", 248.0),
        ("GeneratedTokens", "Total", 60.0),
        ("OutputTokens", "Total", 60.0),
        ("TokenTransaction", "Total", 308.0),
        ("TotalTokens", "Total", 308.0),
        ("ActiveTokens", "Total", 258.0),
        ("AzureOpenAITTLTInMS", "Average", 155.0),
        ("AzureOpenAITimeToResponse", "Minimum", 20.0),
        ("TimeToLastByte", "Maximum", 300.0),
        ("Latency", "Average", 155.0),
        ("AzureOpenAIAvailabilityRate", "Average", 500 / 6),
        ("ModelAvailabilityRate", "Minimum", 75.0),
        ("SuccessRate", "Maximum", 100.0),
        ("AzureOpenAIContextTokensCacheMatchRate", "Average", 100 * 50 / 248),
        ("TotalCalls", "Total", 6.0),
        ("SuccessfulCalls", "Total", 4.0),
        ("ClientErrors", "Total", 1.0),
        ("ServerErrors", "Total", 1.0),
        ("TotalErrors", "Total", 2.0),
        ("BlockedCalls", "Total", 1.0),
        ("tokenspersecond", "Maximum", 100.0),
    ],
)
def test_values_of_an_account(azure: Azure, metric: str, aggregation: str, expected: float) -> None:
    """Over the last five minutes; nothing happened in the five before."""
    ((before, last),) = values(azure, metric, aggregation).values()
    assert before is None
    assert last == pytest.approx(expected)


def test_series_are_split_and_filtered_by_dimensions(azure: Azure) -> None:
    """Each combination of values is a series; a filter sees other dimensions, too."""
    assert values(azure, "AzureOpenAIRequests", "Total", split_by=["modeldeploymentname", "StatusCode"]) == {
        ("chat", "200"): [None, 2.0],
        ("chat", "429"): [None, 1.0],
        ("chat", "500"): [None, 1.0],
        ("mini", "200"): [None, 1.0],
        ("vectors", "200"): [None, 1.0],
    }
    streamed = values(
        azure,
        "AzureOpenAIRequests",
        "Total",
        split_by=["ModelName", "OperationName"],
        filtered_by=["StreamType"],
        keep=lambda dimensions: dimensions["StreamType"] == "Streaming",
    )
    assert streamed == {("gpt-4o-mini", "ChatCompletions_Create"): [None, 1.0]}
    by_model = values(azure, "AzureOpenAIAvailabilityRate", "Average", split_by=["ModelDeploymentName"])
    assert by_model == {("chat",): [None, 75.0], ("mini",): [None, 100.0], ("vectors",): [None, 100.0]}


def test_intervals_are_half_open(azure: Azure) -> None:
    """A minute belongs to the interval it begins in."""
    minutes = values(azure, "TotalCalls", "Total", start_s=NOON_S - 240, interval_s=60)
    assert minutes == {(): [None, 2.0, None, 4.0]}
    assert values(azure, "TotalCalls", "Total", start_s=NOON_S, end_s=NOON_S + 300) == {}


@pytest.mark.parametrize(
    ("metric", "aggregation", "expected"),
    [
        ("requests/count", "Count", [1.0, 5.0]),
        ("requests/failed", "Count", [None, 2.0]),
        ("requests/duration", "Average", [600.0, 300.0]),
        ("requests/duration", "Maximum", [600.0, 500.0]),
        ("dependencies/count", "Count", [None, 3.0]),
        ("dependencies/failed", "Count", [None, 1.0]),
        ("dependencies/duration", "Minimum", [None, 100.0]),
        ("traces/count", "Count", [None, 1.0]),
        ("exceptions/count", "Count", [None, 1.0]),
        ("performanceCounters/processPrivateBytes", "Average", [None, 15.0]),
    ],
)
def test_values_of_a_component(azure: Azure, metric: str, aggregation: str, expected: list[float | None]) -> None:
    """From its telemetry, nobody else's."""
    send(azure)
    assert values(azure, metric, aggregation, resource_id=COMPONENT.upper()) == {(): expected}
    assert values(azure, metric, aggregation, resource_id=f"{COMPONENT}-2") == {}


def send(azure: Azure) -> None:
    """Telemetry of ten minutes: six calls, the first of them six minutes ago."""
    send_calls(azure.telemetry, NOON_S - 30)
    counters = [{"name": r"\Process(python)\Private Bytes", "value": value} for value in (10.0, 20.0)]
    points = [
        {"name": "gen_ai.client.token.usage", "value": 30.0, "count": 2, "min": 10.0, "max": 20.0},
        {"name": "gen_ai.client.token.usage", "value": 5.0, "count": 1, "min": 5.0, "max": 5.0},
    ]
    at_s = NOON_S - 90
    sent = [
        item("MessageData", at_s, message="slow", severityLevel=2),
        item("ExceptionData", at_s, exceptions=[{"typeName": "ValueError", "message": "no"}]),
        item("MetricData", at_s, metrics=counters),
        item("MetricData", at_s, metrics=points[:1], properties={"gen_ai.token.type": "input"}),
        item("MetricData", at_s, metrics=points[1:], properties={"gen_ai.token.type": "output"}),
    ]
    assert azure.telemetry.add_all(sent) == {}


def test_component_metrics_are_split_by_their_columns(azure: Azure) -> None:
    """As the portal does."""
    send(azure)
    found = values(
        azure, "requests/count", "Count", resource_id=COMPONENT, split_by=["request/success", "request/resultCode"]
    )
    assert found == {("False", "500"): [None, 2.0], ("True", "200"): [1.0, 3.0]}
    traces = values(azure, "traces/count", "Count", resource_id=COMPONENT, split_by=["trace/severityLevel"])
    assert traces == {("2",): [None, 1.0]}


def test_custom_metrics_have_the_dimensions_they_are_sent_with(azure: Azure) -> None:
    """In a namespace of their own."""
    send(azure)
    given: dict[str, Any] = {"resource_id": COMPONENT, "namespace": "Azure.ApplicationInsights"}
    name = "gen_ai.client.token.usage"
    assert values(azure, name, "Total", **given) == {(): [None, 35.0]}
    assert values(azure, name, "Average", **given) == {(): [None, pytest.approx(35 / 3)]}
    by_type = values(azure, name, "Maximum", split_by=["gen_ai.token.type"], **given)
    assert by_type == {("input",): [None, 20.0], ("output",): [None, 5.0]}
    assert values(azure, name, "Total", split_by=["a'); DROP TABLE x; --"], **given) == {("",): [None, 35.0]}
    assert values(azure, "unsent", "Total", **given) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metric": "Requests"}, "Failed to find metric configuration for provider: Microsoft.CognitiveServices"),
        ({"metric": "Requests"}, "resource Type: accounts, metric: Requests, Valid metrics: AzureOpenAIRequests,"),
        (
            {"metric": "TotalCalls", "split_by": ["StatusCode"]},
            "no dimension 'StatusCode'. It has: OperationName, Region",
        ),
        ({"metric": "TotalCalls", "namespace": "microsoft.web/sites"}, "namespace 'microsoft.web/sites'"),
        ({"metric": "x", "namespace": "azure.applicationinsights"}, "namespace 'azure.applicationinsights'"),
    ],
)
def test_what_there_is_not_is_named(azure: Azure, given: dict[str, Any], said: str) -> None:
    """With what there is."""
    with pytest.raises(UnknownMetricError) as refused:
        values(azure, given.pop("metric"), "Total", **given)
    assert said in str(refused.value)


def test_known_metrics_without_a_source_have_no_data(azure: Azure) -> None:
    """A provisioned deployment's utilisation, of an account that has none."""
    assert values(azure, "AzureOpenAIProvisionedManagedUtilizationV2", "Average") == {}


def test_every_defined_metric_can_be_asked_by_every_dimension(azure: Azure) -> None:
    """No definition promises what the values do not have."""
    send(azure)
    for resource_id, kind in (
        (ACCOUNT_ID, "microsoft.cognitiveservices/accounts"),
        (COMPONENT, "microsoft.insights/components"),
    ):
        for metric in WITH_DATA[kind]:
            found = values(
                azure, metric.name, metric.aggregations[0], resource_id=resource_id, split_by=metric.dimensions
            )
            assert all(len(dimensions) == len(metric.dimensions) for dimensions in found)
