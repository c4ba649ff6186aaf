"""Accounts and deployments: what may be, what may not, and how long it takes."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.resources import ACCOUNT
from labkit.localazure.state import Azure
from tests.localazure.conftest import Answer, Caller, deployment

Arm = Callable[..., Answer]
ACCOUNTS = "Microsoft.CognitiveServices/accounts"
DEPLOYMENTS = f"{ACCOUNTS}/{ACCOUNT}/deployments"


def account(**changes: Any) -> dict[str, Any]:
    """The body of an account's PUT."""
    return {"location": "swedencentral", "kind": "OpenAI", "sku": {"name": "S0"}, "properties": {}, **changes}


# -- provisioning takes time ------------------------------------------------------------------------------------


def test_deployment_answers_when_it_is_ready(call: Caller, arm: Arm, clock: ManualClock) -> None:
    """Creating, then Succeeded; the inference face sees it from then on, and nobody may change it before."""
    call.azure.provisioning_s = 60.0
    made = arm("PUT", f"{DEPLOYMENTS}/big", deployment())
    assert (made.status, made.json["properties"]["provisioningState"]) == (201, "Creating")
    assert made.headers["retry-after"] == "1"
    operation = made.headers["azure-asyncoperation"].removeprefix("http://127.0.0.1:1")
    course = call.azure.resources.account()
    assert course is not None

    assert arm("GET", operation).json["status"] == "InProgress"
    assert arm("GET", f"{DEPLOYMENTS}/big").json["properties"]["provisioningState"] == "Creating"
    assert call.azure.resources.deployment(course, "big") is None
    for method in ("PUT", "PATCH", "DELETE"):
        assert arm(method, f"{DEPLOYMENTS}/big", deployment()).error == (409, "RequestConflict")

    clock.advance(60)
    assert arm("GET", operation).json["status"] == "Succeeded"
    assert arm("GET", f"{DEPLOYMENTS}/big").json["properties"]["provisioningState"] == "Succeeded"
    ready = call.azure.resources.deployment(course, "BIG")
    assert ready is not None
    assert (ready.name, ready.model.name, ready.capacity_ktpm) == ("big", "gpt-4-turbo", 10)
    assert arm("DELETE", f"{DEPLOYMENTS}/big").status == 200


def test_new_resource_starts_with_creating_even_when_it_takes_no_time(arm: Arm) -> None:
    """As the service does: clients must look again. Retry-After 0 lets them do so at once."""
    made = arm("PUT", f"{DEPLOYMENTS}/big", deployment())
    assert made.json["properties"]["provisioningState"] == "Creating"
    assert made.headers["retry-after"] == "0"
    again = arm("PUT", f"{DEPLOYMENTS}/big", deployment())
    assert (again.status, again.json["properties"]["provisioningState"]) == (200, "Succeeded")


# -- what a deployment may be -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("capacity", "stored"), [(40, 40), ("40", 40), (None, 1)], ids=["number", "text", "left out"])
def test_capacity_is_a_number_of_thousands(arm: Arm, capacity: object, stored: int) -> None:
    """Clients send a number or a text; without one it is 1."""
    assert arm("PUT", f"{DEPLOYMENTS}/d", deployment(capacity=capacity)).json["sku"]["capacity"] == stored


@pytest.mark.parametrize(
    ("name", "version", "meant"),
    [
        pytest.param("gpt-4", None, "turbo-2024-04-09", id="default of gpt-4"),
        pytest.param("gpt-4", "", "turbo-2024-04-09", id="empty"),
        pytest.param("gpt-4", "vision-preview", "vision-preview", id="asked for"),
        pytest.param("gpt-35-turbo", None, "0125", id="default of gpt-35-turbo"),
    ],
)
def test_version_left_out_is_the_default(arm: Arm, name: str, version: str | None, meant: str) -> None:
    """The stored deployment names a version, asked for or not."""
    made = arm("PUT", f"{DEPLOYMENTS}/d", deployment(name, version)).json
    assert made["properties"]["model"] == {"format": "OpenAI", "name": name, "version": meant}


