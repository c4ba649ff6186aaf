"""From a well-formed request to what it gets: the same way for chat completions and for responses."""

from typing import NamedTuple

from labkit.localazure.errors import Headers
from labkit.localazure.inference import chat_request, refusals
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.contentfilter import SAFE
from labkit.localazure.inference.latency import Latency
from labkit.localazure.inference.reading import Judged, Outcome, Reading


class Served(NamedTuple):
    """A request that gets an answer: what it says, how long it takes, and its headers but the content type."""

    outcome: Outcome
    latency: Latency
    headers: Headers


def serve(call: Call, target: Target, reading: Reading) -> Served:
    """What ``reading`` gets from the target, already in the journal; ``AzureError`` or ``Dropped`` when it gets none.

    Passed in this order: a scripted fault, the model's own rules, content filter, context length, rate limits.
    """
    asked = reading.asked
    call.ask(asked.noted, asked.said, stream=asked.stream)
    call.meet_fault(target, asked.said)
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
    if judged.beginnings:
        outcome = _discounted(call, target, reading, judged, outcome)
    latency = call.slowed(outcome.latency, outcome.completion_tokens)
    call.answer(prompt.tokens, outcome.completion_tokens, latency.total_ms, outcome.digest, outcome.right)
    return Served(outcome, latency, call.headers(target, limiter))


def _discounted(call: Call, target: Target, reading: Reading, judged: Judged, outcome: Outcome) -> Outcome:
    """``outcome``, with what the deployment has read of its prompt a short while ago."""
    long = reading.asked.fields.get("prompt_cache_retention") == "24h"
    cache = call.azure.prompt_cache
    known = cache.take(target.deployment.id, judged.beginnings, call.entry.at_s, long=long)
    call.entry.cached_tokens = min(known, judged.prompt.tokens)
    return reading.with_cached_tokens(outcome, call.entry.cached_tokens) if known else outcome
