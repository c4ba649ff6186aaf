"""The managed-identity endpoints: what they ask for, what they give, and how they refuse."""

import dataclasses

import pytest

from tests.localazure.conformance.cases import Case, answer_to, check, text
from tests.localazure.conformance.sent import Sent
from tests.localazure.conftest import Caller

APP_SERVICE = "Microsoft Learn, app-service/overview-managed-identity, read 2026-11-22"
MACHINE = "Microsoft Learn, managed-identities-azure-resources/how-to-use-vm-token, read 2026-11-22"
RESOURCE = "resource=https%3A%2F%2Fmanagement.azure.com%2F"
TOKEN = {
    "access_token": text(r"^[\w-]+\.[\w-]+\.[\w-]+$"),
    "expires_on": text(r"^\d{10}$"),
    "expires_in": text(r"^\d+$"),
    "resource": "https://management.azure.com/",
    "token_type": "Bearer",
    "client_id": str,
    "not_before": text(r"^\d{10}$"),
}


def app_service(query: str = RESOURCE, *, method: str = "GET", auth: str = "identity") -> Sent:
    """A request as App Service's clients make it."""
    return Sent(method, f"/msi/token?api-version=2019-08-01&{query}", auth=auth)


def machine(query: str = RESOURCE, **headers: str) -> Sent:
    """A request as a virtual machine's clients make it."""
    path = f"/metadata/identity/oauth2/token?api-version=2018-02-01&{query}"
    return Sent("GET", path, headers={"Metadata": "true", **headers})


def refusal(code: str, message: str) -> dict[str, object]:
    """The body of a refusal: OAuth 2.0's names, and App Service's, which msal 1.39.0 (managed_identity.py) shows."""
    return {"error": code, "error_description": text(message), "statusCode": int, "message": text(message)}


CASES = (
    Case("token of App Service", app_service(), 200, APP_SERVICE, TOKEN),
    Case("token of a virtual machine", machine(), 200, MACHINE, TOKEN),
    Case(
        "no identity header",
        app_service(auth="none"),
        401,
        "ours: the wording; App Service asks for the header",
        refusal("unauthorized", r"^The header X-IDENTITY-HEADER is missing or wrong"),
    ),
    Case(
        "wrong identity header",
        dataclasses.replace(app_service(auth="none"), headers={"X-IDENTITY-HEADER": "wrong"}),
        401,
        "ours: the wording; App Service asks for the header",
        refusal("unauthorized", r"^The header X-IDENTITY-HEADER is missing or wrong"),
    ),
    Case(
        "no metadata header",
        machine(Metadata="no"),
        400,
        MACHINE,
        refusal("invalid_request", r"^Required metadata header not specified$"),
    ),
    Case(
        "no resource",
        app_service(""),
        400,
        MACHINE,
        refusal("invalid_request", r"^The query parameter resource is missing\.$"),
    ),
    Case(
        "unknown resource",
        app_service("resource=https://example.com"),
        400,
        "ours: the list of resources; Microsoft Learn, reference-error-codes, has AADSTS500011",
        refusal(
            "invalid_resource", r"^AADSTS500011: The resource principal named https://example\.com was not found in "
        ),
    ),
    Case(
        "wrong method",
        app_service(method="POST"),
        405,
        "ours: the wording; the endpoints are read with GET",
        refusal("invalid_request", r"^Method POST is not allowed; use GET\.$"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status and body are those that the source shows."""
    check(case, call)


def test_machines_protocol_is_not_for_a_class(call: Caller) -> None:
    """A server that is shared has no machine to speak for: the refusal is ours."""
    call.azure.identity.has_imds = False
    answer = answer_to(Case("shared", machine(), 403, ""), call)
    assert (answer.status, answer.json["error"]) == (403, "forbidden")
