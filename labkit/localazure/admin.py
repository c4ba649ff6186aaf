"""The local Azure's own API under ``/labkit``: journal, faults and telemetry, for graders, teachers and students."""

import hmac
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from labkit import __version__
from labkit.localazure.errors import AzureError
from labkit.localazure.faults import By, Fault
from labkit.localazure.identity import TENANT_ID
from labkit.localazure.resources import ACCOUNT, LOCATION, RESOURCE_GROUP, SUBSCRIPTION_ID
from labkit.localazure.telemetry.envelopes import TABLES
from labkit.localazure.wire import Reply, Request, json_reply, parse_object

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_BODY_LIMIT = 64 * 1024
_FAULT_FIELDS = tuple(field.name for field in fields(Fault) if field.name not in ("by", "id"))


async def answer(azure: "Azure", request: Request) -> Reply:
    """The answer to a request for ``/labkit…``. Everything but the description needs the header ``x-labkit-key``."""
    parts = [part for part in request.path.split("/") if part][1:]
    if not parts and request.method == "GET":
        return json_reply(_description(azure))
    by = _caller(azure, request)
    if not parts:
        raise _not_allowed(request)
    if parts == ["journal"]:
        return _journal(azure, request, by)
    if parts == ["faults"]:
        return await _faults(azure, request, by)
    if parts[0] == "telemetry" and len(parts) <= 2:
        return _telemetry(azure, request, parts[1:])
    raise AzureError(404, "NotFound", f"There is no {request.path}. There are journal, faults and telemetry/TABLE.")


def _description(azure: "Azure") -> dict[str, Any]:
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


def _caller(azure: "Azure", request: Request) -> By:
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


def _journal(azure: "Azure", request: Request, by: By) -> Reply:
    if request.method == "DELETE":
        if by != "admin":
            raise AzureError(403, "AdminOnly", "Only the admin secret may clear the journal.")
        azure.journal.clear()
        return json_reply({"last_id": azure.journal.last_id})
    _require(request, "GET")
    filters = {name: request.query.get(name) for name in ("operation", "deployment", "face")}
    entries = azure.journal.after(_whole(request, "after", 0), **filters)
    entries = entries[: _whole(request, "limit", len(entries))]
    return json_reply(
        {
            "entries": [entry.as_dict() for entry in entries],
            "last_id": azure.journal.last_id,
            "dropped": azure.journal.dropped,
        }
    )


async def _faults(azure: "Azure", request: Request, by: By) -> Reply:
    """The lab key sees, adds and clears the lab's own faults only: a grader's are none of the student's business."""
    own: By | None = None if by == "admin" else "lab"
    if request.method == "GET":
        return json_reply({"faults": azure.faults.waiting(own)})
    if request.method == "DELETE":
        return json_reply({"removed": azure.faults.clear(own)})
    _require(request, "POST")
    asked = parse_object(await request.body(_BODY_LIMIT), _bad("A fault is a JSON object."))
    unknown = asked.keys() - set(_FAULT_FIELDS)
    if unknown:
        raise _bad(f"A fault has no {', '.join(sorted(unknown))}. It has: {', '.join(_FAULT_FIELDS)}.")
    try:
        added = azure.faults.add(Fault(**asked, by=by))
    except ValueError as reason:
        raise _bad(str(reason)) from None
    return json_reply(added.as_dict(), 201)


def _telemetry(azure: "Azure", request: Request, table: list[str]) -> Reply:
    _require(request, "GET")
    if not table:
        return json_reply({"tables": {name: azure.telemetry.count(name) for name in TABLES}})
    if table[0] not in TABLES:
        raise AzureError(404, "NotFound", f"There is no telemetry table {table[0]!r}. There are: {', '.join(TABLES)}.")
    rows = azure.telemetry.rows_json(table[0], after=_whole(request, "after", 0))
    return Reply(200, b'{"rows":%b,"last":%d}' % (rows, azure.telemetry.count(table[0])))


def _whole(request: Request, name: str, default: int) -> int:
    given = request.query.get(name, "")
    if not given:
        return default
    if not given.isdecimal() or len(given) > 15:
        raise _bad(f"{name} is a whole number from 0, not {given!r}.")
    return int(given)


def _bad(message: str) -> AzureError:
    return AzureError(400, "BadRequest", message)


def _require(request: Request, method: str) -> None:
    if request.method != method:
        raise _not_allowed(request)


def _not_allowed(request: Request) -> AzureError:
    return AzureError(405, "MethodNotAllowed", f"{request.path} does not take {request.method}.")
