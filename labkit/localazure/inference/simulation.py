"""What a simulated model answers: right or wrong, how worded, how long, how slow.

A pure function of the seed, the model, the messages and the settings, and, above temperature 0, of how many times
exactly this request came before. Other requests under way at the same time change nothing.

Whether an answer to a question of the bank is right: every question has one difficulty between 0 and 1, the same for
all models, and a model is right when its quality at the question's level (``simulated.quality`` of the catalogue) is
above it. So a stronger model is right wherever a weaker one is; comparing two models, or two prompts for one model, is
never blurred by luck. Difficulties are spread evenly within each level and language, so over the whole bank a model
is right as often as the catalogue says, whatever the seed; the seed decides on which questions.
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import groupby
from types import MappingProxyType
from typing import Literal, NamedTuple

from labkit import bank, tokens
from labkit.bank import Question
from labkit.catalog import Model
from labkit.localazure.inference import json_answers, latency, lengthy, toolchoice, wording
from labkit.localazure.inference.json_answers import Composed
from labkit.localazure.inference.latency import Latency
from labkit.localazure.inference.prompt import Prompt
from labkit.localazure.inference.readable import readable
from labkit.localazure.inference.response_format import ResponseFormat
from labkit.localazure.inference.toolchoice import FunctionCall
from labkit.localazure.inference.tools import ToolBox
from labkit.localazure.inference.wording import Length

# How far a repetition above temperature 0 may move a question's difficulty, at temperature 1 and more.
_WOBBLE = 0.3
_REMEMBERED_REQUESTS = 50_000
_SEARCHED_WORDS = 4_000
# The counts of longer answers are not kept.
_COUNTED_CHARACTERS = 2_000

# Hidden tokens a reasoning model spends, in steps of 64 as the real ones count: fewest and most by level; 0 is for
# prompts outside the bank.
_REASONING_STEP = 64
_REASONING_STEPS: Mapping[int, tuple[int, int]] = MappingProxyType({0: (2, 7), 1: (1, 3), 2: (3, 8), 3: (8, 17)})
# What reasoning_effort does to those tokens (factor) and to the quality (added).
_EFFORT: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"minimal": (0.0, -0.12), "low": (0.4, -0.05), "medium": (1.0, 0.0), "high": (2.5, 0.02)}
)
EFFORTS = tuple(_EFFORT)


class Settings(NamedTuple):
    """What a request asks of the model besides its messages. ``max_tokens`` None means as many as the model can."""

    temperature: float = 1.0
    max_tokens: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    effort: str = "medium"
    verbosity: str = "medium"
    toolbox: ToolBox | None = None
    format: ResponseFormat | None = None

    @property
    def is_steady(self) -> bool:
        """True when the same request always gets the same answer: at temperature 0 and with a seed."""
        return self.temperature <= 0 or self.seed is not None

    def extra_tokens(self, encoding: str) -> int:
        """What tools and the schema of the answer add to the prompt's tokens."""
        return sum(part.tokens(encoding) for part in (self.toolbox, self.format) if part is not None)


class Answer(NamedTuple):
    """One answer: a text, or ``calls`` of functions and an empty one.

    ``completion_tokens`` includes the hidden ``reasoning_tokens``. ``right`` says whether it gives the right answer to
    a question of the bank, None when it answers none of them.
    """

    text: str
    completion_tokens: int
    reasoning_tokens: int
    finish_reason: Literal["stop", "length", "tool_calls"]
    latency: Latency
    right: bool | None = None
    calls: tuple[FunctionCall, ...] = ()

    @property
    def said(self) -> str:
        """The text, or the calls in words, to tell answers apart by."""
        return self.text or ";".join(f"{call.name}({call.arguments})" for call in self.calls)


