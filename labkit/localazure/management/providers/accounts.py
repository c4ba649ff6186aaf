"""Microsoft.CognitiveServices/accounts: the account a course works with, its keys, and what it can deploy."""

import os
import re
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from labkit.catalog import MODELS
from labkit.localazure.clock import iso
from labkit.localazure.errors import AzureError
from labkit.localazure.management.providers import models
from labkit.localazure.management.providers.base import (
    Act,
    Draft,
    ResourceType,
    bad_request,
    region,
    tags,
    text,
)
from labkit.localazure.resources import ACCOUNT, GROUP_ID, LOCATION, Account, Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

TYPE = "Microsoft.CognitiveServices/accounts"
_KINDS = ("OpenAI", "AIServices")
_READ_ONLY = ("provisioningState", "endpoint", "endpoints", "internalId", "dateCreated", "capabilities", "isMigrated")


def prepare(draft: Draft) -> Document:
    """The account to store. Refuses unknown kinds, SKUs and regions, and an endpoint name that is taken."""
    document: Document = {
        "location": region(draft, TYPE),
        "kind": _kind(draft),
        "sku": {"name": _sku(draft)},
        "tags": tags(draft),
        "properties": {k: v for k, v in draft.properties.items() if k not in _READ_ONLY},
    }
    if draft.body.get("identity"):
        document["identity"] = draft.body["identity"]
    _check_endpoint(draft, document["properties"])
    return document


def _kind(draft: Draft) -> str:
    kind = text(draft.body.get("kind"))
    if kind not in _KINDS:
        # microsoft/microsoft-foundry-for-vscode#165 (2025-09); the list is ours.
        raise bad_request(
            f"The account type '{kind}' is either invalid or unavailable in given region. "
            f"The local Azure knows: {', '.join(_KINDS)}.",
            "InvalidApiSetId",
        )
    if draft.old is not None and draft.old.document["kind"] != kind:
        # Azure/bicep#15446 (2024-10).
        raise bad_request("It's not allowed to update kind of API account.", "UpdateKindNotAllowed")
    return kind


def _sku(draft: Draft) -> str:
    sku = draft.body.get("sku")
    name = text(sku.get("name")) if isinstance(sku, dict) else ""
    if name != "S0":
        # microsoft/microsoft-foundry-for-vscode#159 (2025-09); what is allowed is ours.
        raise bad_request(
            f"The subscription does not have QuotaId/Feature required by SKU '{name}' from kind "
            f"'{draft.body.get('kind')}' or contains blocked QuotaId/Feature. The local Azure offers S0.",
            "SpecialFeatureOrQuotaIdRequired",
        )
    return name


def _check_endpoint(draft: Draft, properties: Document) -> None:
    wanted = text(properties.get("customSubDomainName")) or draft.name
    others = (a for a in draft.azure.resources.accounts() if a.id != draft.id)
    if any(other.endpoint_name.lower() == wanted.lower() for other in others):
        # Azure-Samples/azuresandbox#164 (2025-06).
        raise AzureError(
            409,
            "CustomDomainInUse",
            f"Please pick a different name. The subdomain name '{wanted}' is not available as it's already used by a "
            "resource. If the resource using the name was deleted in the last 48 hours, you may need to purge the "
            "deleted resource.",
        )


def endpoint_name(resource: Resource) -> str:
    """The name under which the account answers."""
    return text(resource.properties.get("customSubDomainName")) or resource.name


def saved(azure: "Azure", resource: Resource) -> None:
    """Give a new account its keys, and let the inference face find it."""
    if not resource.secrets:
        resource.secrets.update(key1=_new_key(), key2=_new_key())
    azure.resources.set_account(
        Account(
            id=resource.id,
            name=resource.name,
            endpoint_name=endpoint_name(resource),
            location=resource.document["location"],
            keys=(resource.secrets["key1"], resource.secrets["key2"]),
            local_auth_disabled=resource.properties.get("disableLocalAuth") is True,
        )
    )


def create_default(azure: "Azure") -> None:
    """Make the account that the course starts with."""
    now = azure.clock.now()
    stored: Document = {
        "location": LOCATION,
        "kind": "OpenAI",
        "sku": {"name": "S0"},
        "tags": {},
        "properties": {"customSubDomainName": ACCOUNT},
    }
    resource = Resource(f"{GROUP_ID}/providers/{TYPE}/{ACCOUNT}", TYPE, stored, now, now)
    azure.resources.put(resource)
    saved(azure, resource)


def removed(azure: "Azure", resource: Resource) -> None:
    """The inference face no longer finds the account, nor the responses it kept."""
    azure.resources.drop_account(resource.id)
    azure.responses.clear(resource.id)


def show(azure: "Azure", resource: Resource) -> Document:
    """The account as a GET answers it; its endpoint is where this server listens."""
    name = endpoint_name(resource)
    path = "" if name.lower() == ACCOUNT else f"accounts/{name}/"
    endpoint = f"{azure.url}/{path}"
    return {
        **resource.document,
        "properties": {
            "customSubDomainName": name,
            "publicNetworkAccess": "Enabled",
            "disableLocalAuth": False,
            **resource.properties,
            "endpoint": endpoint,
            "endpoints": {"OpenAI Language Model Instance API": endpoint, "OpenAI Model Scaleset API": endpoint},
            "internalId": uuid5(NAMESPACE_URL, resource.id.lower()).hex,
            "dateCreated": iso(resource.created_at_s),
            "isMigrated": False,
            "capabilities": [],
            "callRateLimit": {"rules": []},
        },
    }


def _new_key() -> str:
    return os.urandom(16).hex()


def _list_keys(act: Act) -> Document:
    if act.target.properties.get("disableLocalAuth") is True:
        # microsoft/microsoft-foundry-for-vscode#192 (2025-10).
        raise bad_request("Failed to list key. disableLocalAuth is set to be true")
    return dict(act.target.secrets)


def _regenerate_key(act: Act) -> Document:
    name = text(act.body.get("keyName"))
    if name.lower() not in ("key1", "key2"):
        raise bad_request(f"The keyName '{name}' is invalid. It is Key1 or Key2.")
    act.target.secrets[name.lower()] = _new_key()
    act.azure.resources.put(act.target)
    saved(act.azure, act.target)
    return dict(act.target.secrets)


def _models(act: Act) -> Document:
    return {"value": [models.account_model(model) for model in MODELS.values()]}


def _usages(act: Act) -> Document:
    return {"value": models.usages(act.azure, act.target.document["location"])}


def _skus(act: Act) -> Document:
    return {"value": [{"resourceType": TYPE, "sku": {"name": "S0", "tier": "Standard"}}]}


ACCOUNTS = ResourceType(
    name=TYPE,
    prepare=prepare,
    show=show,
    saved=saved,
    removed=removed,
    name_pattern=re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}"),
    name_rule="it has 2 to 64 letters, digits, '-', '_' or '.', and starts with a letter or digit",
    provisions=True,
    etag_name="etag",
    actions={
        "POST listKeys": _list_keys,
        "POST regenerateKey": _regenerate_key,
        "GET models": _models,
        "GET usages": _usages,
        "GET skus": _skus,
    },
)
