"""Microsoft.CognitiveServices/accounts/deployments: which model, under which name, with how much capacity."""

import re
from typing import TYPE_CHECKING

from labkit.catalog import MODELS, Model, by_azure
from labkit.localazure.management.providers import models
from labkit.localazure.management.providers.base import Act, Draft, ResourceType, bad_request, tags, text
from labkit.localazure.resources import Account, Deployment, Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

TYPE = "Microsoft.CognitiveServices/accounts/deployments"
_STORED = ("raiPolicyName", "versionUpgradeOption", "dynamicThrottlingEnabled")


def prepare(draft: Draft) -> Document:
    """The deployment to store: the model's version and the capacity are filled in when they were left out.

    Refuses models and versions that the catalogue lacks, SKUs that are not offered, and more capacity than the
    quota holds.
    """
    account = _account(draft.azure, draft.id)
    model = _model(draft)
    sku, capacity = _sku(draft, model, account)
    _check_quota(draft, account, model, sku, capacity)
    return {
        "sku": {"name": sku, "capacity": capacity},
        "tags": tags(draft),
        "properties": {
            "model": {"format": "OpenAI", "name": model.azure_name, "version": model.azure_version},
            "raiPolicyName": "Microsoft.DefaultV2",
            "versionUpgradeOption": "OnceNewDefaultVersionAvailable",
            **{name: draft.properties[name] for name in _STORED if draft.properties.get(name) is not None},
        },
    }


def _account(azure: "Azure", id: str) -> Account:
    return next(account for account in azure.resources.accounts() if account.id == _account_id(id))


def _account_id(id: str) -> str:
    return id.rsplit("/", 2)[0]


def _model(draft: Draft) -> Model:
    asked = draft.properties.get("model")
    if not isinstance(asked, dict) or not text(asked.get("name")):
        raise bad_request("The deployment's properties.model.name is required.", "InvalidResourceProperties")
    name, version, format = text(asked["name"]), text(asked.get("version")), text(asked.get("format"))
    found = by_azure(name, version) if format == "OpenAI" else None
    if found is None:
        # microsoft/microsoft-foundry-for-vscode#497 (2026-04); the list of what there is is ours.
        known = ", ".join(f"{model.azure_name} {model.azure_version}" for model in MODELS.values())
        raise bad_request(
            f"The model 'Format:{format},Name:{name},Version:{version}' of account deployment is not supported. "
            f"Format OpenAI has: {known}.",
            "DeploymentModelNotSupported",
        )
    return found


def _sku(draft: Draft, model: Model, account: Account) -> tuple[str, int]:
    # API versions before 2023-05-01 had scaleSettings (scaleType, capacity) where there is a sku today.
    older = draft.properties.get("scaleSettings")
    older = {"name": older.get("scaleType"), "capacity": older.get("capacity")} if isinstance(older, dict) else {}
    sku = draft.body.get("sku") or older
    if not isinstance(sku, dict):
        raise bad_request("The deployment's sku must be an object with name and capacity.", "InvalidResourceProperties")
    name = text(sku.get("name")) or "Standard"  # a sku left out means Standard: Azure/bicep#16642 (2025-03)
    if name not in models.SKUS:
        # Azure-Samples/azure-search-openai-demo#1840 (2024-07); the list of what there is is ours.
        raise bad_request(
            f"The specified SKU '{name}' for model '{model.azure_name} {model.azure_version}' is not supported in this "
            f"region '{account.location}'. Supported here: {', '.join(models.SKUS)}.",
            "InvalidResourceProperties",
        )
    return name, _capacity(sku.get("capacity"))


def _capacity(given: object) -> int:
    """Thousands of tokens per minute; clients send a number, some a string (FACTS.md, section 3)."""
    if given is None:
        return 1
    if isinstance(given, str) and given.strip().isdecimal():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise bad_request(
            f"The specified capacity '{given}' of account deployment is invalid. It is a whole number of thousands of "
            "tokens per minute, at least 1.",
            "InvalidResourceProperties",
        )
    return given


def _check_quota(draft: Draft, account: Account, model: Model, sku: str, capacity: int) -> None:
    limit = models.quota_ktpm(draft.azure, model)
    others = models.used_ktpm(draft.azure, account.location, sku, model, besides=draft.id)
    if others + capacity <= limit:
        return
    used = models.used_ktpm(draft.azure, account.location, sku, model)
    quota = models.quota_name(sku, model)
    # Azure-Samples/azure-openai-rag-workshop#40 (2024-11): the service's own words, slips included.
    raise bad_request(
        f"This operation require {capacity - (used - others)} new capacity in quota {quota}, which is bigger than the "
        f"current available capacity {max(0, limit - used)}. The current quota usage is {used} and the quota limit is "
        f"{limit} for quota {quota}.",
        "InsufficientQuota",
    )


def saved(azure: "Azure", resource: Resource) -> None:
    """Let the inference face answer for the deployment once it is ready."""
    azure.resources.set_deployment(
        Deployment(
            id=resource.id,
            name=resource.name,
            account_id=_account_id(resource.id),
            model=_stored_model(resource),
            sku=resource.document["sku"]["name"],
            capacity_ktpm=resource.document["sku"]["capacity"],
            ready_at_s=resource.ready_at_s,
        )
    )


def removed(azure: "Azure", resource: Resource) -> None:
    """The inference face no longer answers for the deployment."""
    azure.resources.drop_deployment(_account_id(resource.id), resource.name)


def show(azure: "Azure", resource: Resource) -> Document:
    """The deployment as a GET answers it, with the rate limits that its capacity comes to."""
    model = _stored_model(resource)
    capacity = resource.document["sku"]["capacity"]
    requests = max(1, round(capacity * model.rpm_per_ktpm / 6))
    return {
        **resource.document,
        "properties": {
            **resource.properties,
            "capabilities": models.capabilities(model),
            "currentCapacity": capacity,
            "rateLimits": [
                {"key": "request", "renewalPeriod": 10.0, "count": float(requests)},
                {"key": "token", "renewalPeriod": 60.0, "count": float(capacity * 1000)},
            ],
        },
    }


def _skus(act: Act) -> Document:
    capacity = models.capacity_range(_stored_model(act.target))
    return {"value": [{"resourceType": TYPE, "sku": {"name": sku}, "capacity": capacity} for sku in models.SKUS]}


def _stored_model(resource: Resource) -> Model:
    model = by_azure(resource.properties["model"]["name"], resource.properties["model"]["version"])
    assert model is not None  # prepare() let nothing else in
    return model


DEPLOYMENTS = ResourceType(
    name=TYPE,
    prepare=prepare,
    show=show,
    saved=saved,
    removed=removed,
    name_pattern=re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}"),
    name_rule="it has 1 to 64 letters, digits, '-', '_' or '.', and starts with a letter or digit",
    provisions=True,
    etag_name="etag",
    actions={"GET skus": _skus},
)
