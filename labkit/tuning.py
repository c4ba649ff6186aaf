"""Parameter rules, each with a name and a reason; what the caller set is never changed.

A rule looks at the prompt, the parameters so far and the model, and proposes one change or nothing. A parameter counts
as set when it is among the caller's, whatever its value: None and the SDK's ``NOT_GIVEN`` say "the service's default".

``SESSION_RULES`` read the user's words, in Polish and English. ``STRUCTURE_RULES`` do not: they look at what is sent
(length, schema, tools, earlier turns). ``rules_for(task)`` takes the caller's word for it. All keep off what a
reasoning model refuses (temperature, penalties, ``max_tokens``). While the model is unknown, as before the first answer
of a deployment with a name of its own, it is taken for a chat model; if it refuses, ``without_refused`` puts that right
within the same call.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from labkit.catalog import Model
from labkit.errors import InvalidRequestError
from labkit.tokens import content_text

SHORT_PROMPT_CHARS = 500
LONG_PROMPT_CHARS = 3000
Task = Literal["analysis", "creation", "conversation"]
# A request stands at the beginning or the end of what a user says; in between lies the material. This bounds the work.
_READ_CHARS = 4_000
# Each pattern begins with letters and looks back afterwards: so the search jumps from one candidate to the next.
_ANALYSIS = (
    ("analy", re.compile(r"analy(?<!\wanaly)[sz](?:es?|ed|ing|is)\b")),
    ("analiz", re.compile(r"analiz(?:(?<!\wanaliz)|(?<=\bzanaliz)|(?<=\bprzeanaliz))")),
)
_CREATION = (
    ("creat", re.compile(r"creat(?<!\wcreat)(?:es?|ing|ive)\b")),
    ("tworz", re.compile(r"tworz(?:(?<!\wtworz)(?:enie|y[cć]|ymy)?\b|(?<=\b[su]tworz))")),
    ("twórz", re.compile(r"twórz(?:(?<!\wtwórz)\b|(?<=\b[su]twórz))")),
    ("wymys", re.compile(r"wymys(?<!\wwymys)l")),
    ("wymyś", re.compile(r"wymyś(?<!\wwymyś)l")),
)
_CONVERSATION = (
    ("conversation", re.compile(r"conversation(?<!\wconversation)")),
    ("rozm", re.compile(r"rozm(?<!\wrozm)[oó]w")),
    ("konwersacj", re.compile(r"konwersacj(?<!\wkonwersacj)")),
)
_Words = tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter a rule sets, and why; ``instead_of`` names a parameter that goes because of it."""

    rule: str
    parameter: str
    value: float
    reason: str
    instead_of: str | None = None

    def __str__(self) -> str:
        return f"{self.parameter}={self.value} ({self.rule}: {self.reason})"


