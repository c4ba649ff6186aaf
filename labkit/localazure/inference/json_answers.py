"""What simulated models answer when JSON is asked for: values that fit the schema, with the answer in its place."""

import re
from typing import Any, NamedTuple

import orjson

from labkit.localazure.inference.mentions import Mentions, mentions_of
from labkit.localazure.inference.prompt import Prompt
from labkit.localazure.inference.response_format import ResponseFormat
from labkit.localazure.inference.schema_leaves import Source
from labkit.localazure.inference.schema_values import make

# Names in quotes, by which a prompt may say what the object is to hold.
_KEYS = re.compile(r"[\"'`“]([A-Za-z_]\w{0,39})[\"'`”]")
_MOST_KEYS = 8
_READ_CHARACTERS = 4_000


class Composed(NamedTuple):
    """An answer. ``answer`` is what answers the question in its JSON; None when it is none or has no place for it."""

    text: str
    answer: str | None = None


def compose(
    asked: ResponseFormat, prompt: Prompt, draw: bytes, *, sentence: str, answer: str | None, explanation: str
) -> Composed:
    """The JSON for ``asked``, with ``answer`` and ``explanation`` in their places and ``sentence`` where prose fits."""
    mentions = mentions_of(prompt.last_user_text)
    schema = asked.schema
    if schema is None:
        keys = _keys(prompt)
        mentions = _without(mentions, keys)
        schema = {"type": "object", "properties": {key: {"type": "string"} for key in keys}, "required": keys}
    made = make(schema, Source(mentions, draw, sentence, answer, explanation))
    return Composed(orjson.dumps(made.value).decode(), made.answer)


def _keys(prompt: Prompt) -> list[str]:
    """The keys that the prompt names, else ``answer``."""
    text = f"{prompt.system_text[:_READ_CHARACTERS]} {prompt.last_user_text[:_READ_CHARACTERS]}"
    keys: dict[str, Any] = dict.fromkeys(key for key in _KEYS.findall(text) if key.casefold() != "json")
    return list(keys)[:_MOST_KEYS] or ["answer"]


def _without(mentions: Mentions, keys: list[str]) -> Mentions:
    return mentions._replace(quoted=tuple(text for text in mentions.quoted if text not in keys))