def test_settings_of_an_older_api_version_are_understood(arm: Arm) -> None:
    """scaleSettings stood where sku stands today; the session's own text still has them."""
    body = deployment()
    del body["sku"]
    body["properties"]["scaleSettings"] = {"scaleType": "Standard", "capacity": 7}
    assert arm("PUT", f"{DEPLOYMENTS}/d", body).json["sku"] == {"name": "Standard", "capacity": 7}


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        pytest.param(deployment("gpt-9"), "DeploymentModelNotSupported", "gpt-35-turbo 0125", id="unknown model"),
        pytest.param(
            deployment("gpt-4", "latest"), "DeploymentModelNotSupported", "Version:latest", id="version latest"
        ),
        pytest.param(
            {"properties": {"model": {"name": "gpt-4"}}}, "DeploymentModelNotSupported", "Format:,", id="no format"
        ),
        pytest.param({"properties": {}}, "InvalidResourceProperties", "model.name", id="no model"),
        pytest.param({}, "InvalidResourceProperties", "model.name", id="empty"),
        pytest.param({"properties": []}, "InvalidRequestContent", "object", id="properties no object"),
        pytest.param(
            {**deployment(), "sku": {"name": "Premium"}}, "InvalidResourceProperties", "GlobalStandard", id="bad SKU"
        ),
        pytest.param({**deployment(), "sku": "Standard"}, "InvalidResourceProperties", "object", id="SKU no object"),
        pytest.param(deployment(capacity=0), "InvalidResourceProperties", "thousands of tokens", id="capacity 0"),
        pytest.param(deployment(capacity=-3), "InvalidResourceProperties", "at least 1", id="capacity negative"),
        pytest.param(deployment(capacity=2.5), "InvalidResourceProperties", "whole number", id="capacity 2.5"),
        pytest.param(deployment(capacity="many"), "InvalidResourceProperties", "whole number", id="capacity text"),
        pytest.param(
            deployment(capacity=40_000), "InsufficientQuota", "40000 new capacity", id="tokens, not thousands"
        ),
        pytest.param({**deployment(), "tags": ["a"]}, "InvalidRequestContent", "tags", id="tags no object"),
    ],
)
def test_impossible_deployments_are_refused(arm: Arm, body: object, code: str, said: str) -> None:
    """Each refusal has the service's code, says what would do, and leaves nothing behind."""
    refused = arm("PUT", f"{DEPLOYMENTS}/d", body)
    assert refused.error == (400, code)
    assert said in refused.json["error"]["message"]
    assert arm("GET", DEPLOYMENTS).json == {"value": []}


def test_quota_error_counts_like_the_service(arm: Arm) -> None:
    """The message has what is asked for, left, used and the limit; a change counts by its growth."""
    arm("PUT", f"{DEPLOYMENTS}/first", deployment(capacity=300))
    refused = arm("PUT", f"{DEPLOYMENTS}/second", deployment(capacity=240))
    quota = "Tokens Per Minute (thousands) - gpt-4-turbo - Standard"
    assert refused.json["error"]["message"] == (
        f"This operation require 240 new capacity in quota {quota}, which is bigger than the current available "
        f"capacity 150. The current quota usage is 300 and the quota limit is 450 for quota {quota}."
    )
    assert arm("PUT", f"{DEPLOYMENTS}/first", deployment(capacity=450)).status == 200
    refused = arm("PUT", f"{DEPLOYMENTS}/first", deployment(capacity=451))
    assert "require 1 new capacity" in refused.json["error"]["message"]
    other_sku = {**deployment(capacity=450), "sku": {"name": "GlobalStandard", "capacity": 450}}
    assert arm("PUT", f"{DEPLOYMENTS}/third", other_sku).status == 201