class Simulation:
    """The models of one local Azure. It remembers how often each request came, the last 50,000 different ones."""

    def __init__(self, seed: int = 13) -> None:
        self.seed = seed
        self._times: OrderedDict[tuple[str, str, Settings], int] = OrderedDict()

    def count(self, caller: str, prompt: Prompt, settings: Settings) -> int:
        """How many answers ``caller`` (a deployment's id) was given to exactly this request before, and counts it.

        Always 0 where repetitions do not matter.
        """
        if settings.is_steady:
            return 0
        request = (caller, prompt.digest, settings)
        before = self._times.get(request, 0)
        self._times[request] = before + settings.n
        if len(self._times) > _REMEMBERED_REQUESTS:
            self._times.popitem(last=False)
        return before

    def answers(self, model: Model, prompt: Prompt, settings: Settings, before: int = 0) -> list[Answer]:
        """The ``settings.n`` answers of ``model`` to a request that got ``before`` answers already."""
        return [self._answer(model, prompt, settings, number) for number in range(before, before + settings.n)]

    @cached_property
    def difficulties(self) -> Mapping[str, float]:
        """The difficulty of each question of the bank, by its id."""
        ranked = sorted(bank.QUESTIONS, key=lambda q: (q.level, q.language, self._digest(q.id)))
        found: dict[str, float] = {}
        for _, group in groupby(ranked, key=lambda q: (q.level, q.language)):
            stratum = list(group)
            found |= {q.id: (rank + 0.5) / len(stratum) for rank, q in enumerate(stratum)}
        return MappingProxyType(found)

    def is_right(self, model: Model, question: Question, settings: Settings, repetition: int = 0) -> bool:
        """Whether ``model`` answers ``question`` rightly the ``repetition``-th time (0 the first) it is asked."""
        quality = model.simulated.quality[question.level - 1]
        if model.is_reasoning:
            quality += _EFFORT[settings.effort][1]
        return self.difficulties[question.id] + self._wobble(question, settings, repetition) < quality

    def _wobble(self, question: Question, settings: Settings, repetition: int) -> float:
        if repetition == 0 or settings.temperature <= 0:
            return 0.0
        draw = self._digest(question.id, repetition)[0] / 255 - 0.5
        return draw * _WOBBLE * min(1.0, settings.temperature)

    def _answer(self, model: Model, prompt: Prompt, settings: Settings, number: int) -> Answer:
        repetition = number if settings.temperature > 0 else 0
        draw = self._digest(prompt.digest, model.name, repetition, settings.seed)
        question = bank.find_words(prompt.last_words[:_SEARCHED_WORDS])
        hidden = _hidden_tokens(question, settings, draw) if model.is_reasoning else 0
        if settings.toolbox is not None and (calls := toolchoice.calls(settings.toolbox, prompt, draw)):
            return _calling(calls, hidden, model, prompt, settings, draw)
        right = question is not None and self.is_right(model, question, settings, repetition)
        said = _said(question, right, prompt, settings, draw)
        answer = _cut(said.text, hidden, model, prompt, settings, draw)
        if question is None:
            return answer
        # Judged by its text, as any reader would: an answer cut off before its point is not right. Of JSON only the
        # property with the answer is read.
        read = said.answer if said.answer is not None and answer.text == said.text else answer.text
        return answer._replace(right=_is_right(question, read))

    def _digest(self, *circumstances: object) -> bytes:
        return blake2b(f"{self.seed}/{circumstances}".encode(), digest_size=16).digest()


def _said(question: Question | None, right: bool, prompt: Prompt, settings: Settings, draw: bytes) -> Composed:
    """What the model says in words or, where that is asked for, in JSON."""
    if settings.format is not None:
        return _in_json(settings.format, question, right, prompt, draw)
    if prompt.tool_results:
        return Composed(wording.from_results(prompt.tool_results, _language(prompt), draw))
    if question is None:
        return Composed(_generic(prompt, settings, draw))
    return Composed(wording.to_question(question, right, _length(prompt, settings), draw))


