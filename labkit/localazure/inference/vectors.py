"""Texts as vectors, similar texts close together, without a model.

A text is cut into words and pieces of words; each piece adds to a few places of the vector that its hash picks. Texts
that share pieces point in similar directions, the same text in the same one, on every machine. The places lie in
nested parts of the vector, so that its beginning alone, normalised again, still tells texts apart: that is how
``dimensions`` shortens the vectors of the real text-embedding-3 models.
"""

import math
import re
from collections import Counter
from functools import lru_cache
from hashlib import blake2b

from labkit.localazure.inference.spelling import without_accents

_WORD = re.compile(r"\w+")
_SIZES = (3, 4)
# Longer texts are sampled, so that one request cannot keep the server busy.
_MOST_WORDS = 500
_WORD_CHARACTERS = 64
_PARTS = (0, 64, 256, 1024)


def vector(text: str, dimensions: int, shortened: int | None = None) -> list[float]:
    """The unit vector of ``text``: ``dimensions`` numbers (over 1,024), or a unit vector of the first ``shortened``."""
    size = dimensions if shortened is None else shortened
    touched: dict[int, float] = {}
    for piece, times in _pieces(text).items():
        weight = math.sqrt(times)
        for place, sign in _places(piece, dimensions):
            if place < size:
                touched[place] = touched.get(place, 0.0) + sign * weight
    length = math.sqrt(sum([value * value for value in touched.values()]))
    if length == 0.0:  # a text without a word, or an unlucky short beginning
        return [1.0, *[0.0] * (size - 1)]
    values = [0.0] * size
    for place, value in touched.items():
        values[place] = value / length
    return values


def _pieces(text: str) -> Counter[str]:
    words = _WORD.findall(without_accents(text.casefold())) or [text]
    if len(words) > _MOST_WORDS:
        words = words[:: -(-len(words) // _MOST_WORDS)]
    pieces: list[str] = []
    for word in words:
        padded = f"<{word[:_WORD_CHARACTERS]}>"
        pieces += (padded, padded)  # whole words say more than their pieces
        for size in _SIZES:
            pieces += [padded[start : start + size] for start in range(len(padded) - size + 1)]
    return Counter(pieces)


@lru_cache(maxsize=20_000)
def _places(piece: str, dimensions: int) -> tuple[tuple[int, float], ...]:
    """One place in each nested part of the vector, with a sign, so that unrelated pieces cancel out on average."""
    digest = blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    places = []
    for part, (low, high) in enumerate(zip(_PARTS, (*_PARTS[1:], dimensions), strict=True)):
        seen = int.from_bytes(digest[4 * part : 4 * part + 4], "little")
        places.append((low + (seen >> 1) % (high - low), 1.0 if seen & 1 else -1.0))
    return tuple(places)
