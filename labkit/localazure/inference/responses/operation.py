"""Responses, from a request's body to the answer.

A response is a chat completion in another form: its input is turned into messages and takes the same way through
faults, content filter, limits and simulation, so the same messages get the same answer from both.
"""

from collections.abc import Sequence

import orjson

from labkit.catalog import Model
from labkit.localazure.inference import chat_request, delivery, parameters, serving
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.chat_request import ChatRequest
from labkit.localazure.inference.reading import Reading
from labkit.localazure.inference.responses import context, conversation, events, reply, request, store, wording
from labkit.localazure.inference.responses.conversation import Placed
from labkit.localazure.inference.responses.items import PREFIXES, Item
from labkit.localazure.inference.responses.reply import Document, Made
from labkit.localazure.inference.responses.store import Stored, Turn
from labkit.localazure.wire import Reply, StreamReply

# The numbers of given items, in their ids, start here: those before are for the output.
_FIRST_GIVEN = 0x1000


async def answer(call: Call, target: Target, body: bytes) -> Reply | StreamReply:
    """The response that ``body`` asks of the target; ``AzureError`` when it gets none."""
    wording.check_version(target.version)
    wording.check_model(target.model)
    fields = request.read(parameters.read_json(body))
    earlier = _earlier(call, target, fields)
    given = conversation.resolved(fields["input"], lambda id: call.azure.responses.item(target.account.id, id))
    said = [item for turn in earlier for item in turn.items]
    placed = conversation.messages(fields.get("instructions"), said, given)
    with wording.reworded(placed):
        outcome, latency, headers = serving.serve(call, target, Reading(_asked(fields, placed, target.model)))
    id = f"resp_{call.id.replace('-', '')}"
    made = Made(id, call.entry.at_s, fields, outcome.exchange)
    done = _kept(call, target, made, earlier, given)
    if fields.get("stream"):
        stream = events.stream(made, done)
        return await delivery.streamed(call, latency, headers, stream, at_once=events.before_tokens(made))
    return await delivery.plain(call, latency, headers, orjson.dumps(done))


def _earlier(call: Call, target: Target, fields: Document) -> tuple[Turn, ...]:
    """The turns that the response goes on from (microsoft/agent-framework#6419, 2026-06)."""
    id = fields.get("previous_response_id")
    if id is None:
        return ()
    previous = call.azure.responses.get(target.account.id, id, call.entry.at_s)
    if previous is None:
        message = f"Previous response with id '{id[:100]}' not found."
        raise parameters.invalid("previous_response_not_found", message, "previous_response_id")
    return previous.turns


def _asked(fields: Document, placed: list[Placed], model: Model) -> ChatRequest:
    """The chat request that asks for the same; what is left out of the conversation is taken out of ``placed``."""
    asked = chat_request.read(request.chat_body(fields, placed))
    if fields.get("truncation") == "auto":
        other_tokens = asked.settings.extra_tokens(model.encoding) + (asked.settings.max_tokens or 0)
        placed[:] = context.fitted(placed, model, other_tokens)
        asked = asked._replace(messages=[each.message for each in placed])
    return asked._replace(noted=request.noted(fields, asked.noted))


def _kept(call: Call, target: Target, made: Made, earlier: tuple[Turn, ...], given: Sequence[Item]) -> Document:
    """The body of the response. It is stored unless the request says otherwise, or the conversation is too large."""
    output = reply.output(made)
    done = reply.document(made, output)
    if done["store"]:
        turns = (*earlier, store.turn(_identified(given, made), output))
        stored = Stored(made.id, made.created_at_s, orjson.dumps(done), turns)
        # ``made`` writes the beginning of a stream, which says the same.
        done["store"] = made.fields["store"] = call.azure.responses.put(target.account.id, stored)
    return done


def _identified(given: Sequence[Item], made: Made) -> list[Item]:
    """The given items, each with an id."""
    return [
        item if "id" in item else {"id": made.item_id(PREFIXES[item["type"]], _FIRST_GIVEN + number), **item}
        for number, item in enumerate(given)
    ]
