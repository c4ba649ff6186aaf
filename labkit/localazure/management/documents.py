"""What all resources of the control plane have in common: being written, read, listed and deleted."""

from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

import orjson

from labkit.localazure.clock import iso
from labkit.localazure.errors import AzureError, Headers, method_not_allowed
from labkit.localazure.management.providers import TYPES, ResourceType
from labkit.localazure.management.providers.base import Draft, invalid_content, system_data
from labkit.localazure.management.resourceids import Target, resource_group
from labkit.localazure.resources import GROUP_ID, LOCATION, SUBSCRIPTION_ID, Document, Resource
from labkit.localazure.wire import MIB, Reply, Request, json_reply

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

# Microsoft Learn, azure-resource-groups-limits ("Resources per resource group, per resource type"), read 2026-11-22.
_RESOURCES_OF_A_TYPE = 800
# Azure has no such limit; here one process serves a class, and one submission must not fill its memory.
_ALL_RESOURCES_BYTES = 16 * MIB


def existing(azure: "Azure", found: Target, kind: ResourceType) -> Resource:
    """The resource that the path names; ``AzureError`` 404 when there is none."""
    resource = azure.resources.get(found.id)
    if resource is None:
        if len(found.parts) > 2:
            parent(azure, found, kind, "read")
        raise _not_found(found, kind)
    return resource


def _not_found(found: Target, kind: ResourceType) -> AzureError:
    name = "/".join((kind.name.partition("/")[0], *found.parts))
    where = f" under resource group '{resource_group(found.scope)}'" if resource_group(found.scope) else ""
    return AzureError(
        404,
        "ResourceNotFound",
        f"The Resource '{name}'{where} was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
    )


def write(azure: "Azure", request: Request, found: Target, kind: ResourceType, body: Document) -> Reply:
    """Create or replace a resource (PUT), or change parts of it (PATCH)."""
    old = azure.resources.get(found.id)
    if request.method == "PATCH":
        body = _merged(existing(azure, found, kind).document, body)
    _check_settled(azure, old)
    id = old.id if old is not None else _new_id(azure, found, kind)
    assert kind.prepare is not None
    resource = _stamped(azure, kind, id, old, kind.prepare(Draft(azure, id, body, old)))
    # Written out before it is stored: what cannot be answered must not be kept.
    answer = _answer_to_write(azure, request, kind, resource, created=old is None)
    resource.size_bytes = len(answer.body)
    if azure.resources.size_bytes(besides=id) + resource.size_bytes > _ALL_RESOURCES_BYTES:
        raise _full(f"The resources come to more than {_ALL_RESOURCES_BYTES // MIB} MB")
    azure.resources.put(resource)
    kind.saved(azure, resource)
    return answer


def _answer_to_write(
    azure: "Azure", request: Request, kind: ResourceType, resource: Resource, *, created: bool
) -> Reply:
    headers: Headers = _polling(azure, request, resource) if kind.provisions and created else ()
    try:
        answer = document(azure, kind, resource)
        if headers:  # the service starts with Creating, however quick it is
            answer["properties"] = {**answer["properties"], "provisioningState": "Creating"}
        return json_reply(answer, kind.created_status if created else 200, headers)
    except orjson.JSONEncodeError:
        raise invalid_content("it is nested too deeply.") from None


def _merged(old: Document, patch: Document) -> Document:
    """``patch`` laid over ``old``: objects are merged, everything else is replaced (RFC 7396, null removes)."""
    merged = dict(old)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _check_settled(azure: "Azure", resource: Resource | None) -> None:
    if resource is not None and resource.ready_at_s > azure.clock.now():
        # MicrosoftLearning/AZ-140…#112 (2021-11), Azure/bicep-types-az#2419 (2025-01).
        raise AzureError(
            409,
            "RequestConflict",
            f"Cannot modify resource with id '{resource.id}' because the resource entity provisioning state is not "
            "terminal. Please wait for the provisioning state to become terminal and then retry the request.",
        )


def _new_id(azure: "Azure", found: Target, kind: ResourceType) -> str:
    """The id of a new resource, its types spelled as Azure spells them and its parent's id as the parent has it."""
    if not kind.name_pattern.fullmatch(found.parts[-1]):
        raise AzureError(400, "InvalidResourceName", f"The name '{found.parts[-1]}' is invalid: {kind.name_rule}.")
    if len(azure.resources.of_type(kind.name)) >= _RESOURCES_OF_A_TYPE:
        raise _full(f"There are {_RESOURCES_OF_A_TYPE} resources of type '{kind.name}' already")
    if len(found.parts) > 2:
        return f"{parent(azure, found, kind, 'write').id}/{kind.short_name}/{found.parts[-1]}"
    namespace, _, type = kind.name.partition("/")
    scope = GROUP_ID if kind.group_only else found.scope
    return f"{scope}/providers/{namespace}/{type}/{found.parts[-1]}"


def _full(reason: str) -> AzureError:
    # The code and its wording are ours.
    return AzureError(409, "ResourceQuotaExceeded", f"{reason}; delete some first.")


