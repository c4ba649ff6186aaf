"""Chat completions, from a request's body to the answer."""

from labkit.localazure.inference import chat_reply, serving, streaming
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.reading import reading_of
from labkit.localazure.wire import Reply, StreamReply


async def answer(call: Call, target: Target, body: bytes) -> Reply | StreamReply:
    """The completion that ``body`` asks of the target; ``AzureError`` when it gets none."""
    reading = reading_of(body)
    served = serving.serve(call, target, reading)
    outcome, asked = served.outcome, reading.asked
    if asked.stream:
        stamp = chat_reply.stamp(call.id, call.entry.at_s)
        events = streaming.events(outcome.exchange, stamp, include_usage=asked.include_usage)
        return await serving.streamed(call, served, events)
    return await serving.plain(call, served, chat_reply.stamped(outcome.document, call.id, call.entry.at_s))
