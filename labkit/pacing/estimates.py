"""How many tokens a call will count against the tokens per minute: the service's guess, made before it has answered.

Microsoft Learn (how-to/quota, "Understanding rate limits", read 2026-11-25): the text of the prompt, ``max_tokens`` and
the number of answers make an estimate "based in part on the character count", which is "not the same as the token
calculation that is used for billing". Measured by others: a quarter of the characters (embeddings, 2024); about 640
for a chat that leaves ``max_tokens`` out. The local Azure counts the same.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from labkit.tokens import chat_prompt_tokens, content_text

_CHARACTERS_PER_TOKEN = 4
_UNSET_MAX_TOKENS = 640


def estimate_tokens(
    messages: Iterable[Mapping[str, Any]], params: Mapping[str, Any], *, encoding: str | None = None
) -> int:
    """What a chat call counts against the tokens per minute when it arrives.

    Its prompt counts by its characters, as the service counts; with ``encoding`` by its tokens, as the service bills.
    The two differ: per token English has 4.4 characters and Polish 3.0 (o200k_base), so that tokens would reserve a
    third too much for a Polish prompt, and nothing would ever tell.
    """
    prompt = _by_characters(messages) if encoding is None else chat_prompt_tokens(messages, encoding)
    return prompt + _answer_tokens(params) * (_count(params.get("n")) or 1)


def _by_characters(messages: Iterable[Mapping[str, Any]]) -> int:
    characters = sum(len(content_text(message.get("content"))) for message in messages)
    return -(-characters // _CHARACTERS_PER_TOKEN)


def _answer_tokens(params: Mapping[str, Any]) -> int:
    return _count(params.get("max_completion_tokens")) or _count(params.get("max_tokens")) or _UNSET_MAX_TOKENS


def _count(value: object) -> int | None:
    """``value`` when it is a number; None for the SDK's NOT_GIVEN and what the service will refuse anyway."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
