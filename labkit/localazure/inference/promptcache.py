"""Prompt caching: the beginning of a prompt that the same deployment read a short while ago costs less.

Microsoft Learn, how-to/prompt-caching, read 2026-11-25: prompts of at least 1,024 tokens whose first 1,024 are
identical, then every 128 further ones; kept for 5 to 10 minutes of inactivity (here always 5), or for up to 24 hours
when ``prompt_cache_retention`` says so; supported by the models that have a lower price for cached input.
"""

import math
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from zlib import crc32

import orjson

from labkit import tokens
from labkit.catalog import Model
from labkit.localazure.inference.prompt import Message

FEWEST_TOKENS = 1_024
_STEP = 128
_KEPT_S = 300.0
_KEPT_LONG_S = 86_400.0
# One for each step of a prompt: a few megabytes.
_MOST_KEPT = 20_000
_MOST_STEPS = 2_000


class PromptCache:
    """What beginnings of prompts each deployment has read, and until when that is remembered."""

    def __init__(self) -> None:
        self._until_s: OrderedDict[tuple[str, bytes], float] = OrderedDict()

    def take(self, deployment: str, beginnings: Sequence[bytes], now_s: float, *, long: bool = False) -> int:
        """How many tokens of a prompt with these ``beginnings`` are known; from now on all of them are."""
        known = 0
        for beginning in beginnings:
            if self._until_s.get((deployment, beginning), -math.inf) < now_s:
                break
            known += 1
        until_s = now_s + (_KEPT_LONG_S if long else _KEPT_S)
        for beginning in beginnings:
            self._until_s[deployment, beginning] = until_s
            self._until_s.move_to_end((deployment, beginning))
        while len(self._until_s) > _MOST_KEPT:
            self._until_s.popitem(last=False)
        return FEWEST_TOKENS + (known - 1) * _STEP if known else 0


def is_supported(model: Model) -> bool:
    """True for a model whose cached input has a lower price."""
    return model.price.cached_input < model.price.input


def beginnings(messages: Sequence[Message], before: str, encoding: str) -> tuple[bytes, ...]:
    """Digests of the first 1,024 tokens of a prompt and of each further 128; ``before`` stands for what is before."""
    ids = array("I")
    for message in messages:
        stated = f"{message['role']}\n{tokens.content_text(message.get('content'))}"
        ids.extend(tokens.encode(stated, encoding))
        if len(message) > 2 or isinstance(message.get("content"), list):
            extra = [_pictures(message), message.get("tool_calls"), message.get("tool_call_id"), message.get("name")]
            ids.append(crc32(orjson.dumps(extra)))
    digest = blake2b(before.encode(), digest_size=16)
    found: list[bytes] = []
    start = 0
    for end in range(FEWEST_TOKENS, len(ids) + 1, _STEP)[:_MOST_STEPS]:
        digest.update(ids[start:end].tobytes())
        found.append(digest.copy().digest())
        start = end
    return tuple(found)


def _pictures(message: Message) -> list[str]:
    """Digests of the pictures in a message: they belong to the beginning of a prompt as well."""
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [blake2b(url.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest() for url in urls]
