"""What a prompt mentions by name: numbers, quoted words, proper names, addresses, dates.

A simulated model fills the parameters of a tool and the properties of a schema with them.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from labkit.localazure.inference.spelling import without_accents

_READ_CHARACTERS = 2_000
_UPPER = r"[^\W\d_a-ząćęłńóśźż]"
_PROPER = rf"{_UPPER}[\w'’-]+(?: {_UPPER}[\w'’-]+)*"
_NAMES = re.compile(_PROPER)
_LISTED = re.compile(rf"{_PROPER}(?:(?:, and |, or |, | and | or | i | oraz | lub ){_PROPER})+")
_BETWEEN = re.compile(r", and |, or |, | and | or | i | oraz | lub ")
_QUOTED = re.compile(r"[\"“„«`']([^\"“”„«»`'\n]{1,200})[\"”»`']")
_NUMBER = re.compile(r"(?<![\w.,-])-?\d{1,15}(?:[.,]\d{1,6})?(?![\w-])")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_URL = re.compile(r"https?://[^\s\"'<>]{1,300}")
_DATE = re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b")
_TIME = re.compile(r"\b(?:[01]\d|2[0-3]):[0-5]\d\b")
_SENTENCE_END = (".", "!", "?", ":", "\n")
_LETTERS = re.compile(r"[^\W\d_]+")


class Mentions(NamedTuple):
    """What a text mentions, each kind in the order of the text. Names that open a sentence come last.

    ``listed`` are the names of the longest enumeration ("Paris, Oslo and Rome"); ``words`` are plain and casefolded.
    """

    text: str
    numbers: tuple[float, ...]
    quoted: tuple[str, ...]
    names: tuple[str, ...]
    listed: tuple[str, ...]
    emails: tuple[str, ...]
    urls: tuple[str, ...]
    dates: tuple[str, ...]
    times: tuple[str, ...]
    words: frozenset[str]


def mentions_of(text: str) -> Mentions:
    """What the beginning of ``text`` mentions."""
    return _mentions_of(text[:_READ_CHARACTERS])


@lru_cache(maxsize=64)
def _mentions_of(read: str) -> Mentions:
    plain = _blanked(read, (_EMAIL, _URL, _DATE, _TIME))
    return Mentions(
        text=read,
        numbers=tuple(_number(found) for found in _NUMBER.findall(plain)),
        quoted=tuple(_QUOTED.findall(read)),
        names=_names(plain),
        listed=max((tuple(_BETWEEN.split(found)) for found in _LISTED.findall(plain)), key=len, default=()),
        emails=tuple(_EMAIL.findall(read)),
        urls=tuple(_URL.findall(read)),
        dates=tuple(_DATE.findall(read)),
        times=tuple(_TIME.findall(read)),
        words=frozenset(words_of(read)),
    )


def words_of(text: str) -> list[str]:
    """The words of ``text``, casefolded and without accents; ``fooBar`` and ``foo_bar`` are two words each."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return _LETTERS.findall(without_accents(parted).casefold())


def _names(text: str) -> tuple[str, ...]:
    inside: list[str] = []
    opening: list[str] = []
    for found in _NAMES.finditer(text):
        before = text[: found.start()].rstrip(" \t\"'“„(")
        opens = not before or before.endswith(_SENTENCE_END)
        if opens and " " in found[0]:  # "Ask Anna": the name may begin with its second word
            inside.append(found[0].partition(" ")[2])
        (opening if opens else inside).append(found[0])
    return tuple(inside + opening)


def _number(text: str) -> Any:
    value = float(text.replace(",", "."))
    return int(value) if value.is_integer() else value


def _blanked(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for pattern in patterns:
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    return text
