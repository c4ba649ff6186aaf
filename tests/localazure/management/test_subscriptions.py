"""What stands above resources: the cloud, tenants, subscriptions, resource groups and providers."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.localazure.identity import MANAGEMENT, TENANT_ID
from labkit.localazure.resources import GROUP_ID, LOCATION, RESOURCE_GROUP, SUBSCRIPTION_ID

from ..conftest import Answer, Caller

SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"
Arm = Callable[..., Answer]


@pytest.mark.parametrize("path", ["/metadata/endpoints", "/Metadata/Endpoints/"])
def test_the_cloud_describes_itself_to_anybody(call: Caller, path: str) -> None:
    """Before signing in a client reads where the control plane is and for whom to ask a token (azure-cli#29283)."""
    cloud = call("GET", path, headers={"Host": "127.0.0.1:8443"}).json
    assert cloud["resourceManager"] == "http://127.0.0.1:8443/"
    assert cloud["authentication"]["audiences"] == list(MANAGEMENT)
    assert cloud["authentication"]["loginEndpoint"].startswith("http://127.0.0.1:8443")
    assert {"name", "suffixes"} <= cloud.keys()
    assert [entry.operation for entry in call.azure.journal] == ["cloud.read"]
    assert call("POST", path).error == (405, "HttpMethodNotAllowed")


def test_nothing_else_is_under_metadata(call: Caller) -> None:
    """The instance metadata service has its token and no more."""
    assert call("GET", "/metadata/instance").status == 404


def test_tenants_and_subscriptions_are_one_each(arm: Arm) -> None:
    """A client that signs in lists both."""
    assert [tenant["tenantId"] for tenant in arm("GET", "/tenants").json["value"]] == [TENANT_ID]
    (listed,) = arm("GET", "/subscriptions").json["value"]
    assert listed == arm("GET", SUBSCRIPTION).json
    assert (listed["subscriptionId"], listed["tenantId"], listed["state"]) == (SUBSCRIPTION_ID, TENANT_ID, "Enabled")


@pytest.mark.parametrize("path", ["/tenants", "/subscriptions", f"{SUBSCRIPTION}/providers"])
def test_a_token_is_needed(call: Caller, path: str) -> None:
    """As for every part of the control plane but the cloud's description."""
    assert call("GET", path, **{"api-version": "2022-12-01"}).error == (401, "AuthenticationFailed")


def test_the_resource_group_can_be_made_sure_of(arm: Arm, call: Caller) -> None:
    """`az group create` of the one that exists succeeds and changes nothing; `az group exists` answers."""
    made = arm("PUT", GROUP_ID, {"location": "Sweden Central"})
    assert made.status == 200
    assert made.json == arm("GET", GROUP_ID).json == arm("GET", f"{SUBSCRIPTION}/resourcegroups").json["value"][0]
    assert arm("HEAD", GROUP_ID).status == 204
    assert arm("HEAD", GROUP_ID.replace(RESOURCE_GROUP, "other")).status == 404
    assert [entry.operation for entry in call.azure.journal][0] == "resourceGroups.write"


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        pytest.param("PUT", GROUP_ID, {"location": "westeurope"}, (409, "InvalidResourceGroupLocation"), id="moved"),
        pytest.param("PUT", GROUP_ID, {"location": 5}, (409, "InvalidResourceGroupLocation"), id="no location"),
        pytest.param("PUT", GROUP_ID, [], (400, "InvalidRequestContent"), id="no object"),
        pytest.param(
            "PUT",
            f"{SUBSCRIPTION}/resourceGroups/other",
            {"location": LOCATION},
            (404, "ResourceGroupNotFound"),
            id="another",
        ),
        pytest.param("DELETE", GROUP_ID, None, (405, "HttpMethodNotAllowed"), id="delete"),
        pytest.param("PUT", SUBSCRIPTION, {}, (405, "HttpMethodNotAllowed"), id="subscription"),
        pytest.param("GET", f"{SUBSCRIPTION}/providers/Contoso.Web", None, (404, "InvalidResourceNamespace"), id="ns"),
        pytest.param("GET", f"{SUBSCRIPTION}/locations", None, (404, "InvalidResourceType"), id="path"),
    ],
)
def test_what_cannot_be_is_refused(arm: Arm, method: str, path: str, body: Any, expected: tuple[int, str]) -> None:
    """In Resource Manager's words."""
    assert arm(method, path, body).error == expected


def test_providers_are_registered(arm: Arm) -> None:
    """`az provider register` and `show` answer for every namespace there is, however it is spelled."""
    listed = {each["namespace"]: each for each in arm("GET", f"{SUBSCRIPTION}/providers").json["value"]}
    assert "Microsoft.CognitiveServices" in listed
    shown = arm("GET", f"{SUBSCRIPTION}/providers/microsoft.cognitiveservices").json
    assert shown == listed["Microsoft.CognitiveServices"]
    assert shown["registrationState"] == "Registered"
    assert {"accounts", "accounts/deployments"} <= {each["resourceType"] for each in shown["resourceTypes"]}
    registered = arm("POST", f"{SUBSCRIPTION}/providers/Microsoft.CognitiveServices/register")
    assert (registered.status, registered.json) == (200, shown)
    assert arm("GET", f"{SUBSCRIPTION}/providers/Microsoft.CognitiveServices/register").status == 405
