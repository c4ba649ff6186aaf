"""Calls of functions in a conversation and the results that must follow them.

Wordings: lastly microsoft/semantic-kernel-java#256 (2024-10) and microsoft/promptflow#3130 (2024-05).
"""

from collections.abc import Sequence

from labkit.localazure.errors import AzureError
from labkit.localazure.inference.parameters import invalid
from labkit.localazure.inference.prompt import Message


def check_results(messages: Sequence[Message]) -> None:
    """``AzureError`` 400 when a call of a function has no result after it, or a result no call before it."""
    open_ids: dict[str, None] = {}
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            id = message["tool_call_id"]
            if id not in open_ids and not _answered_before(messages, place, id):
                raise _no_call(place)
            open_ids.pop(id, None)
            continue
        if open_ids:
            raise _no_result(place, open_ids)
        open_ids = dict.fromkeys(call["id"] for call in message.get("tool_calls") or ())
    if open_ids:
        raise _no_result(len(messages), open_ids)


def _answered_before(messages: Sequence[Message], place: int, id: str) -> bool:
    """True when the call has another result right before: the last one counts."""
    return place > 0 and messages[place - 1].get("tool_call_id") == id


def _no_call(place: int) -> AzureError:
    rule = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
    return invalid(None, f"Invalid parameter: {rule}", f"messages.[{place}].role")


def _no_result(place: int, open_ids: dict[str, None]) -> AzureError:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_ids)[:400]}"
    )
    return invalid(None, message, f"messages.[{place}].role")
