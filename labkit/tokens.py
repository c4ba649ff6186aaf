"""Counts tokens offline, with the vocabularies that ship inside ``splintr-rs`` (tiktoken would download its own)."""

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

# What the chat format adds: tokens around each message, tokens that prime the answer, and one for a name.
# OpenAI cookbook, "How to count tokens with tiktoken", read 2026-11-22; holds for cl100k_base and o200k_base models.
_PER_MESSAGE = 3
_PRIMING = 3
_PER_NAME = 1
# A picture in low detail; high detail is counted from its size by whoever has the bytes.
# Microsoft Learn, how-to/gpt-with-vision, read 2026-11-22.
_LOW_DETAIL_IMAGE = 85


def count(text: str, encoding: str = "o200k_base") -> int:
    """The number of tokens of ``text`` in ``encoding`` (``cl100k_base`` or ``o200k_base``)."""
    return len(encode(text, encoding))


def encode(text: str, encoding: str = "o200k_base") -> list[int]:
    """The token ids of ``text``; special tokens in it are read as plain text."""
    ids: list[int] = _tokenizer(encoding).encode_ordinary(text)
    return ids


def decode(ids: list[int], encoding: str = "o200k_base") -> str:
    """The text of ``ids``; a character cut in half at the end is left out."""
    text: str = _tokenizer(encoding).decode_lossy(ids)
    return text.rstrip("\ufffd")


def token_bytes(id: int, encoding: str = "o200k_base") -> bytes:
    """The bytes that a token stands for; they may be a part of a character."""
    data: bytes = _tokenizer(encoding).decode_token_bytes(id)
    return data


def chat_prompt_tokens(messages: Iterable[Mapping[str, Any]], encoding: str = "o200k_base") -> int:
    """The prompt tokens the service bills for ``messages``, the chat format's own included."""
    return _PRIMING + sum(_message_tokens(message, encoding) for message in messages)


def text_message_tokens(role: str, text: str, encoding: str = "o200k_base") -> int:
    """The prompt tokens that a message of a role and a text adds to others."""
    return _PER_MESSAGE + _role_tokens(role, encoding) + count(text, encoding)


def content_text(content: object) -> str:
    """The text of a message's content: a string, a list of content parts (vision), or None (tool calls)."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if _is_text_part(part))
    return ""


def _is_text_part(part: object) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("text"), str)


def _message_tokens(message: Mapping[str, Any], encoding: str) -> int:
    content = message.get("content")
    total = text_message_tokens(str(message.get("role", "")), content_text(content), encoding)
    total += _images(content) * _LOW_DETAIL_IMAGE
    if message.get("name"):
        total += count(str(message["name"]), encoding) + _PER_NAME
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        total += count(str(function.get("name", "")) + str(function.get("arguments", "")), encoding)
    return total


@lru_cache(maxsize=64)
def _role_tokens(role: str, encoding: str) -> int:
    return count(role, encoding)


def _images(content: object) -> int:
    if not isinstance(content, list):
        return 0
    return sum(isinstance(part, Mapping) and part.get("type") == "image_url" for part in content)


@cache
def _tokenizer(encoding: str) -> Any:
    # Imported on first use: the vocabulary takes tens of milliseconds to load.
    from splintr import Tokenizer

    return Tokenizer.from_pretrained(encoding)
