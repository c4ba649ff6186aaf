"""Log probabilities of an answer's tokens: made up, the same for the same token, and well-formed as the service's.

The tokens and their bytes put together are the answer; every logprob is at most 0; alternatives come in order, first
the token that was taken (OpenAI's API reference, chat completions, read 2026-11-25).
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from labkit import tokens

MOST_ALTERNATIVES = 20
# Alternatives are taken from the first ids of a vocabulary: short tokens, as plausible as any.
_COMMON_IDS = 20_000


class Piece(NamedTuple):
    """The smallest run of tokens that is whole characters, with the ``logprobs`` of each as JSON."""

    text: str
    logprobs: tuple[orjson.Fragment, ...]


def of_text(text: str, encoding: str, alternatives: int) -> list[orjson.Fragment]:
    """One entry for each token of ``text``, with as many ``alternatives`` in its ``top_logprobs``."""
    return [_entry(id, encoding, alternatives) for id in tokens.encode(text, encoding)]


def pieces(text: str, encoding: str, alternatives: int) -> Iterator[Piece]:
    """``text`` in pieces, a token each where its bytes are whole characters."""
    waiting: list[int] = []
    for id in tokens.encode(text, encoding):
        waiting.append(id)
        said = b"".join([tokens.token_bytes(each, encoding) for each in waiting])
        try:
            whole = said.decode()
        except UnicodeDecodeError:
            continue
        yield Piece(whole, tuple(_entry(each, encoding, alternatives) for each in waiting))
        waiting.clear()


@lru_cache(maxsize=8_192)
def _entry(id: int, encoding: str, alternatives: int) -> orjson.Fragment:
    """The entry of a token. Most answers are made of the same few thousand."""
    draw = blake2b(f"{encoding}/{id}".encode(), digest_size=8).digest()
    # Mostly close to certain, sometimes not at all, but always the likeliest.
    taken = 0.55 + 0.4499 * math.sqrt(draw[0] / 255)
    likely = [(id, taken)]
    others = (1 - taken) / 2
    for other in _others(id, draw, alternatives - 1):
        likely.append((other, others))
        others /= 2
    top = [_token(each, encoding, share) for each, share in likely[:alternatives]]
    return orjson.Fragment(orjson.dumps({**_token(id, encoding, taken), "top_logprobs": top}))


def _others(id: int, draw: bytes, count: int) -> list[int]:
    """``count`` different ids of common tokens other than ``id``."""
    start, step = int.from_bytes(draw[1:4], "little"), 2 * draw[4] + 1
    found = [(start + step * place) % _COMMON_IDS for place in range(count + 1)]
    return [other for other in dict.fromkeys(found) if other != id][: max(count, 0)]


def _token(id: int, encoding: str, share: float) -> dict[str, Any]:
    said = tokens.token_bytes(id, encoding)
    # A part of a character is shown by its bytes.
    text = said.decode("utf-8", "backslashreplace")
    return {"token": text, "logprob": round(math.log(share), 8), "bytes": list(said)}
