"""The texts, numbers and choices at the leaves of a simulated value, taken from the prompt where it names them."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from labkit.localazure.inference.json_pointer import find
from labkit.localazure.inference.mentions import Mentions, words_of
from labkit.localazure.inference.spelling import without_accents

_SUM = re.compile(r"[-(]?\d[\d\s.,()+*/×÷^%−-]*\d\)?")
_MOST_PROPERTIES = 100
_SEARCHED_LEVELS = 4


class Source(NamedTuple):
    """What values are made from: what the prompt mentions, what the model has to say, and bytes to choose by.

    ``answer`` goes into the property that asks for one, ``explanation`` into those that ask for reasons, ``sentence``
    wherever a text of some length fits.
    """

    mentions: Mentions
    draw: bytes
    sentence: str = ""
    answer: str | None = None
    explanation: str = ""


class Leaves:
    """Chooses what stands at the leaves. What the prompt mentions is used once.

    ``placed`` is the source's answer once it has its place, None before.
    """

    def __init__(self, root: Mapping[str, Any], source: Source) -> None:
        self._mentions = source.mentions
        self._source = source
        self._taken: list[object] = []
        self._offered: object = None  # the answer, as the value that was offered for it last
        self._answer_names = _answer_names(root) if source.answer is not None else frozenset()
        self.placed: str | None = None

    def take(self, value: object) -> None:
        """Note that ``value`` has its place and is not offered again."""
        self._taken.append(value)
        if self.placed is None and value is not None and value == self._offered:
            self.placed = self._source.answer

    def is_named(self, text: str) -> bool:
        """True when the prompt has every word of ``text``."""
        words = words_of(text)
        return bool(words) and self._mentions.words.issuperset(words)

    def chosen(self, allowed: Sequence[Any], name: str, turn: int) -> Any:
        """One of the ``allowed`` values: the answer, what the prompt names, or any."""
        if self._asks_answer(name):
            text, number = _plain(self._source.answer or ""), _as_number(self._source.answer or "")
            for value in allowed:
                if (_plain(value) == text) if isinstance(value, str) else (value is not None and value == number):
                    self.placed = self._source.answer
                    return value
        named = [value for value in allowed if isinstance(value, str) and self.is_named(value)]
        if named:
            return named[turn % len(named)]
        return allowed[(self._source.draw[7] + turn) % len(allowed)]

    def truth(self, turn: int) -> bool:
        """True or False, as the bytes have it."""
        return (self._source.draw[8] + turn) % 2 == 0

    def numbers(self, name: str, turn: int) -> Iterator[float]:
        """The numbers that may stand in the property ``name``, the best one first."""
        self._offered = None
        if self._asks_answer(name) and (number := _as_number(self._source.answer or "")) is not None:
            self._offered = number
            yield number
            self._offered = None
        words = frozenset(words_of(name))
        usual = [value for word in words if isinstance(value := _USUAL.get(word), int | float)]
        yield from (number for number in self._mentions.numbers if number not in self._taken)
        yield from usual if turn == 0 else ()

    def formatted(self, kind: str) -> str | None:
        """A text in the format ``kind``, the prompt's own where it has one; None for a format not known here."""
        mentions = self._mentions
        own = {
            "date": mentions.dates,
            "date-time": tuple(f"{date}T{(*mentions.times, '12:00')[0]}:00Z" for date in mentions.dates),
            "time": tuple(f"{time}:00Z" for time in mentions.times),
            "email": mentions.emails,
            "uri": mentions.urls,
        }.get(kind, ())
        free = [text for text in own if text not in self._taken]
        if free:
            self.take(free[0])
            return free[0]
        return _FORMATS.get(kind)

    def texts(self, name: str, turn: int) -> Iterator[str]:
        """The texts that may stand in the property ``name``, the best one first."""
        self._offered = None
        source, mentions, words = self._source, self._mentions, frozenset(words_of(name))
        if self._asks_answer(name):
            self._offered = source.answer
            yield source.answer or ""
            self._offered = None
        if words & _NAMES["reason"] and source.explanation:
            yield source.explanation
        if words & _NAMES["sum"]:
            yield from (found.strip() for found in _SUM.findall(mentions.text))
        if words & _NAMES["prompt"] and mentions.text and not mentions.quoted:
            yield mentions.text.strip()
        if not words & (_NAMES["reason"] | _NAMES["prose"]):
            yield from self._mentioned(words)

    def words(self, name: str, turn: int) -> str:
        """What stands in the property ``name`` when nothing in the prompt may."""
        words = words_of(name)
        if self._source.sentence and set(words) & (_NAMES["reason"] | _NAMES["prose"] | _NAMES["answer"]):
            return _turned(self._source.sentence, turn)
        usual = next((value for word in words if isinstance(value := _USUAL.get(word), str)), None)
        return _turned(usual or " ".join(words) or "example", turn)

    def _mentioned(self, words: frozenset[str]) -> Iterator[str]:
        mentions = self._mentions
        kinds = (("email", mentions.emails), ("date", mentions.dates), ("url", mentions.urls))
        special = [text for kind, found in kinds if words & _NAMES[kind] for text in found]
        yield from (text for text in (*special, *mentions.quoted, *mentions.names) if text not in self._taken)

    def _asks_answer(self, name: str) -> bool:
        return self.placed is None and name in self._answer_names


