"""By what charges can be grouped and filtered: Cost Management's dimensions, and tags.

The names are the service's (Azure/azure-rest-api-specs#32810, 2025-02, lists the valid ones); those that could only be
empty here are left out. The service has no dimension for a deployment. **The deployment is a tag**: every charge
carries ``deployment`` besides the tags of its account, so the same query also runs on the service, where it finds the
resources that somebody tagged so.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from labkit.localazure.costs.charges import Charge
from labkit.localazure.resources import LOCATION, RESOURCE_GROUP, SUBSCRIPTION_ID

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

DEPLOYMENT_TAG = "deployment"
_VALUES = 1_000
_DEEPEST = 5


def _always(value: str) -> Callable[[Charge], str]:
    return lambda _: value


DIMENSIONS: Mapping[str, Callable[[Charge], str]] = {
    "ResourceGroup": _always(RESOURCE_GROUP),
    "ResourceGroupName": _always(RESOURCE_GROUP),
    "ResourceLocation": _always(LOCATION),
    "ResourceType": _always("microsoft.cognitiveservices/accounts"),
    "ResourceId": lambda charge: charge.resource_id,
    "MeterCategory": _always("Cognitive Services"),
    "MeterSubcategory": _always("Azure OpenAI"),
    "Meter": lambda charge: charge.meter,
    "SubscriptionId": _always(SUBSCRIPTION_ID),
    "SubscriptionName": _always("Session 13"),
    "ServiceName": _always("Cognitive Services"),
    "ServiceFamily": _always("AI + Machine Learning"),
    "UnitOfMeasure": _always("1K"),
    "ChargeType": _always("Usage"),
    "PublisherType": _always("Azure"),
    "Frequency": _always("UsageBased"),
    "PricingModel": _always("OnDemand"),
}
_BY_LOWER_NAME = {name.lower(): value for name, value in DIMENSIONS.items()}


class BadFilter(ValueError):
    """A filter that cannot be applied, with the reason."""


def known(name: object) -> bool:
    """True for the name of a dimension, in any case."""
    return isinstance(name, str) and name.lower() in _BY_LOWER_NAME


def valid_names() -> str:
    """The dimensions as the service lists them in its errors."""
    return ",".join(f"'{name}'" for name in DIMENSIONS)


def dimension(charge: Charge, name: str) -> str:
    """The charge's value of the dimension ``name`` (any case)."""
    return _BY_LOWER_NAME[name.lower()](charge)


def tag(azure: "Azure", charge: Charge, name: str) -> str:
    """The charge's value of the tag ``name`` (any case), or the empty string."""
    if name.lower() == DEPLOYMENT_TAG:
        return charge.deployment
    account = azure.resources.get(charge.resource_id)
    tags = account.document.get("tags", {}) if account is not None else {}
    return next((value for key, value in tags.items() if key.lower() == name.lower()), "")


# -- filters, as queries and budgets write them -----------------------------------------------------------------


def check_filter(given: Any, *, depth: int = 0) -> None:
    """``BadFilter`` when ``given`` is no filter: one of and, or, not, dimensions, tags, the operator always In."""
    kinds = ("and", "or", "not", "dimensions", "tags")
    said = [kind for kind in kinds if isinstance(given, dict) and given.get(kind)]
    if len(said) != 1:
        # Azure/azure-sdk-for-python#14923 (2020-11).
        raise BadFilter("on a QueryFilter one and only one of and/or/not/dimension/tag can be set")
    if depth > _DEEPEST:
        raise BadFilter(f"it is nested more than {_DEEPEST} deep")
    kind = said[0]
    if kind == "not":
        check_filter(given["not"], depth=depth + 1)
    elif kind in ("and", "or"):
        _check_several(kind, given[kind], depth)
    else:
        _check_comparison(kind, given[kind])


def _check_several(kind: str, items: Any, depth: int) -> None:
    if not isinstance(items, list) or not 2 <= len(items) <= _VALUES:
        raise BadFilter(f"'{kind}' needs at least two filters")
    for item in items:
        check_filter(item, depth=depth + 1)


def _check_comparison(kind: str, given: Any) -> None:
    if not isinstance(given, dict) or str(given.get("operator")).lower() != "in":
        raise BadFilter(f"'{kind}' is compared with the operator 'In'")
    values = given.get("values")
    if not isinstance(values, list) or not 1 <= len(values) <= _VALUES or not all(isinstance(v, str) for v in values):
        raise BadFilter(f"'{kind}' is compared with 1 to {_VALUES} texts in values")
    if kind == "dimensions" and not known(given.get("name")):
        raise BadFilter(f"'{str(given.get('name'))[:100]}' is no dimension; valid values: {valid_names()}")
    if kind == "tags" and not isinstance(given.get("name"), str):
        raise BadFilter("'tags' needs the name of a tag")


def keeps(azure: "Azure", checked: Any, charge: Charge) -> bool:
    """True when ``charge`` passes the filter, one that ``check_filter`` let through."""
    if "not" in checked:
        return not keeps(azure, checked["not"], charge)
    if checked.get("and"):
        return all(keeps(azure, item, charge) for item in checked["and"])
    if checked.get("or"):
        return any(keeps(azure, item, charge) for item in checked["or"])
    if checked.get("dimensions"):
        compared = checked["dimensions"]
        value = dimension(charge, compared["name"])
    else:
        compared = checked["tags"]
        value = tag(azure, charge, compared["name"])
    return value.lower() in {wanted.lower() for wanted in compared["values"]}
