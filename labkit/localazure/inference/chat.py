"""Chat completions, from a request's body to the answer."""

from labkit.localazure.errors import Headers
from labkit.localazure.inference import chat_reply, chat_request, refusals, streaming
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.contentfilter import SAFE
from labkit.localazure.inference.latency import Latency
from labkit.localazure.inference.reading import Outcome, Reading, reading_of
from labkit.localazure.wire import EVENT_STREAM, JSON, Reply, StreamReply


async def answer(call: Call, target: Target, body: bytes) -> Reply | StreamReply:
    """The completion that ``body`` asks of the target; ``AzureError`` when it gets none."""
    reading = reading_of(body)
    asked = reading.asked
    call.ask(asked.noted, asked.said, stream=asked.stream)
    delay_ms = call.meet_fault(target, asked.said)
    model = target.deployment.model
    judged = reading.judged(model, target.version)
    prompt = judged.prompt
    call.entry.prompt_digest = prompt.digest
    if judged.screening is not SAFE and judged.screening.prompt.filtered:
        raise refusals.prompt_filtered(judged.screening.prompt)
    chat_request.check_context(prompt, asked.settings, model)
    limiter = call.admit(target, judged.estimated_tokens)
    simulation = call.azure.simulation
    before = simulation.count(target.deployment.id, prompt, asked.settings)
    outcome = reading.outcome(judged, model, simulation, before)
    latency = outcome.latency.later(delay_ms) if delay_ms else outcome.latency
    call.answer(prompt.tokens, outcome.completion_tokens, latency.total_ms, outcome.digest, outcome.right)
    headers = call.headers(target, limiter)
    if asked.stream:
        return _streamed(call, reading, outcome, latency, (EVENT_STREAM, *headers))
    await call.wait(latency.total_ms)
    return Reply(200, chat_reply.stamped(outcome.document, call.id, call.entry.at_s), (JSON, *headers))


def _streamed(
    call: Call, reading: Reading, outcome: Outcome, latency: Latency, headers: Headers
) -> Reply | StreamReply:
    stamp = chat_reply.stamp(call.id, call.entry.at_s)
    events = streaming.events(outcome.exchange, stamp, include_usage=reading.asked.include_usage)
    azure = call.azure
    if azure.latency_scale <= 0:  # nothing to wait for: one piece costs a fraction of a hundred
        return Reply(200, b"".join(events), headers)
    chunks = streaming.paced(events, latency, azure.latency_scale, azure.clock)
    return StreamReply(call.timed(chunks), 200, headers)
