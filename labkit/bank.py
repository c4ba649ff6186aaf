"""The question bank: prompts with known answers, so that "which model is better" has an answer, too.

144 questions, read from ``data/questions.en.toml`` and ``data/questions.pl.toml``: half English, half Polish, six
kinds, three levels, the same number of each. The local Azure answers them as well as the catalogue says a model can;
the call layer and the grader ask them and judge the answers with ``is_right``.
"""

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "pl")
KINDS = ("arithmetic", "fact", "extraction", "classification", "translation", "code")
LEVELS = (1, 2, 3)

_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:[ ,]\d{3})+(?!\d)")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
# A number with its sign and decimals, or a word; "72km" is a number and a word, "b10" is one word.
_WORD = re.compile(r"(?:(?<![^\W_])-)?\d+(?:\.\d+)*|[^\W\d_][^\W_]*")


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt with its answer.

    ``level`` goes from 1 (easy) to 3 (hard); ``accept`` lists every form that counts as right, ``answer`` included;
    ``wrong`` is what a model that errs says; ``explanation`` is what one adds that was not asked to be brief.
    """

    id: str
    language: str
    kind: str
    level: int
    text: str
    answer: str
    accept: tuple[str, ...]
    wrong: str
    explanation: str


def find(text: str) -> Question | None:
    """The question that ``text`` asks, alone or with words around it; None when it asks none of the bank's.

    Upper case and white space do not matter. Of several questions in one text the longest is found.
    """
    return find_words(text.casefold().split())


def find_words(words: list[str]) -> Question | None:
    """The question that a text asks, given its words as ``str.casefold`` and ``str.split`` make them."""
    folded = " ".join(words)
    if exact := _BY_TEXT.get(folded):
        return exact
    asked = [item for word in words if word in _BY_ANCHOR for item in _BY_ANCHOR[word] if item[0] in folded]
    return max(asked, key=_length)[1] if asked else None


def is_right(question: Question, answer: str) -> bool:
    """True when ``answer`` gives an accepted form of the right answer.

    Words must match whole, whatever their case and accents; numbers must match exactly, whatever separates their
    thousands and decimals ("1 024", "1,024" and "1024" are one number, "3,5" is "3.5"; so three decimals after a comma
    are read as thousands). A classification counts by the label it names first, since its question names them all.
    """
    said = _words(answer)
    places = [said.find(_words(form)) for form in question.accept]
    right = min((place for place in places if place >= 0), default=-1)
    if right < 0:
        return False
    wrong = said.find(_words(question.wrong)) if question.kind == "classification" else -1
    return wrong < 0 or right <= wrong


def sample(
    n: int, *, language: str | None = None, level: int | None = None, kind: str | None = None, seed: int = 0
) -> list[Question]:
    """``n`` different questions that match every filter given: the same ones for the same ``seed``, on every machine.

    ValueError when a filter matches nothing at all or there are not as many.
    """
    wanted = {"language": language, "level": level, "kind": kind}
    _check(wanted)
    filters = [(name, value) for name, value in wanted.items() if value is not None]
    matching = [q for q in QUESTIONS if all(getattr(q, name) == value for name, value in filters)]
    if not 0 <= n <= len(matching):
        raise ValueError(f"The bank has {len(matching)} such questions, {n} were asked for. Ask for fewer.")
    return sorted(matching, key=lambda q: _shuffled(seed, q))[:n]


def _check(wanted: dict[str, Any]) -> None:
    for name, allowed in (("language", LANGUAGES), ("level", LEVELS), ("kind", KINDS)):
        if wanted[name] is not None and wanted[name] not in allowed:
            known = ", ".join(str(value) for value in allowed)
            raise ValueError(f"The bank has no questions with {name} {wanted[name]!r}. It knows: {known}.")


def _shuffled(seed: int, question: Question) -> bytes:
    return blake2b(f"{seed}/{question.id}".encode(), digest_size=8).digest()


def _length(item: tuple[str, Question]) -> int:
    return len(item[0])


def _anchor(folded: str) -> str:
    """The longest word inside ``folded``. Neither its first nor its last, which other signs may touch in a prompt."""
    return max(folded.split()[1:-1], key=len)


def _words(text: str) -> str:
    """The words of ``text`` without accents, each between two spaces, so that a substring is a run of whole words."""
    plain = text.casefold()
    if not plain.isascii():
        decomposed = unicodedata.normalize("NFKD", plain.replace("\u2212", "-").replace("ł", "l"))
        plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    joined = _THOUSANDS.sub(lambda group: re.sub("[ ,]", "", group[0]), plain)
    return "".join(f" {word} " for word in _WORD.findall(_DECIMAL_COMMA.sub(".", joined)))


def _read() -> tuple[Question, ...]:
    data = files("labkit").joinpath("data")
    tables = [tomllib.loads(data.joinpath(f"questions.{code}.toml").read_text("utf-8")) for code in LANGUAGES]
    return tuple(_question(id, table) for document in tables for id, table in document.items())


def _question(id: str, table: dict[str, Any]) -> Question:
    language, kind, place = id.split("-")
    accept = (table["answer"], *table.get("accept", ()))
    return Question(**{**table, "id": id, "language": language, "kind": kind, "level": int(place[0]), "accept": accept})


QUESTIONS: tuple[Question, ...] = _read()
_BY_TEXT = {" ".join(question.text.casefold().split()): question for question in QUESTIONS}
# Looking up each word of a prompt is quicker than searching the prompt for 144 questions.
_BY_ANCHOR: dict[str, list[tuple[str, Question]]] = {}
for _item in _BY_TEXT.items():
    _BY_ANCHOR.setdefault(_anchor(_item[0]), []).append(_item)
