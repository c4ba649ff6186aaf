"""The control plane: errors of Azure Resource Manager and of the resource types, and the headers of its answers."""

import dataclasses
from typing import Any

import pytest

from labkit.localazure.resources import ACCOUNT, GROUP_ID, SUBSCRIPTION_ID
from labkit.localazure.state import Azure
from tests.localazure.conformance.cases import Case, check, error, text
from tests.localazure.conformance.sent import INFERENCE, UUID, arm
from tests.localazure.conftest import ACCOUNT_ID, Caller, deployment

RPC = "azure-resource-manager-rpc v1.0, common-api-details, read 2026-11-22"
ACCOUNTS = "Microsoft.CognitiveServices/accounts"
DEPLOYMENTS = f"{ACCOUNTS}/{ACCOUNT}/deployments"
PROVIDER = f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.CognitiveServices"
CHALLENGE = {"www-authenticate": text(r'^Bearer authorization_uri="https://.+", error="invalid_token"$')}
# Of a model that has its whole quota left.
SMALL = deployment("gpt-4.1", "2025-04-14")


def account(**changes: Any) -> dict[str, Any]:
    """The body of an account's PUT."""
    return {"location": "swedencentral", "kind": "OpenAI", "sku": {"name": "S0"}, "properties": {}, **changes}


def slow(azure: Azure) -> None:
    """A deployment is still being made."""
    azure.provisioning_s = 60.0
    caller = Caller(azure)
    token = azure.identity.issue("https://management.azure.com")["access_token"]
    path = f"{ACCOUNT_ID}/deployments/d?api-version=2025-09-01"
    assert caller("PUT", path, SMALL, headers={"Authorization": f"Bearer {token}"}).status == 201


def with_keyless_account(azure: Azure) -> None:
    """The course's account takes no keys."""
    resource = azure.resources.get(ACCOUNT_ID)
    assert resource is not None
    resource.properties["disableLocalAuth"] = True


