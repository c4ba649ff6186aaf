"""The session's parameter rules, each with a name and a reason; what the caller set is never changed.

A rule looks at the user's words, the parameters so far and the model (None when unknown), and proposes one change or
nothing. Keywords are Polish and English, with or without Polish letters.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.catalog import Model
from labkit.tokens import content_text

SHORT_PROMPT_CHARS = 500
LONG_PROMPT_CHARS = 3000
_LIMITS = ("max_tokens", "max_completion_tokens")
# "Stwórz" and "stworz" are one word to a user.
_PLAIN_LETTERS = str.maketrans("ąćęłńóśźż", "acelnoszz")
_ANALYSIS = re.compile(r"\b(analy[sz](e|es|ed|ing|is)|(prze|z)?analiz\w*)\b")
_CREATION = re.compile(r"\b(creat(e|es|ing|ive)|s?tworz(enie|yc|ymy)?|utworz\w*|stworz\w*|wymysl\w*)\b")
_CONVERSATION = re.compile(r"\b(conversation\w*|rozmow\w*|konwersacj\w*)\b")


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


@dataclass(frozen=True, slots=True)
class Prompt:
    """What rules look at: the length of everything sent, and the user's own words, folded to plain lower case."""

    chars: int
    words: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """The parameters to send, and the changes that led there."""

    params: dict[str, Any]
    changes: tuple[Change, ...] = ()


Rule = Callable[[Prompt, Mapping[str, Any], Model | None], Change | None]


def short_prompt(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A prompt under 500 characters: an answer of at most 200 tokens."""
    if prompt.chars >= SHORT_PROMPT_CHARS or _has_limit(params) or _reasons(model):
        return None
    return Change("short_prompt", "max_tokens", 200, "a prompt under 500 characters asks for a short answer")


def long_prompt(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A prompt over 3,000 characters: an answer of at most 500 tokens."""
    if prompt.chars <= LONG_PROMPT_CHARS or _has_limit(params) or _reasons(model):
        return None
    return Change("long_prompt", "max_tokens", 500, "a prompt over 3,000 characters costs enough without a long answer")


def analysis(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A request to analyse: temperature 0.1, so that the same question gets the same answer."""
    if not _ANALYSIS.search(prompt.words) or "temperature" in params or _reasons(model):
        return None
    return Change("analysis", "temperature", 0.1, "an analysis should come out the same each time")


def creation(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A request to create something: temperature 0.8, unless it is an analysis too."""
    if not _CREATION.search(prompt.words) or "temperature" in params or _reasons(model):
        return None
    return Change("creation", "temperature", 0.8, "creative work gains from variety")


def conversation(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A request about a conversation: presence penalty 0.6, against repeating oneself."""
    if not _CONVERSATION.search(prompt.words) or "presence_penalty" in params or _reasons(model):
        return None
    return Change("conversation", "presence_penalty", 0.6, "a conversation should not repeat itself")


def reasoning_limit(prompt: Prompt, params: Mapping[str, Any], model: Model | None) -> Change | None:
    """A reasoning model: ``max_tokens`` goes out under the only name it accepts, with the value it had."""
    if params.get("max_tokens") is None or not _reasons(model):
        return None
    reason = "reasoning models know the limit by this name only, and count their thinking in it"
    return Change("reasoning_limit", "max_completion_tokens", params["max_tokens"], reason, instead_of="max_tokens")


# In the session's order; ``analysis`` comes before ``creation`` and so wins.
SESSION_RULES: tuple[Rule, ...] = (short_prompt, long_prompt, analysis, creation, conversation, reasoning_limit)


def tune(
    messages: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    *,
    model: Model | None = None,
    rules: Iterable[Rule] = SESSION_RULES,
) -> Tuned:
    """``params`` with what ``rules`` add for ``messages`` to ``model``, and each change with its reason."""
    prompt = _prompt(messages)
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
    return {**accepted, "max_completion_tokens": params[refused]} if refused == "max_tokens" else None


def _prompt(messages: Sequence[Mapping[str, Any]]) -> Prompt:
    chars = sum(len(content_text(message.get("content"))) for message in messages)
    asked = " ".join(content_text(message.get("content")) for message in messages if message.get("role") == "user")
    return Prompt(chars, _folded(asked))


def _folded(text: str) -> str:
    return text.lower().translate(_PLAIN_LETTERS)


def _has_limit(params: Mapping[str, Any]) -> bool:
    return any(name in params for name in _LIMITS)


def _reasons(model: Model | None) -> bool:
    # Their limit counts the thinking too, and they refuse temperature and penalties.
    return model is not None and model.is_reasoning
