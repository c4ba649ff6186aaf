"""``/labkit/faults``: what goes wrong on demand.

The lab key sees, adds and clears the lab's own faults only: a grader's are none of the student's business.
"""

from dataclasses import fields

from labkit.localazure.admin.asked import Asked, bad, only
from labkit.localazure.faults import Fault
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, json_reply

_FIELDS = tuple(field.name for field in fields(Fault) if field.name not in ("by", "id"))


async def waiting(azure: Azure, asked: Asked) -> Reply:
    """The faults that still wait for a call."""
    return json_reply({"faults": azure.faults.waiting(asked.own)})


async def add(azure: Azure, asked: Asked) -> Reply:
    """The fault that was added, with its id."""
    given = only(await asked.document("A fault"), _FIELDS, "A fault")
    try:
        added = azure.faults.add(Fault(**given, by=asked.by))
    except ValueError as reason:
        raise bad(str(reason)) from None
    return json_reply(added.as_dict(), 201)


async def clear(azure: Azure, asked: Asked) -> Reply:
    """How many faults were taken back."""
    return json_reply({"removed": azure.faults.clear(asked.own)})
