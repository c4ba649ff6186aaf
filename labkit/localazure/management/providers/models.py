"""What a region offers: the catalogue's models in the control plane's words, and the quota that is used of them."""

from typing import TYPE_CHECKING

from labkit.catalog import MODELS, Model, by_azure
from labkit.localazure.management.providers.base import Act, ResourceType, known_region
from labkit.localazure.resources import Document

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

SKUS = ("Standard", "GlobalStandard", "DataZoneStandard")
_LIFE_CYCLE = {"available": "GenerallyAvailable", "legacy": "Deprecating", "retired": "Deprecated"}


def quota_ktpm(azure: "Azure", model: Model) -> int:
    """The quota of ``model`` for each SKU and region, in thousands of tokens per minute."""
    return model.quota_ktpm if azure.quota_ktpm is None else azure.quota_ktpm


def used_ktpm(azure: "Azure", location: str, sku: str, model: Model, *, besides: str = "") -> int:
    """How much of the quota the deployments in ``location`` hold, the one with the id ``besides`` left out."""
    accounts = [account for account in azure.resources.accounts() if account.location == location]
    held = [deployment for account in accounts for deployment in azure.resources.deployments(account)]
    return sum(d.capacity_ktpm for d in held if d.model is model and d.sku == sku and d.id != besides)


def usages(azure: "Azure", location: str) -> list[Document]:
    """One row a SKU and model: what is used of the quota, in thousands of tokens per minute.

    Names are built as the service builds them, ``{provider}.{deployment type}.{model}``: Microsoft Learn, how-to/quota,
    read 2026-11-22.
    """
    return [
        {
            "name": {"value": usage_name(sku, model), "localizedValue": quota_name(sku, model)},
            "currentValue": float(used_ktpm(azure, location, sku, model)),
            "limit": float(quota_ktpm(azure, model)),
            "unit": "Count",
        }
        for sku in SKUS
        for model in MODELS.values()
    ]


def usage_name(sku: str, model: Model) -> str:
    """The name of a quota, as ``usages`` lists it."""
    return f"OpenAI.{sku}.{model.name}"


def quota_name(sku: str, model: Model) -> str:
    """The name of a quota for people, as errors say it."""
    return f"Tokens Per Minute (thousands) - {model.name} - {sku}"


def account_model(model: Model) -> Document:
    """``model`` as an account's model list shows it."""
    document: Document = {
        "format": "OpenAI",
        "name": model.azure_name,
        "version": model.azure_version,
        "isDefaultVersion": by_azure(model.azure_name) is model,
        "maxCapacity": model.quota_ktpm,
        "capabilities": capabilities(model),
        "skus": [{"name": sku, "usageName": usage_name(sku, model), "capacity": capacity_range(model)} for sku in SKUS],
        "lifecycleStatus": _LIFE_CYCLE[model.life.status],
        "deprecation": {},
    }
    if model.life.retires is not None:
        document["deprecation"] = {"inference": f"{model.life.retires.isoformat()}T00:00:00Z"}
    return document


def capacity_range(model: Model) -> Document:
    """The capacities a deployment of ``model`` may ask for, in thousands of tokens per minute."""
    return {"minimum": 1, "maximum": model.quota_ktpm, "step": 1, "default": 1}


def capabilities(model: Model) -> dict[str, str]:
    """What ``model`` can do, in the control plane's words (every value is text)."""
    if model.is_embedding:
        return {"embeddings": "true", "embeddingsMaxInputs": "2048", "maxContextToken": str(model.context_tokens)}
    features = {"json_mode": "jsonObjectResponse", "json_schema": "jsonSchemaResponse", "responses": "responses"}
    named = {name: "true" for feature, name in features.items() if feature in model.features}
    return {
        "chatCompletion": "true",
        **named,
        "maxContextToken": str(model.context_tokens),
        "maxOutputToken": str(model.max_output_tokens),
    }


def _location_models(act: Act) -> Document:
    known_region(act.location, "locations/models")
    return {"value": [{"kind": "OpenAI", "skuName": "S0", "model": account_model(model)} for model in MODELS.values()]}


def _location_usages(act: Act) -> Document:
    return {"value": usages(act.azure, known_region(act.location, "locations/usages"))}


LOCATIONS = ResourceType(
    name="Microsoft.CognitiveServices/locations",
    actions={"GET models": _location_models, "GET usages": _location_usages},
)
