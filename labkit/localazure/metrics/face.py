"""The metrics APIs: under a resource in the control plane, and in batches on the data plane."""

import asyncio
from typing import TYPE_CHECKING

from labkit.localazure.clock import iso
from labkit.localazure.errors import AzureError, method_not_allowed
from labkit.localazure.identity import InvalidToken
from labkit.localazure.management.resourceids import Target
from labkit.localazure.metrics import replies
from labkit.localazure.metrics.asked import Asked, BadParameterError, read
from labkit.localazure.metrics.definitions import WITH_DATA
from labkit.localazure.metrics.replies import Document
from labkit.localazure.metrics.series import UnknownMetricError, type_of
from labkit.localazure.resources import LOCATION, Resource
from labkit.localazure.timespan import iso_duration
from labkit.localazure.wire import Reply, Request, json_reply, parse_object

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_AUDIENCES = ("https://metrics.monitor.azure.com",)
_BODY_LIMIT = 64 * 1024
_MAX_RESOURCES = 50
TYPES = ("microsoft.insights/metrics", "microsoft.insights/metricdefinitions", "microsoft.insights/metricnamespaces")


async def answer(azure: "Azure", request: Request, found: Target) -> Reply:
    """``GET {resource}/providers/Microsoft.Insights/metrics``, ``metricDefinitions`` or ``metricNamespaces``."""
    request.operation = f"{found.parts[0]}.read"
    if request.method != "GET":
        raise method_not_allowed(request.method, request.path)
    resource = _resource(azure, found.scope)
    try:
        document = await asyncio.to_thread(_document, azure, request, found, resource)
    except (BadParameterError, UnknownMetricError) as reason:
        # Without the envelope of the rest of the control plane: {"code":"BadRequest","message":"Failed to find metric
        # configuration for provider: …"} is how clients of the API quote it in their tests, read 2026-11-25.
        return json_reply({"code": "BadRequest", "message": str(reason)}, 400)
    return json_reply(document)


def _document(azure: "Azure", request: Request, found: Target, resource: Resource) -> Document:
    if found.type == TYPES[1]:
        given = {name.lower(): value for name, value in request.query.items()}
        return {"value": replies.definitions(azure, resource.id, given.get("metricnamespace", ""))}
    if found.type == TYPES[2]:
        return {"value": replies.metric_namespaces(resource.id)}
    asked = read(request.query, azure.clock.now())
    return {
        "cost": 0,
        "timespan": f"{iso(asked.start_s)}/{iso(asked.end_s)}",
        "interval": iso_duration(asked.interval_s),
        "value": replies.values(azure, resource.id, asked),
        "namespace": asked.namespace or resource.type,
        "resourceregion": resource.document.get("location", LOCATION),
    }


def _resource(azure: "Azure", id: str) -> Resource:
    """The resource whose metrics are asked for; ``AzureError`` 404 without one, 400 for one that has none."""
    resource = azure.resources.get(id)
    if resource is None:
        raise AzureError(404, "ResourceNotFound", f"The Resource '{id}' was not found.")
    if type_of(id) not in WITH_DATA:
        known = ", ".join(WITH_DATA)
        raise AzureError(400, "BadRequest", f"Resources of type {resource.type} have no metrics. There are: {known}.")
    return resource


# -- batches ----------------------------------------------------------------------------------------------------


def is_batch(path: str) -> bool:
    """True for the path of the data plane, which lies beside the control plane's."""
    return path.rstrip("/").lower().endswith("/metrics:getbatch")


async def batch(azure: "Azure", request: Request) -> Reply:
    """``POST /subscriptions/{id}/metrics:getBatch``: the metrics of up to 50 resources."""
    request.operation = "metrics.batch"
    _authorize(azure, request)
    if request.method != "POST":
        raise method_not_allowed(request.method, request.path)
    body = parse_object(await request.body(_BODY_LIMIT), _bad("A JSON object with 'resourceids' was expected."))
    ids = body.get("resourceids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= _MAX_RESOURCES or not all(isinstance(id, str) for id in ids):
        raise _bad(f"'resourceids' is a list of 1 to {_MAX_RESOURCES} resource ids.")
    resources = [_resource(azure, id) for id in ids]
    try:
        asked = read(request.query, azure.clock.now())
        found = [await asyncio.to_thread(_batched, azure, resource, asked) for resource in resources]
    except (BadParameterError, UnknownMetricError) as reason:
        raise _bad(str(reason)) from None
    return json_reply({"values": found})


def _batched(azure: "Azure", resource: Resource, asked: Asked) -> Document:
    return {
        "starttime": iso(asked.start_s),
        "endtime": iso(asked.end_s),
        "interval": iso_duration(asked.interval_s),
        "namespace": asked.namespace,
        "resourceregion": resource.document.get("location", LOCATION),
        "resourceid": resource.id,
        "value": replies.values(azure, resource.id, asked),
    }


def _authorize(azure: "Azure", request: Request) -> None:
    try:
        azure.identity.bearer_for(request, _AUDIENCES)
    except InvalidToken:
        message = f"The access token is missing, invalid or expired, or not for {_AUDIENCES[0]}."
        raise AzureError(401, "Unauthorized", message, headers=((b"www-authenticate", b"Bearer"),)) from None


def _bad(message: str) -> AzureError:
    return AzureError(400, "BadRequest", message)
