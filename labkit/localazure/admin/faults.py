"""``/labkit/faults``: what goes wrong on demand.

The lab key sees, adds and clears the lab's own faults only: a grader's are none of the student's business.
"""

from typing import Any

from labkit.localazure.admin.asked import Asked, bad, only
from labkit.localazure.errors import AzureError
from labkit.localazure.faults import Fault, read, scripted
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, json_reply

_SCRIPT_BYTES = 512 * 1024


async def waiting(azure: Azure, asked: Asked) -> Reply:
    """The faults that still wait for a call."""
    return json_reply({"faults": azure.faults.waiting(asked.own)})


async def add(azure: Azure, asked: Asked) -> Reply:
    """The fault that was added, with its id."""
    given = await asked.document("A fault")
    try:
        added = azure.faults.add(read(given, asked.by))
    except ValueError as reason:
        raise bad(str(reason)) from None
    return json_reply(added.as_dict(), 201)


async def add_script(azure: Azure, asked: Asked) -> Reply:
    """The faults that a script ``{"events": [...]}`` has set; its times count from now."""
    given = only(await asked.document("A script", _SCRIPT_BYTES), ("events",), "A script")
    try:
        added = azure.faults.add_all(scripted(given.get("events", ()), asked.by))
    except ValueError as reason:
        raise bad(str(reason)) from None
    return json_reply(_listed(added), 201)


async def clear(azure: Azure, asked: Asked) -> Reply:
    """How many faults were taken back."""
    return json_reply({"removed": azure.faults.clear(asked.own)})


async def one(azure: Azure, asked: Asked) -> Reply:
    """The fault of that id; ``AzureError`` 404 when it is over, another's, or never was."""
    found = azure.faults.waiting(asked.own, asked.name)
    if not found:
        raise _no_such(asked)
    return json_reply(found[0])


async def remove(azure: Azure, asked: Asked) -> Reply:
    """That one fault was taken back; ``AzureError`` 404 when it is over, another's, or never was."""
    removed = azure.faults.clear(asked.own, asked.name)
    if not removed:
        raise _no_such(asked)
    return json_reply({"removed": removed})


def _listed(faults: list[Fault]) -> dict[str, Any]:
    return {"faults": [fault.as_dict() for fault in faults]}


def _no_such(asked: Asked) -> AzureError:
    return AzureError(404, "NotFound", f"No fault {asked.name[:100]!r} waits: it is over, or never was.")