def _answer_names(root: Mapping[str, Any]) -> frozenset[str]:
    """The names of the properties that ask for the answer: usual ones, as near to the root as there are any, else the
    first that holds a text or a number and no reason.
    """
    first: list[str] = []
    level: list[Any] = [root]
    for _ in range(_SEARCHED_LEVELS):
        members = [item for schema in level for item in _members(schema, root)][:_MOST_PROPERTIES]
        leaves = [name for name, inner in members if _is_leaf(inner)]
        usual = [name for name in leaves if _NAMES["answer"].intersection(words_of(name))]
        if usual:
            return frozenset(usual)
        first = first or [name for name in leaves if not _NAMES["reason"].intersection(words_of(name))][:1]
        level = [inner for _, inner in members]
    return frozenset(first)


def _members(schema: Any, root: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The properties of an object, or of the objects in an array."""
    target = _followed(schema, root)
    target = _followed(target.get("items", target), root)
    for name, inner in list(target.get("properties", {}).items())[:_MOST_PROPERTIES]:
        yield name, _followed(inner, root)


def _followed(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    target = find(root, schema["$ref"]) if isinstance(schema, Mapping) and "$ref" in schema else schema
    return target if isinstance(target, Mapping) else {}


def _is_leaf(schema: Mapping[str, Any]) -> bool:
    """True for what holds a text, a number or one of a few values."""
    kinds = schema.get("type", "string" if "enum" in schema else "")
    return not {"string", "number", "integer"}.isdisjoint((kinds,) if isinstance(kinds, str) else kinds)


def _as_number(text: str) -> float | None:
    plain = text.strip().rstrip(".").replace(" ", "").replace("−", "-")
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain).replace(",", ".")
    found = re.match(r"-?\d+(?:\.\d+)?", plain)
    if found is None:
        return None
    value = float(found[0])
    return int(value) if value.is_integer() else value


def _plain(text: str) -> str:
    return without_accents(text.casefold()).strip(" .")


def _turned(text: str, turn: int) -> str:
    """``text``, told apart from the one of another ``turn``."""
    return text if turn == 0 else f"{text} {turn + 1}"


_DATA = tomllib.loads(files("labkit").joinpath("data/properties.toml").read_text("utf-8"))
_NAMES: Mapping[str, frozenset[str]] = {
    kind: frozenset(names.split()) for kind, names in _DATA.items() if isinstance(names, str)
}
_USUAL: Mapping[str, str | float] = {name: value for names, value in _DATA["usual"].items() for name in names.split()}
_FORMATS: Mapping[str, str] = _DATA["formats"]
# Words that say nothing of what a function is about.
COMMON = _NAMES["common"]
# English words for Polish ones, by their first five letters.
ENGLISH: Mapping[str, str] = _DATA["english"]
