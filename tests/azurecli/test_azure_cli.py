"""The Azure CLI, unmodified, does what a session of the course needs; docs/azure-cli.md shows the same commands."""

from typing import Any

import pytest

from labkit.localazure.identity import TENANT_ID
from labkit.localazure.resources import ACCOUNT, GROUP_ID, LOCATION, RESOURCE_GROUP, SUBSCRIPTION_ID

from .conftest import AzureCli

pytestmark = pytest.mark.slow

GROUP = ("--resource-group", RESOURCE_GROUP)
ON_ACCOUNT = ("--name", ACCOUNT, *GROUP)
BUDGETS = f"{GROUP_ID}/providers/Microsoft.Consumption/budgets"


def deploy(az: AzureCli, name: str, capacity: int = 10) -> Any:
    """Make a deployment of gpt-4o-mini."""
    model = ("--model-format", "OpenAI", "--model-name", "gpt-4o-mini", "--model-version", "2024-07-18")
    sku = ("--sku-name", "Standard", "--sku-capacity", str(capacity))
    return az(
        "cognitiveservices", "account", "deployment", "create", *ON_ACCOUNT, "--deployment-name", name, *model, *sku
    )


def test_signed_in_with_the_managed_identity(az: AzureCli) -> None:
    """The subscription and the tenant are the local Azure's."""
    shown = az("account", "show")
    assert (shown["id"], shown["tenantId"]) == (SUBSCRIPTION_ID, TENANT_ID)
    assert shown["environmentName"] == "LocalAzure"
    assert shown["user"] == {
        "assignedIdentityInfo": "MSI",
        "name": "systemAssignedIdentity",
        "type": "servicePrincipal",
    }
    assert [each["id"] for each in az("account", "list")] == [SUBSCRIPTION_ID]
    assert az("account", "get-access-token")["tenant"] == TENANT_ID


def test_the_resource_group_is_there(az: AzureCli) -> None:
    """Shown, listed, and made sure of; another one is refused by name."""
    shown = az("group", "show", "--name", RESOURCE_GROUP)
    assert shown["id"] == GROUP_ID
    assert az("group", "list") == [shown]
    assert az("group", "exists", "--name", RESOURCE_GROUP) is True
    assert az("group", "exists", "--name", "other") is False
    assert az("group", "create", "--name", RESOURCE_GROUP, "--location", LOCATION) == shown
    refused = az.run("group", "create", "--name", "other", "--location", LOCATION)
    assert refused.status != 0
    assert f"The local Azure has '{RESOURCE_GROUP}'" in refused.errors


def test_the_provider_is_registered(az: AzureCli) -> None:
    """What real subscriptions need once."""
    az("provider", "register", "--namespace", "Microsoft.CognitiveServices")
    assert az("provider", "show", "--namespace", "Microsoft.CognitiveServices")["registrationState"] == "Registered"


def test_an_account_is_made_and_deleted(az: AzureCli) -> None:
    """Create, show, list, keys, delete."""
    second = ("--name", "second", *GROUP)
    options = ("--kind", "OpenAI", "--sku", "S0", "--location", LOCATION, "--custom-domain", "second", "--yes")
    made = az("cognitiveservices", "account", "create", *second, *options)
    assert made["properties"]["endpoint"] == f"{az.url}/accounts/second/"
    assert az("cognitiveservices", "account", "show", *second)["id"] == made["id"]
    assert {each["name"] for each in az("cognitiveservices", "account", "list", *GROUP)} == {ACCOUNT, "second"}
    keys = az("cognitiveservices", "account", "keys", "list", *second)
    fresh = az("cognitiveservices", "account", "keys", "regenerate", *second, "--key-name", "key1")
    assert fresh["key1"] != keys["key1"]
    assert fresh["key2"] == keys["key2"]
    az("cognitiveservices", "account", "delete", *second)
    assert [each["name"] for each in az("cognitiveservices", "account", "list")] == [ACCOUNT]


