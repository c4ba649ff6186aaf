"""Chat completions, from a request's body to the answer."""

from labkit.localazure.inference import chat_reply, delivery, serving
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.reading import reading_of
from labkit.localazure.wire import Reply, StreamReply


async def answer(call: Call, target: Target, body: bytes) -> Reply | StreamReply:
    """The completion that ``body`` asks of the target; ``AzureError`` when it gets none."""
    reading = reading_of(body)
    outcome, latency, headers = serving.serve(call, target, reading)
    if reading.comes_again and reading.asked.settings.is_steady:
        call.azure.repeats.keep(call, target, reading.judged(target.model, target.version), outcome)
    document = chat_reply.stamped(outcome.document, call.id, call.entry.at_s)
    if reading.asked.stream:
        return await delivery.streamed(call, latency, headers, document)
    return await delivery.plain(call, latency, headers, document)
