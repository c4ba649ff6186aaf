"""The cost query: by deployment and day, by meter, within a time, filtered; and what it refuses."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.costmanagement import CostManagementClient
from azure.mgmt.costmanagement import models as costs

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.resources import GROUP_ID, SUBSCRIPTION_ID
from tests.localazure.conftest import ACCOUNT_ID, Answer, Caller
from tests.localazure.costs.spending import SMALL, use

Arm = Callable[..., Answer]
SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"
QUERY = "providers/Microsoft.CostManagement/query"
BY_DEPLOYMENT = {"type": "TagKey", "name": "deployment"}
DAY_S = 86_400


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands on Wednesday, 25 November 2026, at noon."""
    return ManualClock(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def rows(arm: Arm) -> Callable[..., list[list[Any]]]:
    """The rows of a query at a scope."""

    def ask(dataset: dict[str, Any] | None = None, scope: str = GROUP_ID, **changes: Any) -> list[list[Any]]:
        asked = {"type": "ActualCost", "timeframe": "MonthToDate", "dataset": dataset or {}, **changes}
        answer = arm("POST", f"{scope}/{QUERY}", asked)
        assert answer.status == 200, answer.json
        found: list[list[Any]] = answer.json["properties"]["rows"]
        return found

    return ask


def test_cost_by_deployment_and_day_with_the_real_sdk(sdk: Callable[..., Any], azure: LocalAzure) -> None:
    """Columns and rows as the service gives them: sums, the day as a number, the tag's key and value, the currency."""
    use(azure.azure, "chat")
    use(azure.azure, "chat", completion=100_000)
    use(azure.azure, "cheap", SMALL, prompt=2_000_000)
    client = sdk(CostManagementClient, subscription=False)
    dataset = costs.QueryDataset(
        granularity="Daily",
        aggregation={"totalCost": costs.QueryAggregation(name="Cost", function="Sum")},
        grouping=[costs.QueryGrouping(type="TagKey", name="deployment")],
    )
    asked = costs.QueryDefinition(type="ActualCost", timeframe="MonthToDate", dataset=dataset)
    result = client.query.usage(GROUP_ID, asked)
    assert [(column.name, column.type) for column in result.columns] == [
        ("Cost", "Number"),
        ("UsageDate", "Number"),
        ("TagKey", "String"),
        ("TagValue", "String"),
        ("Currency", "String"),
    ]
    today = int(f"{datetime.fromtimestamp(azure.azure.clock.now(), UTC):%Y%m%d}")
    assert result.rows == [[23.0, today, "deployment", "chat", "USD"], [1.0, today, "deployment", "cheap", "USD"]]
    assert result.next_link is None


def test_unknown_dimension_is_refused_by_name_through_the_real_sdk(sdk: Callable[..., Any]) -> None:
    """400 in the service's words (Azure/azure-rest-api-specs#32810), with the valid ones."""
    dataset = costs.QueryDataset(grouping=[costs.QueryGrouping(type="Dimension", name="Resource")])
    asked = costs.QueryDefinition(type="Usage", timeframe="MonthToDate", dataset=dataset)
    with pytest.raises(HttpResponseError) as refused:
        sdk(CostManagementClient, subscription=False).query.usage(SUBSCRIPTION, asked)
    assert (refused.value.status_code, refused.value.error.code) == (400, "BadRequest")
    assert refused.value.error.message.startswith(
        "Invalid query definition: Invalid dataset grouping: 'Resource'; valid values: 'ResourceGroup',"
    )


def test_meters_tell_prompts_cache_and_completions_apart(call: Caller, rows: Callable[..., Any]) -> None:
    """Each with its quantity in thousands of tokens."""
    use(call.azure, prompt=3_000, cached=1_000, completion=500)
    aggregation = {
        "cost": {"name": "PreTaxCost", "function": "Sum"},
        "quantity": {"name": "UsageQuantity", "function": "Sum"},
    }
    found = rows({"aggregation": aggregation, "grouping": [{"type": "Dimension", "name": "Meter"}]})
    assert found == [
        [0.02, 2.0, "gpt-4-turbo Inp glbl Tokens", "USD"],
        [0.015, 0.5, "gpt-4-turbo Outp glbl Tokens", "USD"],
        [0.01, 1.0, "gpt-4-turbo cchd Inp glbl Tokens", "USD"],
    ]


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ({"timeframe": "MonthToDate"}, [20261101, 20261121, 20261122, 20261125]),
        ({"timeframe": "WeekToDate"}, [20261122, 20261125]),
        ({"timeframe": "TheLastMonth"}, [20261031]),
        (
            {"timeframe": "Custom", "timePeriod": {"from": "2026-10-31T00:00:00Z", "to": "2026-11-01T00:00:00Z"}},
            [20261031, 20261101],
        ),
        ({"timeframe": "Custom", "timePeriod": {"from": "2026-11-02", "to": "2026-11-20"}}, []),
    ],
    ids=["month", "week", "last month", "custom", "nothing then"],
)
def test_timeframes_take_whole_days(
    call: Caller, rows: Callable[..., Any], changes: dict[str, Any], days: list[int]
) -> None:
    """In UTC; a custom period has its last day in it."""
    for text in ("2026-10-31T23:59:59", "2026-11-01", "2026-11-21T23:00", "2026-11-22", "2026-11-25T11:00"):
        use(call.azure, at_s=datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    assert [row[1] for row in rows({"granularity": "Daily"}, **changes)] == days


def test_months_are_written_as_their_first_moment(call: Caller, rows: Callable[..., Any]) -> None:
    """Granularity Monthly answers with BillingMonth."""
    use(call.azure)
    assert rows({"granularity": "Monthly"}) == [[10.0, "2026-11-01T00:00:00", "USD"]]


@pytest.mark.parametrize(
    ("scope", "cost"),
    [
        (SUBSCRIPTION, [[10.0, "USD"]]),
        (f"{SUBSCRIPTION}/", [[10.0, "USD"]]),
        (ACCOUNT_ID.upper().replace("/PROVIDERS/", "/providers/"), [[10.0, "USD"]]),
        (f"{ACCOUNT_ID}-other", []),
        ("/providers/Microsoft.Billing/billingAccounts/1", [[10.0, "USD"]]),
    ],
    ids=["subscription", "trailing slash", "account in capitals", "another account", "billing account"],
)
def test_scope_decides_what_counts(call: Caller, rows: Callable[..., Any], scope: str, cost: Any) -> None:
    """A subscription and a billing account hold everything, an account its own."""
    use(call.azure)
    assert rows(scope=scope) == cost


@pytest.mark.parametrize(
    ("filter", "deployments"),
    [
        ({"tags": {"name": "Deployment", "operator": "In", "values": ["CHAT"]}}, ["chat"]),
        ({"not": {"tags": {"name": "deployment", "operator": "In", "values": ["chat"]}}}, ["cheap"]),
        ({"dimensions": {"name": "resourceid", "operator": "In", "values": [ACCOUNT_ID]}}, ["chat", "cheap"]),
        (
            {
                "and": [
                    {"dimensions": {"name": "Meter", "operator": "In", "values": ["gpt-4-turbo Inp glbl Tokens"]}},
                    {"tags": {"name": "deployment", "operator": "In", "values": ["cheap", "chat"]}},
                ]
            },
            ["chat"],
        ),
        (
            {
                "or": [
                    {"tags": {"name": "deployment", "operator": "In", "values": ["cheap"]}},
                    {"tags": {"name": "team", "operator": "In", "values": ["blue"]}},
                ]
            },
            ["chat", "cheap"],
        ),
    ],
    ids=["tag", "not", "dimension", "and", "or with the account's tag"],
)
def test_filters_choose_charges(
    call: Caller, arm: Arm, rows: Callable[..., Any], filter: dict[str, Any], deployments: list[str]
) -> None:
    """By dimension and by tag, alone and combined; values in any case."""
    assert arm("PATCH", ACCOUNT_ID, {"tags": {"team": "blue"}}).status == 200
    use(call.azure, "chat")
    use(call.azure, "cheap", SMALL)
    found = rows({"filter": filter, "grouping": [BY_DEPLOYMENT]})
    assert [row[2] for row in found] == deployments


def test_usage_of_no_model_costs_nothing(call: Caller, rows: Callable[..., Any]) -> None:
    """Refused calls named no deployment; they are no charges."""
    use(call.azure, "", "", prompt=0)
    assert rows() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "Everything"}, "Invalid type: 'Everything'; valid values: 'Usage','ActualCost'"),
        ({"timeframe": "Tomorrow"}, "Invalid timeframe: 'Tomorrow'"),
        ({"timeframe": "Custom"}, "the timePeriod's from is a date"),
        ({"timeframe": "Custom", "timePeriod": {"from": "2026-11-02", "to": "2026-11-01"}}, "ends before it begins"),
        ({"timeframe": "Custom", "timePeriod": {"from": "2020-11-02", "to": "2026-11-01"}}, "longer than one year"),
        ({"timeframe": "Custom", "timePeriod": {"from": "0001-01-01T00:00:00+23:00", "to": "x"}}, "is a date"),
        ({"dataset": None}, "Dataset is invalid or not supplied"),
        ({"dataset": {"granularity": "Hourly"}}, "Invalid dataset granularity: 'Hourly'"),
        ({"dataset": {"aggregation": []}, "timeframe": "x"}, "Invalid timeframe"),
        ({"dataset": {"aggregation": {"a": "Cost"}}}, "up to 2 aggregation clauses"),
        ({"dataset": {"aggregation": {"a": {"name": "Love", "function": "Sum"}}}}, "dataset aggregation: 'Love'"),
        ({"dataset": {"aggregation": {"a": {"name": "Cost", "function": "Avg"}}}}, "the function 'Sum'"),
        ({"dataset": {"grouping": [BY_DEPLOYMENT] * 3}}, "up to 2 group by clauses"),
        ({"dataset": {"grouping": [{"type": "Dimension", "name": ["x"]}]}}, "Invalid dataset grouping"),
        ({"dataset": {"grouping": ["Meter"]}}, "up to 2 group by clauses"),
        ({"dataset": {"filter": {"dimensions": {}}}}, "one and only one of and/or/not/dimension/tag"),
        ({"dataset": {"filter": ["x"]}}, "one and only one of and/or/not/dimension/tag"),
        (
            {"dataset": {"filter": {"dimensions": {"name": "Mood", "operator": "In", "values": ["x"]}}}},
            "'Mood' is no dimension; valid values: 'ResourceGroup'",
        ),
        (
            {"dataset": {"filter": {"dimensions": {"name": "Meter", "operator": "Contains", "values": ["x"]}}}},
            "the operator 'In'",
        ),
        ({"dataset": {"filter": {"tags": {"name": "a", "operator": "In", "values": [1]}}}}, "texts in values"),
        ({"dataset": {"filter": {"and": [{"tags": {}}]}}}, "at least two"),
    ],
)
def test_impossible_queries_are_refused(arm: Arm, changes: dict[str, Any], said: str) -> None:
    """With BadRequest and the reason."""
    asked = {"type": "Usage", "timeframe": "MonthToDate", "dataset": {}, **changes}
    answer = arm("POST", f"{GROUP_ID}/{QUERY}", asked)
    assert answer.error == (400, "BadRequest")
    assert said in answer.json["error"]["message"]


def test_deep_filters_are_refused(arm: Arm) -> None:
    """Nesting is bounded."""
    nested: dict[str, Any] = {"tags": {"name": "a", "operator": "In", "values": ["b"]}}
    for _ in range(50):
        nested = {"not": nested}
    answer = arm(
        "POST", f"{GROUP_ID}/{QUERY}", {"type": "Usage", "timeframe": "MonthToDate", "dataset": {"filter": nested}}
    )
    assert answer.error == (400, "BadRequest")


def test_only_the_query_is_there(arm: Arm) -> None:
    """Other paths of the namespace name what there is; the query is a POST."""
    forecast = arm("POST", f"{GROUP_ID}/providers/Microsoft.CostManagement/forecast", {})
    assert forecast.error == (404, "InvalidResourceType")
    assert arm("GET", f"{GROUP_ID}/{QUERY}").error == (405, "HttpMethodNotAllowed")
    assert arm("POST", f"{GROUP_ID}/{QUERY}", body=b"[]").error == (400, "InvalidRequestContent")
