"""The query face: the real LogsQueryClient over loopback, and what it is told when something is wrong."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryPartialResult, LogsQueryResult

from labkit.localazure import LocalAzure
from labkit.localazure.management.providers.components import DEFAULT_WORKSPACE
from labkit.localazure.resources import GROUP_ID
from labkit.localazure.telemetry import queries
from labkit.localazure.telemetry.scopes import customer_id
from tests.localazure.conftest import Answer, Caller, HttpBearerPolicy
from tests.localazure.telemetry.sending import COMPONENT, KEY, item, send_calls

AUDIENCE = "https://api.loganalytics.io"
DAY = timedelta(days=1)
WORKSPACE = customer_id(DEFAULT_WORKSPACE)
BODY = {"location": "swedencentral", "kind": "web"}


def make_component(call: Caller, name: str = "appi", **properties: Any) -> dict[str, Any]:
    """A component, as the control plane shows it."""
    token = call.azure.identity.issue("https://management.azure.com")["access_token"]
    path = f"{GROUP_ID}/providers/Microsoft.Insights/components/{name}?api-version=2020-02-02"
    answer = call("PUT", path, {**BODY, "properties": properties}, headers={"Authorization": f"Bearer {token}"})
    document: dict[str, Any] = answer.json
    return document


@pytest.fixture
def client(client_environment: LocalAzure) -> Iterator[LogsQueryClient]:
    """The real client, signed in, with telemetry to ask for."""
    azure = client_environment.azure
    make_component(Caller(azure))
    send_calls(azure.telemetry, azure.clock.now() - 5)
    with DefaultAzureCredential() as credential:
        policy = HttpBearerPolicy(credential, f"{AUDIENCE}/.default")
        endpoint = f"{client_environment.url}/v1"
        with LogsQueryClient(credential, endpoint=endpoint, authentication_policy=policy) as made:
            yield made


def rows(result: Any) -> list[list[Any]]:
    """The rows of a result's only table."""
    assert isinstance(result, LogsQueryResult)
    (table,) = result.tables
    return [list(row) for row in table.rows]


def test_a_component_is_queried_by_its_resource_id(client: LogsQueryClient) -> None:
    """Values come back as Python's own: times, numbers, booleans."""
    kql = "requests | where id == 'r1' | project timestamp, success, duration, customDimensions"
    result = client.query_resource(COMPONENT, kql, timespan=DAY)
    ((at, success, duration, properties),) = rows(result)
    assert isinstance(at, datetime)
    assert timedelta(0) < datetime.now(UTC) - at < timedelta(minutes=5)
    assert (success, duration) == (False, 200.0)
    assert '"gen_ai.request.model":"gpt-1"' in properties
    assert result.tables[0].columns_types == ["datetime", "bool", "real", "dynamic"]


def test_a_workspace_is_queried_by_its_id(client: LogsQueryClient) -> None:
    """Under Log Analytics' names, as are the columns."""
    kql = "AppRequests | summarize calls = count(), slowest = max(DurationMs) by AppRoleName"
    assert rows(client.query_workspace(WORKSPACE, kql, timespan=DAY)) == [["lab", 6, 600.0]]
    assert rows(client.query_resource(COMPONENT, "AppRequests | count", timespan=None)) == [[6]]


def test_the_time_span_bounds_the_query(client: LogsQueryClient) -> None:
    """A duration up to now, a start with a duration, a start with an end, or none."""
    now = datetime.now(UTC)
    spans: list[Any] = [
        timedelta(seconds=90),
        (now - timedelta(seconds=90), timedelta(seconds=90)),
        (now - timedelta(seconds=90), now),
    ]
    assert [rows(client.query_resource(COMPONENT, "requests | count", timespan=span)) for span in spans] == [[[2]]] * 3
    assert rows(client.query_resource(COMPONENT, "requests | count", timespan=None)) == [[6]]


def test_a_batch_answers_each_query_for_itself(client: LogsQueryClient) -> None:
    """Good ones with rows, bad ones with their error, in the order they were asked."""
    texts = ["AppRequests | count", "AppRequests | wherex", "AppDependencies | count"]
    batch = [LogsBatchQuery(WORKSPACE, text, timespan=DAY) for text in texts]
    lost = LogsBatchQuery("00000000-0000-0000-0000-000000000000", "print 1", timespan=DAY)
    first, second, third, fourth = client.query_batch([*batch, lost])
    assert (rows(first), rows(third)) == ([[6]], [[3]])
    assert (second.code, second.message) == ("BadArgumentError", "Query could not be parsed at 'wherex' on line [1,14]")
    assert fourth.code == "FailedToResolveResource"