class Prompt:
    """What rules look at: how much is sent, the user's own words in lower case, and how many answers came before.

    Of more than 8,000 characters only the first and the last 4,000 are read for ``words``.
    """

    __slots__ = ("_messages", "_words", "chars")

    def __init__(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self._messages = messages
        self._words: str | None = None
        self.chars = sum([len(_text(message)) for message in messages])

    @property
    def words(self) -> str:
        """What the user says, in lower case; worked out when a rule first asks."""
        if self._words is None:
            asked = " ".join([_text(message) for message in self._messages if message.get("role") == "user"])
            if len(asked) > 2 * _READ_CHARS:
                asked = f"{asked[:_READ_CHARS]} {asked[-_READ_CHARS:]}"
            self._words = asked.lower()
        return self._words

    @property
    def answers(self) -> int:
        """How many answers of the model are in the messages: 0 when the conversation only begins."""
        return sum([message.get("role") == "assistant" for message in self._messages])


@dataclass(frozen=True, slots=True)
class Tuned:
    """The parameters to send, and the changes that led there."""

    params: dict[str, Any]
    changes: tuple[Change, ...] = ()


Rule = Callable[[Prompt, Mapping[str, Any], Model | None], Change | None]

_SHORT = Change("short_prompt", "max_tokens", 200, "a prompt under 500 characters asks for a short answer")
_LONG = Change("long_prompt", "max_tokens", 500, "a prompt over 3,000 characters costs enough without a long answer")
_STEADY = Change("analysis", "temperature", 0.1, "an analysis should come out the same each time")
_VARIED = Change("creation", "temperature", 0.8, "creative work gains from variety")
_FRESH = Change("conversation", "presence_penalty", 0.6, "a conversation should not repeat itself")
_FORMED = Change("structured_answer", "temperature", 0.1, "what a program reads should come out the same each time")
_DIALOGUE = Change("dialogue", "presence_penalty", 0.6, "after two answers a conversation should not repeat itself")


def short_prompt(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A prompt under 500 characters: an answer of at most 200 tokens, unless a program reads it."""
    return _SHORT if prompt.chars < SHORT_PROMPT_CHARS and _takes_limit(params, model) else None


def long_prompt(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A prompt over 3,000 characters: an answer of at most 500 tokens, unless a program reads it."""
    return _LONG if prompt.chars > LONG_PROMPT_CHARS and _takes_limit(params, model) else None


def analysis(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A request to analyse: temperature 0.1, so that the same question gets the same answer."""
    return _STEADY if _takes("temperature", params, model) and _says(prompt, _ANALYSIS) else None


def creation(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A request to create something: temperature 0.8, unless it is an analysis too."""
    return _VARIED if _takes("temperature", params, model) and _says(prompt, _CREATION) else None


def conversation(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A request about a conversation: presence penalty 0.6, against repeating oneself."""
    return _FRESH if _takes("presence_penalty", params, model) and _says(prompt, _CONVERSATION) else None


def structured_answer(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """An answer in JSON, or a call of a function: temperature 0.1, whatever the words are."""
    return _FORMED if _is_formed(params) and _takes("temperature", params, model) else None


def dialogue(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """Two answers or more among the messages: presence penalty 0.6, whatever the words are."""
    return _DIALOGUE if _takes("presence_penalty", params, model) and prompt.answers > 1 else None


def reasoning_limit(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A reasoning model: ``max_tokens`` goes out under the only name it accepts, with the value it had."""
    limit = params.get("max_tokens")
    # Both set contradict each other; which one is meant is not for a rule to say. NOT_GIVEN is no number, either.
    if not isinstance(limit, int | float) or not _reasons(model) or "max_completion_tokens" in params:
        return None
    reason = "reasoning models know the limit by this name only, and count their thinking in it"
    return Change("reasoning_limit", "max_completion_tokens", limit, reason, instead_of="max_tokens")


# In the session's order; ``analysis`` comes before ``creation`` and so wins.
SESSION_RULES: tuple[Rule, ...] = (short_prompt, long_prompt, analysis, creation, conversation, reasoning_limit)
STRUCTURE_RULES: tuple[Rule, ...] = (short_prompt, long_prompt, structured_answer, dialogue, reasoning_limit)
_DECLARED = {"analysis": _STEADY, "creation": _VARIED, "conversation": _FRESH}


def rules_for(task: Task) -> tuple[Rule, ...]:
    """The rules for calls that are all of one declared kind: no word of the prompt is read.

    ``LLMOptimizer(deployment, tuning=rules_for("analysis"))``. ``InvalidRequestError`` names the kinds there are.
    """
    if task not in _DECLARED:
        raise InvalidRequestError(f"task is one of {', '.join(get_args(Task))}, not {task!r}.")
    change = _DECLARED[task]

    def declared(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
        return change if _takes(change.parameter, params, model) else None

    return (declared, *STRUCTURE_RULES)


def tune(
    messages: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    *,
    model: Model | None = None,
    rules: Iterable[Rule] = SESSION_RULES,
) -> Tuned:
    """``params`` with what ``rules`` add for ``messages`` to ``model``, and each change with its reason."""
    prompt = Prompt(messages)
    tuned, changes = dict(params), []
    for rule in rules:
        change = rule(prompt, tuned, model)
        if change is not None:
            tuned.pop(change.instead_of or "", None)
            tuned[change.parameter] = change.value
            changes.append(change)
    return Tuned(tuned, tuple(changes))


def without_refused(
    params: Mapping[str, Any], error: Exception, *, added: frozenset[str] = frozenset()
) -> dict[str, Any] | None:
    """``params`` as the model takes them, when ``error`` says that it refused one that may be changed; else None.

    A deployment's name does not say which model is behind it, so this may turn out with the first call only. What was
    ``added`` by tuning is left out again; the caller's ``max_tokens`` gets the name that reasoning models know, with
    its value. Anything else of the caller's stays refused.
    """
    refused = getattr(error, "param", None)
    if getattr(error, "code", None) not in ("unsupported_parameter", "unsupported_value") or refused not in params:
        return None
    accepted = {name: value for name, value in params.items() if name != refused}
    if refused in added:
        # A limit too: a small one would be used up by thinking, before any text.
        return accepted
    if refused != "max_tokens" or "max_completion_tokens" in params:
        return None
    return {**accepted, "max_completion_tokens": params[refused]}


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else content_text(content)


def _says(prompt: Prompt, kind: _Words) -> bool:
    words = prompt.words
    return any(stem in words and pattern.search(words) is not None for stem, pattern in kind)


def _takes(parameter: str, params: Mapping[str, Any], model: Model | None) -> bool:
    """Whether a rule may set ``parameter``: the caller has not, and the model does not refuse it."""
    return parameter not in params and not _reasons(model)


def _takes_limit(params: Mapping[str, Any], model: Model | None) -> bool:
    is_limited = "max_tokens" in params or "max_completion_tokens" in params
    return not (is_limited or _reasons(model) or _is_formed(params))


def _is_formed(params: Mapping[str, Any]) -> bool:
    # Such an answer is read by a program, to which half of it is of no use.
    if params.get("tools") or params.get("functions"):
        return True
    form = params.get("response_format")
    return bool(form) and not (isinstance(form, Mapping) and form.get("type") == "text")


def _reasons(model: Model | None) -> bool:
    # Their limit counts the thinking too, and they refuse temperature and penalties.
    return model is not None and model.is_reasoning
