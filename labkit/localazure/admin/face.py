"""The face under ``/labkit``: which route there is, who may take it, and who answers it."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from labkit import __version__
from labkit.localazure.admin import alerts, clock, faults, journal, telemetry
from labkit.localazure.admin.asked import Asked
from labkit.localazure.console import overview
from labkit.localazure.errors import AzureError
from labkit.localazure.faults import By
from labkit.localazure.identity import TENANT_ID
from labkit.localazure.resources import ACCOUNT, LOCATION, RESOURCE_GROUP, SUBSCRIPTION_ID
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, Request, json_reply


class _Route(NamedTuple):
    """A method and a path under ``/labkit``; a last part in braces stands for any one name (``asked.name``)."""

    method: str
    path: str
    answer: Callable[[Azure, Asked], Awaitable[Reply]]
    admin_only: bool = False


# In this order: a route with a fixed last part comes before one with a name in its place.
_ROUTES = (
    _Route("GET", "clock", clock.read),
    _Route("POST", "clock", clock.advance),
    _Route("GET", "overview", overview.read),
    _Route("GET", "journal", journal.read),
    _Route("DELETE", "journal", journal.clear, admin_only=True),
    _Route("GET", "faults", faults.waiting),
    _Route("POST", "faults", faults.add),
    _Route("DELETE", "faults", faults.clear),
    _Route("POST", "faults/script", faults.add_script),
    _Route("GET", "faults/{id}", faults.one),
    _Route("DELETE", "faults/{id}", faults.remove),
    _Route("GET", "telemetry", telemetry.tables),
    _Route("GET", "telemetry/{table}", telemetry.rows),
    _Route("GET", "alerts", alerts.read),
    _Route("GET", "costs", alerts.costs),
    _Route("POST", "query", telemetry.query),
)


async def answer(azure: Azure, request: Request) -> Reply:
    """The answer to a request for ``/labkit…``. Everything but the description needs the header ``x-labkit-key``."""
    parts = [part for part in request.path.split("/") if part][1:]
    if not parts and request.method == "GET":
        return json_reply(_description(azure))
    by = _caller(azure, request)
    route = _route(request, parts)
    if route.admin_only and by != "admin":
        raise AzureError(403, "AdminOnly", f"Only the admin secret may {request.method} {request.path}.")
    name = parts[-1] if route.path.endswith("}") else ""
    return await route.answer(azure, Asked(request, by, name))


def _description(azure: Azure) -> dict[str, Any]:
    return {
        "service": "labkit local Azure",
        "version": __version__,
        "tenant_id": TENANT_ID,
        "subscription_id": SUBSCRIPTION_ID,
        "resource_group": RESOURCE_GROUP,
        "account": ACCOUNT,
        "location": LOCATION,
        "latency_scale": azure.latency_scale,
    }


def _caller(azure: Azure, request: Request) -> By:
    """Whose key came with the request; 401 without one, 403 when it is neither the admin's nor the lab's."""
    sent = request.headers.get(b"x-labkit-key", b"")
    if not sent:
        raise AzureError(401, "KeyMissing", "The header x-labkit-key is missing; send the admin secret or the lab key.")
    # Both are compared, each in constant time.
    admin = hmac.compare_digest(sent, azure.admin_secret.encode())
    lab = hmac.compare_digest(sent, azure.lab_key.encode())
    if not (admin or lab):
        raise AzureError(
            403, "KeyWrong", "The x-labkit-key is neither this local Azure's admin secret nor its lab key."
        )
    return "admin" if admin else "lab"


def _route(request: Request, parts: list[str]) -> _Route:
    """The route that the request takes; ``AzureError`` 404 for an unknown path, 405 for a method it does not have."""
    there = [route for route in _ROUTES if _leads(route, parts)]
    for route in there:
        if route.method == request.method:
            return route
    if there or not parts:
        raise AzureError(405, "MethodNotAllowed", f"{request.path[:200]} does not take {request.method[:20]}.")
    known = ", ".join(dict.fromkeys(route.path for route in _ROUTES))
    raise AzureError(404, "NotFound", f"There is no {request.path[:200]}. Under /labkit there are: {known}.")


def _leads(route: _Route, parts: list[str]) -> bool:
    own = route.path.split("/")
    if len(own) != len(parts):
        return False
    return own[:-1] == parts[:-1] and (own[-1].startswith("{") or own[-1] == parts[-1])