def test_chart_and_statistics_come_when_asked_for(client: LogsQueryClient) -> None:
    """And only then."""
    kql = 'requests | summarize count() by bin(timestamp, 1m) | render timechart with (title = "Calls")'
    plain = client.query_resource(COMPONENT, kql, timespan=DAY)
    assert (plain.visualization, plain.statistics) == (None, None)
    full = client.query_resource(
        COMPONENT, kql, timespan=DAY, include_visualization=True, include_statistics=True, server_timeout=5
    )
    assert isinstance(full, LogsQueryResult)
    assert full.visualization is not None
    assert (full.visualization["visualization"], full.visualization["title"]) == ("timechart", "Calls")
    assert full.statistics is not None
    assert full.statistics["query"]["datasetStatistics"][0]["tableRowCount"] == 6


def test_a_mistake_in_the_query_raises_with_its_place(client: LogsQueryClient) -> None:
    """The SDK shows the innermost message."""
    with pytest.raises(HttpResponseError) as refused:
        client.query_resource(COMPONENT, "requests\n| where latency > 1", timespan=DAY)
    assert refused.value.status_code == 400
    assert refused.value.reason == "Bad Request"
    error = refused.value.response.json()["error"]  # type: ignore[union-attr]
    assert (error["code"], error["message"]) == ("BadArgumentError", "The request had some invalid properties")
    inner = error["innererror"]
    assert (inner["code"], inner["innererror"]["code"]) == ("SemanticError", "SEM0100")
    assert (inner["innererror"]["line"], inner["innererror"]["pos"]) == (2, 8)
    assert "'where' operator: Failed to resolve column" in str(refused.value)


def test_too_many_rows_are_a_partial_result(client: LogsQueryClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rows there are, and why there are no more."""
    monkeypatch.setattr(queries, "MAX_ROWS", 4)
    result = client.query_resource(COMPONENT, "requests", timespan=DAY)
    assert isinstance(result, LogsQueryPartialResult)
    assert len(result.partial_data[0].rows) == 4
    assert result.partial_error is not None
    assert result.partial_error.code == "PartialError"
    assert "E_QUERY_RESULT_SET_TOO_LARGE" in str(result.partial_error.details)


# -- without a client in between --------------------------------------------------------------------------------


@pytest.fixture
def query(call: Caller) -> Callable[..., Answer]:
    """Asks a path under /v1 with a token."""
    make_component(call)
    send_calls(call.azure.telemetry, call.azure.clock.now())

    def ask(path: str, kql: object = "requests | count", *, method: str = "POST", **body: Any) -> Answer:
        token = call.azure.identity.issue(AUDIENCE)["access_token"]
        return call(method, f"/v1/{path}", {"query": kql, **body}, headers={"Authorization": f"Bearer {token}"})

    return ask


def counted(answer: Answer) -> int:
    """The only value of the answer."""
    assert answer.status == 200, answer.json
    ((value,),) = answer.json["tables"][0]["rows"]
    return int(value)


def test_an_application_is_queried_by_its_id(call: Caller, query: Callable[..., Answer]) -> None:
    """Application Insights' own API, by POST and by GET."""
    app_id = make_component(call)["properties"]["AppId"]
    assert counted(query(f"apps/{app_id}/query")) == 6
    token = call.azure.identity.issue("https://api.applicationinsights.io")["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = call("GET", f"/v1/apps/{app_id}/query", headers=headers, query="requests | count", timespan="PT90S")
    assert counted(answer) == 2
    assert answer.json["tables"][0]["name"] == "PrimaryResult"


def test_a_scope_sees_its_own_components_only(call: Caller, query: Callable[..., Answer]) -> None:
    """A component its own, a workspace those that name it, a resource group all of them."""
    own = f"{GROUP_ID}/providers/Microsoft.OperationalInsights/workspaces/log-b"
    second = make_component(call, "second", WorkspaceResourceId=own)
    key = second["properties"]["InstrumentationKey"]
    call.azure.telemetry.add(item("RequestData", call.azure.clock.now(), key=key, id="x"))
    assert counted(query(f"{second['id']}/query")) == 1
    assert counted(query(f"{COMPONENT}/query")) == 6
    assert counted(query(f"{GROUP_ID}/query")) == 7
    for name in (customer_id(own), own, "log-b"):
        path = f"{name}/query" if name.startswith("/") else f"workspaces/{name}/query"
        assert counted(query(path, "AppRequests | count")) == 1
    both = query(f"workspaces/{WORKSPACE}/query", "AppRequests | count", workspaces=["log-b"])
    assert counted(both) == 7


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("workspaces/nobody/query", 400, "FailedToResolveResource"),
        ("apps/nobody/query", 400, "FailedToResolveResource"),
        (f"{COMPONENT}-gone/query", 400, "FailedToResolveResource"),
        ("query", 404, "PathNotFoundError"),
        ("workspaces/query", 404, "PathNotFoundError"),
        ("tables/x/query", 404, "PathNotFoundError"),
        ("workspaces/x", 404, "404"),
    ],
)
def test_unknown_scopes_and_paths(query: Callable[..., Answer], path: str, status: int, code: str) -> None:
    """azure-monitor/logs/api/batch-queries, "Example errors"."""
    assert query(path).error == (status, code)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"kql": None}, "'query' is required"),
        ({"timespan": "an hour"}, "no ISO 8601 duration"),
        ({"timespan": 7}, "'timespan' is a string"),
        ({"timespan": "2026-11-25/2026-11-24"}, "ends before it starts"),
        ({"workspaces": "x"}, "'workspaces' is a list"),
    ],
)
def test_bad_options_are_named(query: Callable[..., Answer], body: dict[str, Any], said: str) -> None:
    """400 with what was expected."""
    answer = query(f"{COMPONENT}/query", **body)
    assert answer.error == (400, "BadArgumentError")
    assert said in answer.json["error"]["innererror"]["message"]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'"x"'])
