"""One request of each kind that real clients send to the local Azure, for ``hostile.py`` to start from."""

from dataclasses import dataclass
from typing import Any

import serving

from labkit.localazure import LocalAzure
from labkit.localazure.resources import ACCOUNT, GROUP_ID

ACCOUNT_ID = f"{GROUP_ID}/providers/Microsoft.CognitiveServices/accounts/{ACCOUNT}"
DATED = "?api-version=2025-01-01-preview"
PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {"name": "get_weather", "description": "The weather in a city.", "parameters": SCHEMA}
SAID: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather in Kraków?"}]
LOOK = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
CONDITION = {
    "name": "c",
    "criterionType": "StaticThresholdCriterion",
    "metricName": "AzureOpenAIRequests",
    "timeAggregation": "Total",
    "operator": "GreaterThan",
    "threshold": 5,
}


@dataclass(frozen=True)
class Sample:
    """A request that is right. ``body`` None means that it has none."""

    method: str
    path: str
    query: str = DATED
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None

    @property
    def address(self) -> str:
        """Path and query."""
        return self.path + self.query


def samples(local: LocalAzure) -> list[Sample]:
    """The requests, with what opens the faces they go to. None of them asks for a key or a token."""
    opened = serving.deployed(local, ("gpt-35-turbo", "gpt-4.1", "gpt-5-mini", "text-embedding-3-small"))
    tokens = local.azure.identity
    management = tokens.issue("https://management.azure.com")["access_token"]
    logs = tokens.issue("https://api.loganalytics.io")["access_token"]
    return [
        *_inference((("api-key", opened["key"]),)),
        *_management((("authorization", f"Bearer {management}"),)),
        *_telemetry((("authorization", f"Bearer {logs}"),)),
        *_open_to_all(),
        *_lab((("x-labkit-key", local.lab_key),)),
    ]


def _inference(key: tuple[tuple[str, str], ...]) -> list[Sample]:
    chat = "/openai/deployments/gpt-4.1/chat/completions"
    embed = "/openai/deployments/text-embedding-3-small/embeddings"
    asked = {"type": "json_schema", "json_schema": {"name": "w", "strict": True, "schema": SCHEMA}}
    bodies: list[dict[str, Any]] = [
        {"messages": SAID, "temperature": 0, "max_tokens": 50},
        {"messages": SAID, "stream": True, "stream_options": {"include_usage": True}},
        {"messages": SAID, "tools": [{"type": "function", "function": TOOL}], "tool_choice": "required"},
        {"messages": SAID, "response_format": asked, "n": 2, "stop": ["x"]},
        {"messages": SAID, "logprobs": True, "top_logprobs": 3, "seed": 7},
        {"messages": [{"role": "user", "content": LOOK}]},
    ]
    texts = {"model": "gpt-4.1", "input": SAID[1]["content"], "max_output_tokens": 50, "previous_response_id": None}
    return [
        *(Sample("POST", chat, DATED, key, body) for body in bodies),
        Sample("POST", "/openai/deployments/gpt-5-mini/chat/completions", DATED, key, {"messages": SAID}),
        Sample("POST", "/openai/v1/chat/completions", "", key, {"model": "gpt-35-turbo", "messages": SAID}),
        Sample("POST", embed, DATED, key, {"input": ["a", "b"], "encoding_format": "base64", "dimensions": 64}),
        Sample("POST", "/openai/v1/responses", "", key, texts),
        Sample("POST", "/openai/responses", DATED, key, {**texts, "stream": True, "instructions": "Be brief."}),
        Sample("GET", "/openai/v1/models", "", key),
    ]


