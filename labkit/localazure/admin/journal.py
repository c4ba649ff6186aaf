"""``/labkit/journal``: every request the local Azure saw."""

from labkit.localazure.admin.asked import Asked
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, json_reply

_FILTERS = ("operation", "deployment", "face")


async def read(azure: Azure, asked: Asked) -> Reply:
    """The entries newer than ``after``, oldest first, that match the filters; not more than ``limit``."""
    filters = {name: asked.request.query.get(name) for name in _FILTERS}
    entries = azure.journal.after(asked.whole("after", 0), **filters)
    entries = entries[: asked.whole("limit", len(entries))]
    return json_reply(
        {
            "entries": [entry.as_dict() for entry in entries],
            "last_id": azure.journal.last_id,
            "dropped": azure.journal.dropped,
        }
    )


async def clear(azure: Azure, asked: Asked) -> Reply:
    """Forget every entry; ids go on counting."""
    azure.journal.clear()
    return json_reply({"last_id": azure.journal.last_id})