def test_models_and_quota_are_listed(az: AzureCli) -> None:
    """What can be deployed, and how much of it is left."""
    models = az("cognitiveservices", "account", "list-models", *ON_ACCOUNT)
    assert "gpt-4o-mini" in {model["name"] for model in models}
    assert az("cognitiveservices", "model", "list", "--location", LOCATION)
    usages = az("cognitiveservices", "usage", "list", "--location", LOCATION)
    assert {"OpenAI.Standard.gpt-4o-mini"} <= {usage["name"]["value"] for usage in usages}


def test_a_deployment_is_made_listed_shown_and_deleted(az: AzureCli) -> None:
    """The session's first exercise, from a terminal."""
    made = deploy(az, "from-az")
    assert (made["sku"]["name"], made["sku"]["capacity"]) == ("Standard", 10)
    here = ("--deployment-name", "from-az", *ON_ACCOUNT)
    shown = az("cognitiveservices", "account", "deployment", "show", *here)
    assert (shown["id"], shown["properties"]["provisioningState"]) == (made["id"], "Succeeded")
    listed = az("cognitiveservices", "account", "deployment", "list", *ON_ACCOUNT)
    assert [each["name"] for each in listed] == ["from-az"]
    az("cognitiveservices", "account", "deployment", "delete", *here)
    gone = az.run("cognitiveservices", "account", "deployment", "show", *here)
    assert gone.status == 3  # the CLI's own status for what is not found
    assert "ResourceNotFound" in gone.errors


def test_too_much_capacity_is_refused_in_azures_words(az: AzureCli) -> None:
    """The CLI shows the service's error."""
    with pytest.raises(AssertionError, match="InsufficientQuota"):
        deploy(az, "huge", capacity=10_000_000)


def test_a_budget_is_made_shown_and_deleted(az: AzureCli) -> None:
    """With the command for budgets, which is old and writes lower-case words, and with `az rest`."""
    named = ("--budget-name", "term", *GROUP)
    terms = ("--amount", "5", "--category", "cost", "--time-grain", "monthly")
    dates = ("--start-date", "2026-11-01", "--end-date", "2027-11-01")
    made = az("consumption", "budget", "create", *named, *terms, *dates)
    assert float(made["amount"]) == 5
    assert az("consumption", "budget", "show", *named)["id"] == made["id"]
    assert [each["name"] for each in az("consumption", "budget", "list", *GROUP)] == ["term"]
    az("consumption", "budget", "delete", *named)
    listed = az("rest", "--method", "get", "--url", f"{BUDGETS}?api-version=2024-08-01")
    assert listed["value"] == []


def test_metrics_are_listed(az: AzureCli) -> None:
    """What the account's metrics are, and one of them by the minute."""
    account = f"{GROUP_ID}/providers/Microsoft.CognitiveServices/accounts/{ACCOUNT}"
    names = [each["name"]["value"] for each in az("monitor", "metrics", "list-definitions", "--resource", account)]
    assert "TotalTokens" in names
    asked = ("--metric", "TotalTokens", "--interval", "PT1M", "--aggregation", "Total")
    found = az("monitor", "metrics", "list", "--resource", account, *asked)
    assert [each["name"]["value"] for each in found["value"]] == ["TotalTokens"]


def test_alerts_are_made(az: AzureCli) -> None:
    """An action group and a metric alert that uses it."""
    hook = ("--action", "webhook", "ops", "http://127.0.0.1:9/hook")
    group = az("monitor", "action-group", "create", "--name", "ops", *GROUP, *hook)
    account = f"{GROUP_ID}/providers/Microsoft.CognitiveServices/accounts/{ACCOUNT}"
    condition = ("--condition", "total TokenTransaction > 1000", "--action", group["id"])
    az("monitor", "metrics", "alert", "create", "--name", "tokens", *GROUP, "--scopes", account, *condition)
    (alert,) = az("monitor", "metrics", "alert", "list", *GROUP)
    assert [each["actionGroupId"] for each in alert["actions"]] == [group["id"]]
    az("monitor", "metrics", "alert", "delete", "--name", "tokens", *GROUP)
    az("monitor", "action-group", "delete", "--name", "ops", *GROUP)