def parent(azure: "Azure", found: Target, kind: ResourceType, verb: str) -> Resource:
    """The resource that a nested one, or a list of nested ones, belongs to; ``AzureError`` 404 when there is none."""
    above = found.parent.parent if found.names_resource else found.parent
    resource = azure.resources.get(above.id)
    if resource is None:
        # As the CLI shows it for Microsoft.Network and Microsoft.Storage, in public issues and logs of 2020 to 2026.
        raise AzureError(
            404,
            "ParentResourceNotFound",
            f"Failed to perform '{verb}' on resource(s) of type '{kind.name.partition('/')[2]}', because the parent "
            f"resource '{above.id}' could not be found.",
        )
    return resource


def _stamped(azure: "Azure", kind: ResourceType, id: str, old: Resource | None, stored: Document) -> Resource:
    now = azure.clock.now()
    if old is None:
        ready = now + azure.provisioning_s if kind.provisions else 0.0
        return Resource(id, kind.name, stored, now, now, ready)
    return Resource(id, old.type, stored, old.created_at_s, now, old.ready_at_s, old.revision + 1, secrets=old.secrets)


def document(azure: "Azure", kind: ResourceType, resource: Resource) -> Document:
    """The resource as a GET answers it: id, name and type, what its type shows, and what Resource Manager adds."""
    shown: Document = {"id": resource.id, "name": resource.name, "type": resource.type, **kind.show(azure, resource)}
    if kind.provisions:
        state = "Creating" if resource.ready_at_s > azure.clock.now() else "Succeeded"
        shown["properties"] = {**shown["properties"], "provisioningState": state}
    if kind.system_data:
        shown["systemData"] = system_data(iso(resource.created_at_s), iso(resource.changed_at_s))
    if kind.etag_name is not None:
        shown[kind.etag_name] = f'"{resource.etag}"'
    return shown


def delete(azure: "Azure", found: Target, kind: ResourceType) -> Reply:
    """Delete a resource and everything under it; deleting what does not exist is a success for most types."""
    resource = azure.resources.get(found.id)
    if resource is None:
        if kind.missing_delete_status == 404:
            raise _not_found(found, kind)
        return Reply(kind.missing_delete_status, headers=())
    _check_settled(azure, resource)
    for gone in azure.resources.delete(resource.id):
        TYPES[gone.type.lower()].removed(azure, gone)
    return Reply(200, headers=())


def listed(azure: "Azure", request: Request, found: Target, kind: ResourceType) -> Reply:
    """The resources of a type at a scope, all on one page."""
    if request.method != "GET":
        raise method_not_allowed(request.method, request.path)
    if len(found.parts) > 1:
        parent(azure, found, kind, "read")
    # At a subscription's scope resources of all groups are listed; nested and free-standing ones at their own only.
    under = found.scope if len(found.parts) == 1 and kind.group_only else found.id
    found_there = azure.resources.of_type(kind.name, under)
    return json_reply({"value": [document(azure, kind, resource) for resource in found_there]})


# -- long-running operations ------------------------------------------------------------------------------------


def _polling(azure: "Azure", request: Request, resource: Resource) -> Headers:
    """Where to ask how far the creation is. Without Retry-After the Python SDK would ask every 30 seconds."""
    locations = f"/subscriptions/{SUBSCRIPTION_ID}/providers/{resource.type.partition('/')[0]}/locations/{LOCATION}"
    operation = uuid5(NAMESPACE_URL, f"{resource.id.lower()}#operation")
    # The operation is found again by the resource's id, which the query carries, so nothing needs to be kept for it.
    query = f"api-version={request.query['api-version']}&resource={resource.id}"
    url = f"{request.base_url}{locations}/operationStatuses/{operation}?{query}"
    return ((b"azure-asyncoperation", url.encode()), (b"retry-after", _retry_after(azure, resource)))


def _retry_after(azure: "Azure", resource: Resource) -> bytes:
    return b"1" if resource.ready_at_s > azure.clock.now() else b"0"


def is_operation(found: Target) -> bool:
    """True for the path of an operation under way."""
    words = [part.lower() for part in found.parts]
    return len(words) == 4 and words[0] == "locations" and words[2] == "operationstatuses"


def operation_status(azure: "Azure", request: Request, found: Target) -> Reply:
    """How far the creation of a resource is."""
    resource = azure.resources.get(request.query.get("resource", ""))
    if resource is None or request.method != "GET":
        # The code is ours.
        raise AzureError(404, "OperationNotFound", f"The operation '{found.parts[-1]}' was not found.")
    creating = resource.ready_at_s > azure.clock.now()
    status: Document = {"id": found.id, "name": found.parts[-1], "startTime": iso(resource.created_at_s)}
    status["status"] = "InProgress" if creating else "Succeeded"
    if not creating:
        status["endTime"] = iso(max(resource.created_at_s, resource.ready_at_s))
    return json_reply(status, headers=((b"retry-after", _retry_after(azure, resource)),))
