"""What the body of a chat request means: read once, judged once for each model, answered once for each seed.

Load tests, retries and caches that miss send the same body again and again. All that is kept here is a pure function of
the body, the model, the API version and the seed, so keeping it changes nothing but the time it takes.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from labkit.catalog import Model
from labkit.localazure.inference import chat_reply, chat_request, parameters, promptcache, refusals, routes, streaming
from labkit.localazure.inference.chat_reply import Exchange
from labkit.localazure.inference.chat_request import ChatRequest
from labkit.localazure.inference.contentfilter import Screening, screen
from labkit.localazure.inference.latency import Latency
from labkit.localazure.inference.limits import estimate_tokens
from labkit.localazure.inference.prompt import Prompt, prompt_of
from labkit.localazure.inference.simulation import Simulation

# The last few hundred small bodies are kept: a few megabytes at most.
_KEPT_BODIES = 512
_KEPT_BYTES = 4_096
_SEEN_BODIES = 4_096
# Longer answers are made again.
_KEPT_ANSWER_BYTES = 65_536


class Judged(NamedTuple):
    """A prompt that a model may answer: screened, and with what it counts against the rate limit.

    ``beginnings`` are those of a long prompt that may be cached.
    """

    prompt: Prompt
    screening: Screening
    estimated_tokens: int
    beginnings: tuple[bytes, ...] = ()


class Outcome(NamedTuple):
    """What becomes of an admitted request. ``right`` is that of the first answer.

    ``document`` is the body of a chat completion or of its stream, still without time and id; empty for a response.
    """

    exchange: Exchange
    completion_tokens: int
    latency: Latency
    digest: str
    right: bool | None
    document: tuple[bytes, ...]


class Reading:
    """A well-formed request, with what was found out about it so far.

    ``document`` makes the body of an answer that is worth keeping. ``comes_again`` is True when its body came before.
    """

    __slots__ = ("_document", "_judged", "_outcomes", "asked", "comes_again")

    def __init__(self, asked: ChatRequest, document: Callable[[Exchange], tuple[bytes, ...]] | None = None) -> None:
        self.asked = asked
        self._document = document
        self._judged: dict[tuple[str, str], Judged] = {}
        self._outcomes: dict[tuple[str, int], Outcome] = {}
        self.comes_again = False

    def judged(self, model: Model, version: str) -> Judged:
        """What ``model`` makes of the request under an API version; ``AzureError`` 400 when it does not take it."""
        known = self._judged.get((model.name, version))
        if known is None:
            known = self._judged[model.name, version] = self._judge(model, version)
        return known

    def outcome(self, judged: Judged, model: Model, simulation: Simulation, before: int) -> Outcome:
        """What ``model`` answers to the request after ``before`` answers to the same one."""
        if before or self.asked.settings.n > 1:  # seldom asked for twice, or large
            return self._answer(judged, model, simulation, before)
        known = self._outcomes.get((model.name, simulation.seed))
        if known is None:
            known = self._answer(judged, model, simulation, 0)
            if sum(map(len, known.document)) <= _KEPT_ANSWER_BYTES:
                self._outcomes[model.name, simulation.seed] = known
        return known

    def with_cached_tokens(self, outcome: Outcome, cached_tokens: int) -> Outcome:
        """The same outcome, of whose prompt ``cached_tokens`` were known."""
        exchange = outcome.exchange._replace(cached_tokens=cached_tokens)
        return outcome._replace(exchange=exchange, document=self._written(exchange))

    def _written(self, exchange: Exchange) -> tuple[bytes, ...]:
        return () if self._document is None else self._document(exchange)

    def _judge(self, model: Model, version: str) -> Judged:
        if model.is_embedding:
            raise refusals.wrong_operation(routes.CHAT, model)
        refusals.check_version(version, model)
        chat_request.check_model(self.asked, model)
        prompt, settings = prompt_of(self.asked.messages, model), self.asked.settings
        if settings.toolbox is not None or settings.format is not None:
            prompt = prompt._replace(tokens=prompt.tokens + settings.extra_tokens(model.encoding))
        estimated_tokens = estimate_tokens(prompt.characters, settings.max_tokens, settings.n)
        screening = screen(prompt.words, prompt.user_words)
        cacheable = promptcache.FEWEST_TOKENS <= prompt.tokens <= model.context_tokens
        if not (cacheable and promptcache.is_supported(model)):
            return Judged(prompt, screening, estimated_tokens)
        before = "/".join([part.digest for part in (settings.toolbox, settings.format) if part is not None])
        beginnings = promptcache.beginnings(self.asked.messages, before, model.encoding)
        return Judged(prompt, screening, estimated_tokens, beginnings)

    def _answer(self, judged: Judged, model: Model, simulation: Simulation, before: int) -> Outcome:
        answers = simulation.answers(model, judged.prompt, self.asked.settings, before)
        toolbox = self.asked.settings.toolbox
        legacy_calls = toolbox is not None and toolbox.legacy
        logprobs = self.asked.top_logprobs
        exchange = Exchange(model, judged.prompt, answers, judged.screening, legacy_calls, logprobs)
        said = "\x00".join([each.said for each in answers]).encode("utf-8", "replace")
        return Outcome(
            exchange=exchange,
            completion_tokens=sum([each.completion_tokens for each in answers]),
            latency=max([each.latency for each in answers], key=_total_ms),
            digest=blake2b(said, digest_size=8).hexdigest(),
            right=answers[0].right,
            document=self._written(exchange),
        )


def reading_of(body: bytes) -> Reading:
    """The reading of the chat request ``body``; ``AzureError`` 400 when it is none.

    A small body that comes a second time is kept. Most prompts come once: keeping those would only make work.
    """
    if len(body) > _KEPT_BYTES:
        return _read(body)
    seen = hash(body)
    if seen in _seen:
        return _kept(body)
    if len(_seen) >= _SEEN_BODIES:
        _seen.clear()
    _seen.add(seen)
    return _read(body)


def _read(body: bytes) -> Reading:
    asked = chat_request.read(parameters.read_json(body))
    if not asked.stream:
        written = chat_reply.body
    else:
        written = streaming.body_with_usage if asked.include_usage else streaming.body
    return Reading(asked, lambda exchange: chat_reply.cut(written(exchange)))


@lru_cache(maxsize=_KEPT_BODIES)
def _kept(body: bytes) -> Reading:
    reading = _read(body)
    reading.comes_again = True
    return reading


_seen: set[int] = set()


def _total_ms(latency: Latency) -> float:
    return latency.total_ms