def _generic(prompt: Prompt, settings: Settings, draw: bytes) -> str:
    language = _language(prompt)
    if prompt.images:
        return wording.about_images(prompt.images, language, draw)
    words = lengthy.words_asked(prompt.last_words)
    if words is not None:
        most = lengthy.MOST_WORDS // settings.n
        if settings.max_tokens is not None:  # every word is a token at least: no more than can be said
            most = min(most, settings.max_tokens + 1)
        return wording.of_length(prompt.last_user_text, language, min(words, most), draw)
    return wording.to_anything(prompt.last_user_text, language, _length(prompt, settings), draw)


def _language(prompt: Prompt) -> str:
    return wording.language_of(prompt.last_user_text, prompt.system_text)


def _in_json(asked: ResponseFormat, question: Question | None, right: bool, prompt: Prompt, draw: bytes) -> Composed:
    """The answer in JSON. To a question of the bank it gives the terse answer, and the explanation if that is right."""
    sentence = wording.sentence(_language(prompt), draw)
    answer, explanation = None, ""
    if prompt.tool_results:
        answer = readable(prompt.tool_results[-1][1])
    elif question is not None:
        answer = wording.to_question(question, right, Length.TERSE, draw)
        explanation = question.explanation if right else sentence
    return json_answers.compose(asked, prompt, draw, sentence=sentence, answer=answer, explanation=explanation)


def _length(prompt: Prompt, settings: Settings) -> Length:
    asked = min(
        wording.length_asked(prompt.system_words[:_SEARCHED_WORDS]),
        wording.length_asked(prompt.last_words[:_SEARCHED_WORDS]),
    )
    return Length.BRIEF if settings.verbosity == "low" and asked is Length.FULL else asked


def _hidden_tokens(question: Question | None, settings: Settings, draw: bytes) -> int:
    fewest, most = _REASONING_STEPS[question.level if question else 0]
    steps = fewest + draw[5] % (most - fewest + 1)
    return round(steps * _EFFORT[settings.effort][0]) * _REASONING_STEP


def _cut(text: str, hidden: int, model: Model, prompt: Prompt, settings: Settings, draw: bytes) -> Answer:
    """The answer with ``text`` ended by a stop sequence or by the most tokens it may have, the hidden ones first."""
    for stop in settings.stop:
        text = text.partition(stop)[0]
    limit = model.max_output_tokens if settings.max_tokens is None else settings.max_tokens
    visible = _tokens(text, model.encoding) if len(text) <= _COUNTED_CHARACTERS else tokens.count(text, model.encoding)
    finish_reason: Literal["stop", "length"] = "stop"
    if hidden + visible > limit:
        finish_reason = "length"
        hidden = min(hidden, limit)
        visible = limit - hidden
        text = tokens.decode(tokens.encode(text, model.encoding)[:visible], model.encoding)
    taken = latency.simulated(model, prompt.tokens, hidden + visible, hidden, draw[6])
    return Answer(text, hidden + visible, hidden, finish_reason, taken)


def _calling(
    calls: tuple[FunctionCall, ...], hidden: int, model: Model, prompt: Prompt, settings: Settings, draw: bytes
) -> Answer:
    """The answer that calls functions; its last arguments are cut where the most tokens it may have are used up."""
    limit = model.max_output_tokens if settings.max_tokens is None else settings.max_tokens
    hidden = min(hidden, limit)
    calls, visible, whole = toolchoice.limited(calls, limit - hidden, model.encoding)
    taken = latency.simulated(model, prompt.tokens, hidden + visible, hidden, draw[6])
    return Answer("", hidden + visible, hidden, "tool_calls" if whole else "length", taken, calls=calls)


# The answers to the bank's questions are few, and judging one is more work than the rest of making it.
_is_right = lru_cache(maxsize=4096)(bank.is_right)


@lru_cache(maxsize=4096)
def _tokens(text: str, encoding: str) -> int:
    # The answers are short and many are alike; counting is a good part of the work of making one.
    return tokens.count(text, encoding)
