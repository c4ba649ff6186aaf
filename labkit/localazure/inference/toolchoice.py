"""Whether a simulated model calls functions, which ones, and with which arguments.

A forced function is always called. When the model may choose, it calls what the user's words are about: the name of a
function, or two words of its description and parameters. Once a result has come it answers in words.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import orjson

from labkit import tokens
from labkit.localazure.inference.mentions import Mentions, mentions_of, words_of
from labkit.localazure.inference.prompt import Prompt
from labkit.localazure.inference.schema_leaves import COMMON, ENGLISH, Source
from labkit.localazure.inference.schema_values import make
from labkit.localazure.inference.tools import Function, ToolBox

_MOST_CALLS = 8
# What a call costs besides its name and arguments; ours, no count of the service's is published.
_PER_CALL = 7
_STEM = 5
_SHORTEST_WORD = 3


class FunctionCall(NamedTuple):
    """One call that the model asks for: ``arguments`` is JSON that fits the function's parameters."""

    id: str
    name: str
    arguments: str


def calls(box: ToolBox, prompt: Prompt, draw: bytes) -> tuple[FunctionCall, ...]:
    """The calls that the model answers ``prompt`` with; none when it answers in words."""
    mentions = mentions_of(prompt.last_user_text)
    chosen = _chosen(box, mentions, has_results=bool(prompt.tool_results))
    made = [
        FunctionCall("", function.name, _arguments(function, part, draw))
        for function in chosen
        for part in (_parts(mentions, function) if box.parallel else (mentions,))
    ]
    most = _MOST_CALLS if box.parallel else 1
    return tuple(call._replace(id=_id(draw, place)) for place, call in enumerate(made[:most]))


def limited(calls: tuple[FunctionCall, ...], most: int, encoding: str) -> tuple[tuple[FunctionCall, ...], int, bool]:
    """As much of ``calls`` as fits into ``most`` tokens, the tokens it takes, and whether that is all of it."""
    fitting: list[FunctionCall] = []
    used = 0
    for call in calls:
        arguments = tokens.encode(call.arguments, encoding)
        before = used + _PER_CALL + tokens.count(call.name, encoding)
        used = before + len(arguments)
        if used > most:
            if before < most:
                cut = tokens.decode(arguments[: most - before], encoding)
                fitting.append(call._replace(arguments=cut))
            return tuple(fitting), most, False
        fitting.append(call)
    return tuple(fitting), used, True


def _chosen(box: ToolBox, mentions: Mentions, *, has_results: bool) -> list[Function]:
    if box.forced is not None:
        return [function for function in box.functions if function.name == box.forced][:1]
    if box.choice == "none" or (box.choice == "auto" and has_results):
        return []
    about = _stems(mentions.words)
    scores = [(_score(function, about), function) for function in box.functions]
    fitting = [function for score, function in scores if score >= 2]
    if box.choice == "required" and not fitting:
        fitting = [max(scores, key=lambda item: item[0])[1]]
    return fitting if box.parallel else _best(fitting, scores)


def _best(fitting: list[Function], scores: list[tuple[int, Function]]) -> list[Function]:
    return [max(scores, key=lambda item: item[0])[1]] if fitting else []


def _score(function: Function, about: frozenset[str]) -> int:
    """How well a function fits what the prompt is about: a word of its name counts two, any other one."""
    named = _stems(words_of(function.name)) or frozenset(word[:_STEM] for word in words_of(function.name))
    properties = function.parameters.get("properties", {})
    described = _stems(words_of(" ".join((function.description, *properties))))
    return 2 * len(named & about) + len((described - named) & about)


def _stems(words: list[str] | frozenset[str]) -> frozenset[str]:
    """The beginnings of the words that say something, those of their English translation with them."""
    telling = [word for word in words if len(word) >= _SHORTEST_WORD and word not in COMMON]
    translated = [_ENGLISH[word[:_STEM]] for word in telling if word[:_STEM] in _ENGLISH]
    return frozenset(word[:_STEM] for word in (*telling, *translated))


_ENGLISH = {polish[:_STEM]: english for polish, english in ENGLISH.items()}


def _parts(mentions: Mentions, function: Function) -> Iterator[Mentions]:
    """What each of several calls of one function is about: "in Paris and Rome" are two, if it takes a single text."""
    properties = function.parameters.get("properties", {})
    required = function.parameters.get("required", list(properties))
    texts = [name for name in required if isinstance(inner := properties.get(name), dict) and _is_free_text(inner)]
    if len(texts) != 1 or len(mentions.listed) < 2:
        yield mentions
        return
    for name in mentions.listed:
        yield mentions._replace(names=(name,), quoted=(), listed=())


def _is_free_text(schema: dict[str, object]) -> bool:
    return schema.get("type") == "string" and not {"enum", "const", "format", "pattern"}.intersection(schema)


def _arguments(function: Function, mentions: Mentions, draw: bytes) -> str:
    return orjson.dumps(make(function.parameters, Source(mentions, draw)).value).decode()


def _id(draw: bytes, place: int) -> str:
    """An id of the service's form, the same for the same answer."""
    return f"call_{blake2b(draw, digest_size=12, salt=place.to_bytes(2, 'little')).hexdigest()}"
