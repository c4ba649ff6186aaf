"""Stored responses, asked for again: the response, what it was given, and their end."""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.localazure.errors import AzureError
from labkit.localazure.inference import routes
from labkit.localazure.inference.call import Call
from labkit.localazure.inference.parameters import integer, invalid, one_of
from labkit.localazure.inference.responses import wording
from labkit.localazure.inference.responses.items import Item
from labkit.localazure.inference.responses.store import Stored
from labkit.localazure.inference.routes import Route
from labkit.localazure.resources import Account
from labkit.localazure.wire import JSON, Reply, json_reply

_USUAL_PAGE = 20
_LARGEST_PAGE = 100


def answer(call: Call, account: Account, route: Route, version: str) -> Reply:
    """The stored response that ``route`` names, or what is asked of it; ``AzureError`` 404 when there is none."""
    wording.check_version(version)
    id, now, kept = route.name or "", call.entry.at_s, call.azure.responses
    stored = kept.get(account.id, id, now)
    if stored is None:
        # The wording is that of a previous response.
        raise AzureError(404, None, f"Response with id '{id[:100]}' not found.", type="invalid_request_error")
    if route.operation == routes.RESPONSE_DELETE:
        kept.delete(account.id, id)
        return json_reply({"id": id, "object": "response", "deleted": True}, headers=call.identification())
    if route.operation == routes.RESPONSE_INPUT:
        return json_reply(_page(call.request.query, stored), headers=call.identification())
    if call.request.query.get("stream", "false").lower() == "true":
        raise invalid("unsupported_parameter", "Only responses made in the background can be streamed later.", "stream")
    return Reply(200, stored.body, (JSON, *call.identification()))


def _page(query: Mapping[str, str], stored: Stored) -> dict[str, Any]:
    """A page of the items that the response was made from, the newest first unless asked otherwise."""
    items = [item for turn in stored.turns[:-1] for item in turn.items] + list(stored.turns[-1].given)
    if one_of("asc", "desc")("order", query.get("order", "desc")) == "desc":
        items.reverse()
    start, limit = _start(items, query.get("after")), _limit(query.get("limit"))
    page = items[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(items),
    }


def _start(items: Sequence[Item], after: str | None) -> int:
    if after is None:
        return 0
    for number, item in enumerate(items):
        if item["id"] == after:
            return number + 1
    raise invalid("invalid_value", f"There is no item with id '{after[:100]}' in this response.", "after")


def _limit(given: str | None) -> int:
    if given is None:
        return _USUAL_PAGE
    # Larger numbers are out of range anyway, and what is no number is refused as the text that it is.
    value = int(given) if given.isdecimal() and len(given) < 10 else given
    limit: int = integer(1, _LARGEST_PAGE)("limit", value)
    return limit