def test_quota_can_be_set_for_a_class(call: Caller, arm: Arm) -> None:
    """A teacher's quota replaces the catalogue's, for every model."""
    call.azure.quota_ktpm = 5
    assert arm("PUT", f"{DEPLOYMENTS}/d", deployment(capacity=6)).error == (400, "InsufficientQuota")
    assert arm("PUT", f"{DEPLOYMENTS}/d", deployment(capacity=5)).status == 201


# -- what an account may be -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(account(location=""), 400, "LocationRequired", id="no location"),
        pytest.param(account(location="mars"), 400, "LocationNotAvailableForResourceType", id="unknown region"),
        pytest.param(account(kind="Chat"), 400, "InvalidApiSetId", id="unknown kind"),
        pytest.param(account(sku={"name": "F0"}), 400, "SpecialFeatureOrQuotaIdRequired", id="bad SKU"),
        pytest.param(account(sku=None), 400, "SpecialFeatureOrQuotaIdRequired", id="no SKU"),
        pytest.param(
            account(properties={"customSubDomainName": ACCOUNT}), 409, "CustomDomainInUse", id="endpoint name taken"
        ),
    ],
)
def test_impossible_accounts_are_refused(arm: Arm, body: object, status: int, code: str) -> None:
    """Each with the service's code."""
    assert arm("PUT", f"{ACCOUNTS}/new", body).error == (status, code)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"location": "westeurope"}, (409, "InvalidResourceLocation")),
        ({"kind": "AIServices"}, (400, "UpdateKindNotAllowed")),
    ],
    ids=["location", "kind"],
)
def test_account_keeps_its_location_and_kind(arm: Arm, changes: dict[str, Any], error: tuple[int, str]) -> None:
    """They cannot be changed afterwards."""
    assert arm("PUT", f"{ACCOUNTS}/{ACCOUNT}", account(**changes)).error == error


def test_account_can_go_keyless(call: Caller, arm: Arm) -> None:
    """With disableLocalAuth the keys are neither listed nor accepted; they survive for when they are allowed again."""
    keys = arm("POST", f"{ACCOUNTS}/{ACCOUNT}/listKeys").json
    arm("PATCH", f"{ACCOUNTS}/{ACCOUNT}", {"properties": {"disableLocalAuth": True}})
    refused = arm("POST", f"{ACCOUNTS}/{ACCOUNT}/listKeys")
    assert refused.json["error"]["message"] == "Failed to list key. disableLocalAuth is set to be true"
    known = call.azure.resources.account()
    assert known is not None
    assert known.local_auth_disabled
    arm("PATCH", f"{ACCOUNTS}/{ACCOUNT}", {"properties": {"disableLocalAuth": None}})
    assert arm("POST", f"{ACCOUNTS}/{ACCOUNT}/listKeys").json == keys


def test_keys_differ_between_servers(call: Caller, clock: ManualClock) -> None:
    """They come from the system's randomness, not from the seed."""
    other = Azure(clock).resources.account()
    mine = call.azure.resources.account()
    assert mine is not None
    assert other is not None
    assert not set(mine.keys) & set(other.keys)


def test_renaming_a_key_that_does_not_exist_is_refused(arm: Arm) -> None:
    """There are two keys."""
    assert arm("POST", f"{ACCOUNTS}/{ACCOUNT}/regenerateKey", {"keyName": "Key3"}).error == (400, "BadRequest")


def test_skus_are_listed_for_account_and_deployment(arm: Arm) -> None:
    """What else the resource could be scaled to."""
    assert arm("GET", f"{ACCOUNTS}/{ACCOUNT}/skus").json["value"][0]["sku"]["name"] == "S0"
    arm("PUT", f"{DEPLOYMENTS}/d", deployment())
    skus = arm("GET", f"{DEPLOYMENTS}/d/skus").json["value"]
    assert [row["sku"]["name"] for row in skus] == ["Standard", "GlobalStandard", "DataZoneStandard"]
