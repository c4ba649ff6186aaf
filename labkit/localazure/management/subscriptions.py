"""What stands above resources: the tenant, the subscription, its resource group and its registered providers.

There is one of each, always there, and they can be read. Clients that make sure of one first (``az group create``,
``az provider register``) get the answer for one that exists.
"""

from collections.abc import Callable
from typing import NamedTuple

from labkit.localazure.errors import AzureError, method_not_allowed
from labkit.localazure.identity import TENANT_ID
from labkit.localazure.management.providers import TYPES
from labkit.localazure.management.providers.base import invalid_content
from labkit.localazure.management.refusals import no_group, unknown_namespace, unknown_path
from labkit.localazure.management.resourceids import Target
from labkit.localazure.resources import GROUP_ID, LOCATION, RESOURCE_GROUP, SUBSCRIPTION_ID, Document
from labkit.localazure.wire import MIB, Reply, Request, json_reply, parse_object

_API_VERSION = "2025-09-01"
_SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"


class _Route(NamedTuple):
    """A path in lower case, ``{}`` for any name; its last name, if it has one, is given to ``document``."""

    path: str
    document: Callable[[str], Document]
    operation: str


def is_registration(found: Target) -> bool:
    """True for ``…/providers/{namespace}/register``, which looks like a list of resources."""
    return len(found.parts) == 1 and found.parts[0].lower() == "register"


def operation(method: str, parts: list[str]) -> str:
    """What the journal calls the request: ``resourceGroups.read`` and the like; empty for a path that leads nowhere."""
    route = _route(parts)
    if route is None:
        return ""
    return f"{route.operation}.{'write' if method in ('PUT', 'PATCH', 'POST') else 'read'}"


async def answer(request: Request, parts: list[str]) -> Reply:
    """The answer to a request that names no resource; ``AzureError`` 404 for a path that leads nowhere, else 405."""
    route = _route(parts)
    if route is None:
        raise unknown_path(request)
    names = [part for part, word in zip(parts, route.path.split("/"), strict=True) if word == "{}"]
    document = route.document(names[-1] if names else "")
    if request.method == "HEAD":
        return Reply(204)
    if route is _GROUP and request.method in ("PUT", "PATCH"):
        await _check_written(request)
    elif request.method != ("POST" if route is _REGISTER else "GET"):
        raise method_not_allowed(request.method, request.path)
    return json_reply(document)


def _route(parts: list[str]) -> _Route | None:
    words = [part.lower() for part in parts]
    for route in _ROUTES:
        own = route.path.split("/")
        if len(own) == len(words) and all(mine in ("{}", word) for mine, word in zip(own, words, strict=True)):
            return route
    return None


async def _check_written(request: Request) -> None:
    """Refuse to make of the resource group what it is not."""
    body = parse_object(await request.body(MIB), invalid_content("a JSON object was expected."))
    location = body.get("location", LOCATION)
    if not isinstance(location, str) or location.replace(" ", "").lower() != LOCATION:
        # Azure/azure-cli#22242 (2022-05).
        raise AzureError(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. The Resource group already exists in location "
            f"'{LOCATION}'.",
        )


def _tenants(_: str) -> Document:
    tenant = {
        "id": f"/tenants/{TENANT_ID}",
        "tenantId": TENANT_ID,
        "displayName": "Session 13",
        "tenantCategory": "Home",
    }
    return {"value": [tenant]}


def _subscriptions(_: str) -> Document:
    return {"value": [_subscription("")], "count": {"type": "Total", "value": 1}}


def _subscription(_: str) -> Document:
    return {
        "id": _SUBSCRIPTION,
        "subscriptionId": SUBSCRIPTION_ID,
        "tenantId": TENANT_ID,
        "displayName": "Session 13",
        "state": "Enabled",
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "spendingLimit": "On"},
        "authorizationSource": "RoleBased",
    }


def _groups(_: str) -> Document:
    return {"value": [_group(RESOURCE_GROUP)]}


def _group(name: str) -> Document:
    if name.lower() != RESOURCE_GROUP:
        raise no_group(name)
    return {
        "id": GROUP_ID,
        "name": RESOURCE_GROUP,
        "type": "Microsoft.Resources/resourceGroups",
        "location": LOCATION,
        "properties": {"provisioningState": "Succeeded"},
    }


def _providers(_: str) -> Document:
    return {"value": [_provider(name) for name in dict.fromkeys(_namespace(type.name) for type in TYPES.values())]}


def _provider(namespace: str) -> Document:
    """A resource provider, which is registered from the start, with the types it has here."""
    types = [type.name for type in TYPES.values() if _namespace(type.name).lower() == namespace.lower()]
    if not types:
        raise unknown_namespace(namespace)
    name = _namespace(types[0])
    return {
        "id": f"{_SUBSCRIPTION}/providers/{name}",
        "namespace": name,
        "registrationPolicy": "RegistrationRequired",
        "registrationState": "Registered",
        "resourceTypes": [_resource_type(type) for type in types],
    }


def _resource_type(name: str) -> Document:
    # Every api-version is taken; clients that look for one (`az resource show`) find this.
    return {"resourceType": name.partition("/")[2], "locations": [LOCATION], "apiVersions": [_API_VERSION]}


def _namespace(type: str) -> str:
    return type.partition("/")[0]


_GROUP = _Route("subscriptions/{}/resourcegroups/{}", _group, "resourceGroups")
_REGISTER = _Route("subscriptions/{}/providers/{}/register", _provider, "providers")
_ROUTES = (
    _Route("tenants", _tenants, "tenants"),
    _Route("subscriptions", _subscriptions, "subscriptions"),
    _Route("subscriptions/{}", _subscription, "subscriptions"),
    _Route("subscriptions/{}/resourcegroups", _groups, "resourceGroups"),
    _GROUP,
    _Route("subscriptions/{}/providers", _providers, "providers"),
    _Route("subscriptions/{}/providers/{}", _provider, "providers"),
    _REGISTER,
)