def test_bodies_that_are_no_objects(call: Caller, body: bytes) -> None:
    """The inner code is the service's."""
    make_component(call)
    token = call.azure.identity.issue(AUDIENCE)["access_token"]
    answer = call("POST", f"/v1{COMPONENT}/query", body=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.json["error"]["innererror"]["code"] == "InvalidJsonBody"


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"requests": 7},
        {"requests": ["x"]},
        {"requests": [{"id": "1"}, {"id": "1"}]},
        {"requests": [{"id": str(n)} for n in range(101)]},
    ],
)
def test_batches_that_are_none(query: Callable[..., Answer], batch: dict[str, Any]) -> None:
    """The whole batch fails."""
    assert query("$batch", **batch).error == (400, "BadArgumentError")


def test_members_of_a_batch_fail_alone(query: Callable[..., Answer]) -> None:
    """A wrong path or method is that member's 404."""
    good = {"workspace": WORKSPACE, "path": "/query", "method": "POST", "body": {"query": "AppRequests | count"}}
    members = [{**good, "id": "1"}, {**good, "id": "2", "path": "/fake"}, {**good, "id": "3", "method": "GET"}]
    members.append({"id": "4", "headers": 7, "body": 7, "path": "/query", "method": "post", "workspace": WORKSPACE})
    responses = query("$batch", requests=members).json["responses"]
    assert [(one["id"], one["status"]) for one in responses] == [("1", 200), ("2", 404), ("3", 404), ("4", 400)]


@pytest.mark.parametrize("header", [None, "Bearer x", "Bearer", "Basic eDp5", "management", "expired"])
def test_only_a_good_token_opens_it(call: Caller, header: str | None) -> None:
    """401 without one, 403 with a wrong one: signature, audience, expiry."""
    issued = call.azure.identity.issue("https://management.azure.com" if header == "management" else AUDIENCE)
    if header in ("management", "expired"):
        if header == "expired":
            call.azure.clock.advance(90_000)
        header = f"Bearer {issued['access_token']}"
    answer = call("POST", f"/v1{COMPONENT}/query", {}, headers={"Authorization": header} if header else {})
    assert answer.error == ((403, "InvalidTokenError") if header else (401, "AuthorizationRequiredError"))


def test_the_journal_tells_queries_from_ingestion(call: Caller, query: Callable[..., Answer]) -> None:
    """As operations of the telemetry face."""
    query(f"{COMPONENT}/query")
    (entry,) = call.azure.journal.after(face="telemetry")
    assert (entry.operation, entry.status, entry.auth) == ("query", 200, "entra")
    assert KEY not in entry.path