REQUESTS = (
    Case(
        "no api-version",
        arm("GET", "/subscriptions", version=""),
        400,
        "cloudquery/cloudquery#6626 (2023-01)",
        error(
            "MissingApiVersionParameter", r"^The api-version query parameter \(\?api-version=\) is required for all req"
        ),
    ),
    Case(
        "impossible api-version",
        arm("GET", "/subscriptions", version="latest"),
        400,
        "Azure/azure-cli#28038 (2023-12); which versions are supported is ours",
        error("InvalidApiVersionParameter", r"^The api-version 'latest' is invalid\."),
    ),
    Case(
        "no token",
        dataclasses.replace(arm("GET", "/subscriptions"), auth="none"),
        401,
        RPC,
        error("AuthenticationFailed", r"^Authentication failed\. The 'Authorization' header is missing\.$"),
        CHALLENGE,
    ),
    Case(
        "no token of this tenant",
        dataclasses.replace(arm("GET", "/subscriptions"), auth="none", headers={"Authorization": "Bearer a.b.c"}),
        401,
        "ours: the wording; the code and the challenge are Resource Manager's",
        error("InvalidAuthenticationToken", r"^The access token is invalid\.$"),
        CHALLENGE,
    ),
    Case(
        "token for another audience",
        dataclasses.replace(arm("GET", "/subscriptions"), auth=INFERENCE),
        401,
        "Azure-Samples/active-directory-dotnetcore-daemon-v2#145 (2022-11)",
        error(
            "InvalidAuthenticationTokenAudience",
            r"^The access token has been obtained for wrong audience or resource",
        ),
        CHALLENGE,
    ),
    Case(
        "expired token",
        dataclasses.replace(arm("GET", "/subscriptions"), auth="expired"),
        401,
        "Azure-Samples/active-directory-dotnetcore-daemon-v2#145 (2022-11)",
        error(
            "ExpiredAuthenticationToken",
            r"^The access token expiry UTC time '.+' is earlier than current UTC time '.+'",
        ),
        CHALLENGE,
    ),
    Case(
        "unknown subscription",
        arm("GET", "/subscriptions/00000000-0000-4000-8000-000000000099"),
        404,
        RPC,
        error("SubscriptionNotFound", r"^The subscription '0{8}-0{4}-4000-8000-0{10}99' could not be found\."),
    ),
    Case(
        "unknown resource group",
        arm("GET", f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg-x/providers/{ACCOUNTS}"),
        404,
        RPC,
        error("ResourceGroupNotFound", r"^Resource group 'rg-x' could not be found\."),
    ),
    Case(
        "resource group of another region",
        arm("PUT", GROUP_ID, {"location": "westeurope"}),
        409,
        "Azure/azure-cli#22242 (2022-05)",
        error(
            "InvalidResourceGroupLocation", r"^Invalid resource group location 'westeurope'\. The Resource group alre"
        ),
    ),
    Case(
        "unknown provider",
        arm("GET", "Microsoft.Nothing/things"),
        404,
        RPC,
        error("InvalidResourceNamespace", r"^The resource namespace 'Microsoft\.Nothing' is invalid\."),
    ),
    Case(
        "unknown type",
        arm("GET", "Microsoft.CognitiveServices/things"),
        404,
        RPC,
        error(
            "InvalidResourceType", r"^The resource type 'things' could not be found in the namespace 'Microsoft\.Cogn"
        ),
    ),
    Case(
        "wrong method",
        arm("DELETE", ACCOUNTS),
        405,
        "ours: the code; RFC 9110 has the status",
        error("HttpMethodNotAllowed", r"^The method 'DELETE' is not allowed for '"),
    ),
    Case(
        "body that is no object",
        arm("PUT", f"{ACCOUNTS}/new", []),
        400,
        RPC,
        error("InvalidRequestContent", r"^The request content was invalid and could not be deserialized: "),
    ),
    Case(
        "body over the limit",
        arm("PUT", f"{ACCOUNTS}/new", headers={"content-length": str(17 * 2**20)}),
        413,
        RPC,
        error("RequestContentTooLarge", r"^The request content size exceeds the maximum size of "),
    ),
)

RESOURCES = (
    Case(
        "no such resource",
        arm("GET", f"{ACCOUNTS}/nope"),
        404,
        RPC,
        error(
            "ResourceNotFound",
            r"^The Resource 'Microsoft\.CognitiveServices/accounts/nope' under resource group 'rg-session13' was not",
        ),
    ),
    Case(
        "no such parent",
        arm("PUT", f"{ACCOUNTS}/nope/deployments/d", deployment()),
        404,
        RPC,
        error(
            "ParentResourceNotFound",
            r"^Failed to perform 'write' on resource\(s\) of type 'accounts/deployments', because the parent resource",
        ),
    ),
    Case(
        "impossible name",
        arm("PUT", f"{ACCOUNTS}/-", account()),
        400,
        "ours: the code; Microsoft Learn, resource-name-rules, has the rule",
        error("InvalidResourceName", r"^The name '-' is invalid: it has 2 to 64 letters, digits"),
    ),
    Case(
        "resource still being made",
        arm("PUT", f"{DEPLOYMENTS}/d", SMALL),
        409,
        "Azure/bicep-types-az#2419 (2025-01)",
        error(
            "RequestConflict", r"because the resource entity provisioning state is not terminal\. Please wait for the "
        ),
        given=slow,
    ),
    Case(
        "no such operation",
        arm(
            "GET",
            f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.CognitiveServices/locations/x/operationStatuses/y",
        ),
        404,
        "ours: the code",
        error("OperationNotFound", r"^The operation 'y' was not found\.$"),
    ),
    Case(
        "no location",
        arm("PUT", f"{ACCOUNTS}/new", account(location=None)),
        400,
        RPC,
        error("LocationRequired", r"^The location property is required for this definition\.$"),
    ),
    Case(
        "unknown location",
        arm("PUT", f"{ACCOUNTS}/new", account(location="mars")),
        400,
        RPC,
        error(
            "LocationNotAvailableForResourceType", r"^The provided location 'mars' is not available for resource type '"
        ),
    ),
    Case(
        "location of an existing resource",
        arm("PUT", f"{ACCOUNTS}/{ACCOUNT}", account(location="westeurope")),
        409,
        RPC,
        error(
            "InvalidResourceLocation", r"already exists in location 'swedencentral'\. A resource with the same name can"
        ),
    ),
    Case(
        "too many resources",
        arm("PUT", f"{DEPLOYMENTS}/d", SMALL),
        409,
        "ours: the code and its wording; Microsoft Learn, azure-resource-groups-limits, has the limit",
        error("ResourceQuotaExceeded", r"; delete some first\.$"),
        given=lambda azure: [azure.resources.put(_numbered(azure, number)) for number in range(800)],
    ),
)

COGNITIVE_SERVICES = (
    Case(
        "unknown kind of account",
        arm("PUT", f"{ACCOUNTS}/new", account(kind="Toaster")),
        400,
        "microsoft/microsoft-foundry-for-vscode#165 (2025-09)",
        error("InvalidApiSetId", r"^The account type 'Toaster' is either invalid or unavailable in given region\."),
    ),
    Case(
        "another kind of account",
        arm("PUT", f"{ACCOUNTS}/{ACCOUNT}", account(kind="AIServices")),
        400,
        "Azure/bicep#15446 (2024-10)",
        error("UpdateKindNotAllowed", r"^It's not allowed to update kind of API account\.$"),
    ),
    Case(
        "SKU that the subscription does not have",
        arm("PUT", f"{ACCOUNTS}/new", account(sku={"name": "F0"})),
        400,
        "microsoft/microsoft-foundry-for-vscode#159 (2025-09)",
        error(
            "SpecialFeatureOrQuotaIdRequired",
            r"^The subscription does not have QuotaId/Feature required by SKU 'F0' fr",
        ),
    ),
    Case(
        "subdomain that is taken",
        arm("PUT", f"{ACCOUNTS}/new", account(properties={"customSubDomainName": ACCOUNT})),
        409,
        "Azure-Samples/azuresandbox#164 (2025-06)",
        error(
            "CustomDomainInUse",
            r"^Please pick a different name\. The subdomain name 'aoai-session13' is not available ",
        ),
    ),
    Case(
        "keys of an account without keys",
        arm("POST", f"{ACCOUNTS}/{ACCOUNT}/listKeys"),
        400,
        "microsoft/microsoft-foundry-for-vscode#192 (2025-10)",
        error("BadRequest", r"^Failed to list key\. disableLocalAuth is set to be true$"),
        given=with_keyless_account,
    ),
    Case(
        "unknown model",
        arm("PUT", f"{DEPLOYMENTS}/d", deployment("gpt-9", "1")),
        400,
        "microsoft/microsoft-foundry-for-vscode#497 (2026-04)",
        error(
            "DeploymentModelNotSupported", r"^The model 'Format:OpenAI,Name:gpt-9,Version:1' of account deployment is n"
        ),
    ),
    Case(
        "SKU that the region does not have",
        arm("PUT", f"{DEPLOYMENTS}/d", {**deployment(), "sku": {"name": "Premium", "capacity": 1}}),
        400,
        "Azure-Samples/azure-search-openai-demo#1840 (2024-07)",
        error(
            "InvalidResourceProperties", r"^The specified SKU 'Premium' for model 'gpt-4 turbo-2024-04-09' is not suppo"
        ),
    ),
    Case(
        "capacity over the quota",
        arm("PUT", f"{DEPLOYMENTS}/d", deployment(capacity=40_000)),
        400,
        "Azure-Samples/azure-openai-rag-workshop#40 (2024-11)",
        error(
            "InsufficientQuota",
            r"^This operation require 40000 new capacity in quota .+, which is bigger than the current available "
            r"capacity \d+\. The current quota usage is \d+ and the quota limit is \d+ for quota .+\.$",
        ),
    ),
)

HEADERS = (
    Case(
        "deployment under way",
        arm("PUT", f"{DEPLOYMENTS}/d", SMALL),
        201,
        "azure-resource-manager-rpc v1.0, async-api-reference, read 2026-11-22",
        headers={
            "azure-asyncoperation": text(r"^http://127\.0\.0\.1:1/subscriptions/.+/operationStatuses/.+\?api-version="),
            "retry-after": "1",
            "x-ms-request-id": UUID,
            "content-type": "application/json",
        },
        given=lambda azure: setattr(azure, "provisioning_s", 60.0),
    ),
    Case(
        "id of a request",
        arm("GET", ACCOUNTS),
        200,
        RPC,
        headers={"x-ms-request-id": UUID, "content-type": "application/json"},
    ),
    Case("id of a refused request", arm("GET", f"{ACCOUNTS}/nope"), 404, RPC, headers={"x-ms-request-id": UUID}),
)

CASES: tuple[Case, ...] = (*REQUESTS, *RESOURCES, *COGNITIVE_SERVICES, *HEADERS)


def _numbered(azure: Azure, number: int) -> Any:
    """A deployment's document, one of many."""
    course = azure.resources.get(ACCOUNT_ID)
    assert course is not None
    id = f"{ACCOUNT_ID}/deployments/d{number}"
    return dataclasses.replace(course, id=id, type=f"{ACCOUNTS}/deployments")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status, body and headers are those that the source shows."""
    check(case, call)
