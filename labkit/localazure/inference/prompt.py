"""The messages of a chat request: what a model reads, counted and taken apart into what the other modules ask for."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from labkit import tokens
from labkit.catalog import Model
from labkit.localazure.inference import images
from labkit.localazure.inference.images import Image
from labkit.localazure.inference.parameters import invalid

Message = dict[str, Any]

_CACHED_CHARACTERS = 2_000
# No text of any length has as many characters to a token; most have about four.
_MOST_CHARACTERS_PER_TOKEN = 8
_USUAL_CHARACTERS_PER_TOKEN = 4
# What the chat format adds once to a prompt.
_PRIMING = tokens.chat_prompt_tokens(())


class Prompt(NamedTuple):
    """What a model is given. Words are casefolded, as ``str.casefold`` and ``str.split`` make them.

    ``words`` are all of them, ``user_words`` what users wrote, ``last_words`` the last user message's,
    ``system_words`` the system's and the developer's. ``tool_results`` are name and result of the functions that were
    called since the last user message, ``images`` the pictures. Equal messages have equal digests.
    """

    tokens: int
    characters: int
    words: list[str]
    user_words: list[str]
    last_words: list[str]
    system_words: list[str]
    last_user_text: str
    system_text: str
    digest: str
    tool_results: tuple[tuple[str, str], ...] = ()
    images: tuple[Image, ...] = ()


def prompt_of(messages: Sequence[Message], model: Model) -> Prompt:
    """The prompt that ``messages`` make for ``model``; ``AzureError`` 400 for pictures it cannot see.

    The messages are well formed: ``messages.check`` did that. The tokens of messages that are far too long for the
    model are guessed: counting megabytes would keep others waiting, and they are refused all the same.
    """
    called = False
    pictures: list[Image] = []
    words: list[str] = []
    user_words: list[str] = []
    last_words: list[str] = []
    system_words: list[str] = []
    system_texts: list[str] = []
    last_user_text = ""
    characters = size = prompt_tokens = 0
    most = model.context_tokens * _MOST_CHARACTERS_PER_TOKEN
    for place, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        said = content if type(content) is str else tokens.content_text(content)
        if type(content) is list:
            pictures += _pictures(content, f"messages[{place}]", model)
            message = {**message, "content": said}
        size += len(said) if len(message) == 2 else _size(message, said)
        if size > most:
            continue
        said_words = said.casefold().split()
        words += said_words
        characters += len(said)
        prompt_tokens += _tokens(message, said, model.encoding)
        if role == "user":
            user_words += said_words
            last_words, last_user_text = said_words, said
        elif role in ("system", "developer"):
            system_words += said_words
            system_texts.append(said)
        elif role != "assistant":
            called = True
    if size > most:
        prompt_tokens = size // _USUAL_CHARACTERS_PER_TOKEN
    if pictures:
        images.check_count(pictures)
        prompt_tokens += sum(images.tokens(picture, model) for picture in pictures)
    return Prompt(
        prompt_tokens + _PRIMING,
        characters,
        words,
        user_words,
        last_words,
        system_words,
        last_user_text,
        "\n".join(system_texts),
        blake2b(orjson.dumps(messages, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest(),
        _tool_results(messages) if called else (),
        tuple(pictures),
    )


def last_user_text(messages: Sequence[Message]) -> str:
    """The text of the last message that a user wrote, empty when there is none."""
    for message in reversed(messages):
        if message["role"] == "user":
            return tokens.content_text(message["content"])
    return ""


def _tool_results(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    names: dict[object, str] = {}
    results: list[tuple[str, str]] = []
    for message in messages:
        if message["role"] == "user":
            results.clear()
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
        if message["role"] in ("tool", "function"):
            name = message.get("name") or names.get(message.get("tool_call_id"), "")
            results.append((name, tokens.content_text(message.get("content"))))
    return tuple(results)


def _size(message: Message, said: str) -> int:
    """The characters that count as tokens in a message that is more than a role and a text."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    named = len(message.get("name") or "") + sum(len(call["name"]) + len(call["arguments"]) for call in calls)
    return len(said) + named


def _tokens(message: Message, said: str, encoding: str) -> int:
    """What ``message`` adds to the prompt's tokens."""
    plain = len(message) == 2 and message.get("content") is said
    if plain and message["role"] == "system" and len(said) <= _CACHED_CHARACTERS:
        return _system_tokens(said, encoding)
    if plain:
        return tokens.text_message_tokens(message["role"], said, encoding)
    return tokens.chat_prompt_tokens((message,), encoding) - _PRIMING


@lru_cache(maxsize=256)
def _system_tokens(said: str, encoding: str) -> int:
    # The same few system messages come with every prompt.
    return tokens.text_message_tokens("system", said, encoding)


def _pictures(content: list[Message], place: str, model: Model) -> list[Image]:
    for number, part in enumerate(content):
        if part["type"] == "image_url" and "vision" not in model.features:
            message = "Invalid content type. image_url is only supported by certain models."
            raise invalid("invalid_value", message, f"{place}.content[{number}].type")
    return images.of_content(content, f"{place}.content")
