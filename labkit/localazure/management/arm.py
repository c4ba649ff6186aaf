"""The control plane: what Azure Resource Manager checks in every request, and where it sends it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from labkit.catalog import by_azure
from labkit.localazure.errors import AzureError, method_not_allowed
from labkit.localazure.management import alerts_management, cloud, cost_management, documents, subscriptions
from labkit.localazure.management.providers import TYPES, ResourceType
from labkit.localazure.management.providers.base import Act, invalid_content
from labkit.localazure.management.refusals import no_group, unknown_path, unknown_type
from labkit.localazure.management.resourceids import Target, resource_group, split, target
from labkit.localazure.metrics import face as metrics
from labkit.localazure.resources import GROUP_ID, RESOURCE_GROUP, SUBSCRIPTION_ID, Document
from labkit.localazure.wire import MIB, Reply, Request, json_reply, parse_object

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

# azure-resource-manager-rpc v1.0, common-api-details ("Max Request Body Size"), read 2026-11-22.
_BODY_LIMIT = 4 * MIB
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z]+(\.\d+)?)?")
# Namespaces that keep no documents: what they answer is computed.
_COMPUTED: dict[str, Callable[["Azure", Request, Target], Awaitable[Reply]]] = {
    alerts_management.NAMESPACE.lower(): alerts_management.answer,
    cost_management.NAMESPACE.lower(): cost_management.answer,
}


async def answer(azure: "Azure", request: Request) -> Reply:
    """The answer to a request for ``/subscriptions…``, ``/tenants``, ``/providers…`` or ``/metadata/endpoints``.

    Errors are in Resource Manager's words. What it acknowledges is in the state file, if there is one.
    """
    reply = await _answer(azure, request)
    azure.commit()
    return reply


async def _answer(azure: "Azure", request: Request) -> Reply:
    parts = split(request.path)
    if parts[0].lower() == "metadata":
        return cloud.answer(request)
    found = target(parts)
    _note(request, parts, found)
    azure.identity.authorize_management(request)
    _check_api_version(request)
    if parts[0].lower() == "subscriptions":
        _check_subscription(parts)
    if found is None or subscriptions.is_registration(found):
        return await subscriptions.answer(request, parts)
    _check_group(found)
    if found.namespace.lower() in _COMPUTED:
        return await _COMPUTED[found.namespace.lower()](azure, request, found)
    if found.type in metrics.TYPES:
        return await metrics.answer(azure, request, found)
    if documents.is_operation(found):
        return documents.operation_status(azure, request, found)
    kind = TYPES.get(found.type)
    if kind is not None and kind.evaluated:
        await azure.catch_up()
    if found.names_resource:
        return await _resource(azure, request, found, kind)
    if kind is not None and kind.prepare is not None:
        return documents.listed(azure, request, found, kind)
    return await _action(azure, request, found)


def _note(request: Request, parts: list[str], found: Target | None) -> None:
    """Tell the journal what is being asked for: ``deployments.write``, ``accounts.listKeys`` and so on."""
    if found is None or subscriptions.is_registration(found):
        request.operation = subscriptions.operation(request.method, parts)
        return
    if len(found.parts) > 3 and found.parts[2].lower() == "deployments":
        request.deployment = found.parts[3]
    kind, owner = TYPES.get(found.type), TYPES.get(found.parent.type)
    if documents.is_operation(found):
        request.operation = "operations.read"
    elif found.names_resource:
        verb = {"PUT": "write", "PATCH": "write", "DELETE": "delete"}.get(request.method, "read")
        request.operation = f"{kind.short_name}.{verb}" if kind is not None else ""
    elif kind is not None and kind.prepare is not None:
        request.operation = f"{kind.short_name}.list"
    elif owner is not None:
        request.operation = f"{owner.short_name}.{_spelled(owner, request.method, found.parts[-1])}"


def _spelled(kind: ResourceType, method: str, action: str) -> str:
    """The name of the action as its type spells it, or the empty string when the type has no such action."""
    asked = f"{method} {action}".lower()
    return next((key.partition(" ")[2] for key in kind.actions if key.lower() == asked), "")


# -- what every request must have ------------------------------------------------------------------------------


def _check_api_version(request: Request) -> None:
    version = request.query.get("api-version", "")
    if not version:
        # cloudquery/cloudquery#6626 (2023-01).
        raise AzureError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not _API_VERSION.fullmatch(version):
        # Azure/azure-cli#28038 (2023-12); which versions are supported is ours: all.
        raise AzureError(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. Supported are versions such as '2025-09-01' or "
            "'2025-09-01-preview'.",
        )


def _check_subscription(parts: list[str]) -> None:
    if len(parts) > 1 and parts[1].lower() != SUBSCRIPTION_ID:
        raise AzureError(
            404,
            "SubscriptionNotFound",
            f"The subscription '{parts[1]}' could not be found. The local Azure has '{SUBSCRIPTION_ID}'.",
        )


def _check_group(found: Target) -> None:
    group = resource_group(found.scope)
    if group and group.lower() != RESOURCE_GROUP:
        raise no_group(group)


# -- resources --------------------------------------------------------------------------------------------------


async def _resource(azure: "Azure", request: Request, found: Target, kind: ResourceType | None) -> Reply:
    if kind is None:
        raise unknown_type(found)
    if not _is_in_place(found, kind):
        raise unknown_path(request)
    if request.method in ("GET", "HEAD"):
        return json_reply(documents.document(azure, kind, documents.existing(azure, found, kind)))
    if request.method == "DELETE":
        return documents.delete(azure, found, kind)
    if request.method not in ("PUT", "PATCH"):
        raise method_not_allowed(request.method, request.path)
    body = parse_object(await request.body(_BODY_LIMIT), invalid_content("a JSON object was expected."))
    request.model = _model_named(body)
    if kind.evaluated:  # which may run a query to see whether it can
        return await asyncio.to_thread(documents.write, azure, request, found, kind, body)
    return documents.write(azure, request, found, kind, body)


def _model_named(body: Document) -> str | None:
    """The model that a deployment asks for, under the catalogue's name if it has one; for the journal."""
    properties = body.get("properties")
    asked = properties.get("model") if isinstance(properties, dict) else None
    if not isinstance(asked, dict):
        return None
    name, version = str(asked.get("name")), asked.get("version")
    known = by_azure(name, version if isinstance(version, str) else None)
    return name[:100] if known is None else known.name


def _is_in_place(found: Target, kind: ResourceType) -> bool:
    """True when resources of ``kind`` can live at the path's scope."""
    if kind.group_only:
        return kind.prepare is not None and found.scope.lower() == GROUP_ID.lower()
    return bool(found.scope)


async def _action(azure: "Azure", request: Request, found: Target) -> Reply:
    owner = found.parent
    kind = TYPES.get(owner.type)
    name = _spelled(kind, request.method, found.parts[-1]) if kind is not None else ""
    if kind is None or not name:
        raise unknown_type(found)
    do = kind.actions[f"{request.method} {name}"]
    if kind.prepare is None:
        return json_reply(do(Act(azure, None, location=owner.parts[-1])))
    resource = documents.existing(azure, owner, kind)
    body: dict[str, Any] = {}
    if request.method == "POST":
        sent = await request.body(_BODY_LIMIT)
        body = parse_object(sent, invalid_content("a JSON object was expected.")) if sent.strip() else {}
    return json_reply(do(Act(azure, resource, body=body)))