def _management(token: tuple[tuple[str, str], ...]) -> list[Sample]:
    made = f"{ACCOUNT_ID}/deployments/made"
    version = "?api-version=2025-09-01"
    insights = f"{GROUP_ID}/providers/Microsoft.Insights"
    group = {"location": "Global", "properties": {"groupShortName": "g", "enabled": True, "emailReceivers": []}}
    rule = {
        "location": "global",
        "properties": {
            "severity": 3,
            "enabled": True,
            "scopes": [ACCOUNT_ID],
            "evaluationFrequency": "PT1M",
            "windowSize": "PT5M",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [CONDITION],
            },
        },
    }
    budget = {"properties": {"category": "Cost", "amount": 5, "timeGrain": "Monthly", "notifications": {}}}
    query = {"type": "ActualCost", "timeframe": "MonthToDate", "dataset": {"granularity": "Daily"}}
    metrics = "?api-version=2024-02-01&metricnames=AzureOpenAIRequests&interval=PT1M&aggregation=Total"
    model = {"format": "OpenAI", "name": "gpt-4.1", "version": "2025-04-14"}
    deployment = {"sku": {"name": "Standard", "capacity": 1}, "properties": {"model": model}}
    return [
        Sample("PUT", made, version, token, deployment),
        Sample("GET", f"{ACCOUNT_ID}/deployments", version, token),
        Sample("PATCH", ACCOUNT_ID, version, token, {"tags": {"a": "b"}}),
        Sample("GET", "/subscriptions", "?api-version=2022-12-01", token),
        Sample(
            "PUT",
            f"{insights}/components/appi",
            "?api-version=2020-02-02",
            token,
            {"location": "swedencentral", "kind": "web"},
        ),
        Sample("PUT", f"{insights}/actionGroups/ag", "?api-version=2023-01-01", token, group),
        Sample("PUT", f"{insights}/metricAlerts/ma", "?api-version=2018-03-01", token, rule),
        Sample(
            "PUT", f"{GROUP_ID}/providers/Microsoft.Consumption/budgets/b", "?api-version=2024-08-01", token, budget
        ),
        Sample("POST", f"{GROUP_ID}/providers/Microsoft.CostManagement/query", "?api-version=2025-03-01", token, query),
        Sample("GET", f"{ACCOUNT_ID}/providers/Microsoft.Insights/metrics", metrics, token),
    ]


def _telemetry(token: tuple[tuple[str, str], ...]) -> list[Sample]:
    event = {"baseType": "EventData", "baseData": {"ver": 2, "name": "clicked", "properties": {"a": "b"}}}
    item = {"name": "x", "time": "2026-11-22T12:00:00Z", "iKey": "nobody", "tags": {}, "data": event}
    query = {"query": "dependencies | summarize count() by bin(timestamp, 1m)", "timespan": "PT1H"}
    return [
        Sample("POST", "/v2.1/track", "", (), [item, item]),
        Sample("POST", f"/v1{GROUP_ID}/providers/Microsoft.Insights/components/appi/query", "", token, query),
        Sample("POST", "/v1/workspaces/w/query", "", token, query),
        Sample("POST", "/v1/$batch", "", token, {"requests": [{"id": "1", "body": query, "workspace": "w"}]}),
    ]


def _open_to_all() -> list[Sample]:
    asked = "?resource=https://management.azure.com&api-version=2019-08-01"
    return [
        Sample("GET", "/msi/token", asked, (("x-identity-header", "guess"),)),
        Sample("GET", "/metadata/endpoints", "?api-version=2022-09-01"),
        Sample("GET", "/", ""),
        Sample("GET", "/labkit", ""),
        Sample("POST", "/labkit/faults", "", (("x-labkit-key", "guess"),), {"deployment": "gpt-4.1", "status": 503}),
    ]


def _lab(key: tuple[tuple[str, str], ...]) -> list[Sample]:
    return [
        Sample("GET", "/labkit/journal", "?after=3&limit=5", key),
        Sample(
            "POST", "/labkit/faults", "", key, {"deployment": "nobody", "kind": "status", "status": 429, "times": 1}
        ),
        Sample("POST", "/labkit/query", "", key, {"kql": "requests | take 5"}),
        Sample("GET", "/labkit/overview", "", key),
    ]
