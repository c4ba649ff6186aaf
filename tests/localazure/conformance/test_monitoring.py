"""Queries, alerts and budgets: their errors, in the shapes of the query APIs and of the control plane."""

from datetime import UTC, datetime
from typing import Any

import pytest

from labkit.localazure.management.providers import components
from labkit.localazure.resources import GROUP_ID, Document, Resource
from labkit.localazure.state import Azure
from tests.localazure.conformance.cases import Case, answer_to, check, error
from tests.localazure.conformance.sent import INFERENCE, Sent, arm
from tests.localazure.conftest import Caller

BATCH = "Microsoft Learn, azure-monitor/logs/api/batch-queries, read 2026-11-25"
LOGS = "https://api.loganalytics.io"
RESOURCE = f"/v1{GROUP_ID}/query"
BUDGET = f"{GROUP_ID}/providers/Microsoft.Consumption/budgets/lab"


def query(document: object, path: str = RESOURCE, *, auth: str = LOGS) -> Sent:
    """A KQL query."""
    return Sent("POST", path, document, auth=auth)


def budget(**changes: Any) -> dict[str, Any]:
    """The body of a budget's PUT."""
    period = {"startDate": "2000-01-01T00:00:00Z"}
    return {"properties": {"category": "Cost", "amount": 100, "timeGrain": "Monthly", "timePeriod": period, **changes}}


def with_component(azure: Azure) -> None:
    """Something that keeps telemetry."""
    document: Document = {"location": "swedencentral", "kind": "web", "properties": {}}
    azure.resources.put(Resource(f"{GROUP_ID}/providers/{components.TYPE}/appi", components.TYPE, document, 0.0, 0.0))


CASES = (
    Case(
        "query without a token",
        query({"query": "print 1"}, auth="none"),
        401,
        "ours: the wording; the batch API's page has the status",
        error("AuthorizationRequiredError", r"^Valid authentication was not provided\."),
        {"www-authenticate": "Bearer"},
    ),
    Case(
        "query with a token for something else",
        query({"query": "print 1"}, auth=INFERENCE),
        403,
        BATCH,
        error(
            "InvalidTokenError",
            r"^The provided authentication is not valid for this resource$",
            innererror={"code": "SignatureVerificationFailed", "message": "Could not validate the request"},
        ),
    ),
    Case(
        "query at no path",
        query({"query": "print 1"}, "/v1/nothing/query"),
        404,
        BATCH,
        error("PathNotFoundError", r"^The requested path does not exist$"),
    ),
    Case(
        "query of an unknown workspace",
        query({"query": "print 1"}, "/v1/workspaces/00000000-0000-0000-0000-000000000099/query"),
        400,
        BATCH,
        error("FailedToResolveResource", r"^Resource identity could not be resolved$"),
    ),
    Case(
        "query without a query",
        query({}),
        400,
        "ours: the inner code; the batch API's page has the outer one",
        error("BadArgumentError", r"^The request had some invalid properties$", innererror=...),
        given=with_component,
    ),
    Case(
        "unknown alert",
        arm("GET", "/providers/Microsoft.AlertsManagement/alerts/nope", version="2019-05-05-preview"),
        404,
        "ours: code and wording; the status is the API's",
        error("AlertNotFound", r"^There is no alert 'nope'\."),
    ),
    Case(
        "short name of an action group that is long",
        arm(
            "PUT",
            "Microsoft.Insights/actionGroups/lab",
            {"location": "Global", "properties": {"groupShortName": "a-very-long-name", "enabled": True}},
        ),
        400,
        "Azure/bellhop#72 (2021-04); Azure/AzureMonitorStarterPacks#109 (2023-12)",
        error(
            "GroupShortNameIsTooLong", r"^The action group short name 'a-very-long-name' is too long\. Please specify"
        ),
    ),
    Case(
        "budget that begins in the past",
        arm("PUT", BUDGET, budget()),
        400,
        "hashicorp/terraform-provider-azurerm#12121 (2021-06)",
        error("400", r"must be on or after June 1, 2017\.$"),
    ),
    Case(
        "budget that begins within a month",
        arm("PUT", BUDGET, budget(timePeriod={"startDate": "2026-11-02T00:00:00Z"})),
        400,
        "ours: the wording; Microsoft Learn, the API's page, has the rule",
        error("400", r"It must be the first day of a month\.$"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status, body and headers are those that the source shows."""
    check(case, call)


def test_budget_that_was_changed_since(call: Caller) -> None:
    """412: the wording is ours, the status that of any resource with an eTag (RFC 9110)."""
    now = datetime.fromtimestamp(call.azure.clock.now(), UTC)
    body = budget(timePeriod={"startDate": f"{now:%Y-%m}-01T00:00:00Z"})
    assert answer_to(Case("made", arm("PUT", BUDGET, body), 201, ""), call).status == 201
    stale = answer_to(Case("stale", arm("PUT", BUDGET, {**body, "eTag": '"old"'}), 412, ""), call)
    assert stale.error == (412, "412")
