"""How the simulated models put their answers: in the prompt's language, at length or briefly, in several ways.

The words are in ``data/wording.toml``. Which of several ways is taken is decided by a few bytes (``draw``), so the same
bytes give the same words.
"""

import tomllib
from collections.abc import Sequence
from enum import IntEnum
from importlib.resources import files
from typing import Any

from labkit.bank import Question
from labkit.localazure.inference.images import Image
from labkit.localazure.inference.readable import readable
from labkit.localazure.inference.spelling import spellings

# "ó" is left out: Spanish and Portuguese have it, too.
_POLISH_LETTERS = frozenset("ąćęłńśźżĄĆĘŁŃŚŹŻ")
_TOPIC_WORDS = 8
_TOPIC_CHARACTERS = 60
_LANGUAGE_CHARACTERS = 1_000
_MOST_RESULTS = 10
_NO_TOPIC = {"en": "your message", "pl": "twoja wiadomość"}


class Length(IntEnum):
    """How long an answer is asked to be."""

    TERSE = 0
    BRIEF = 1
    FULL = 2


def length_asked(words: Sequence[str]) -> Length:
    """How long an answer a text asks for in English or Polish, given its words, casefolded."""
    signals = _CUE_WORDS.intersection(words)
    if not signals:  # most prompts
        return Length.FULL
    folded = " ".join(words)
    asked = [length for signal in signals for cue, length in _CUES[signal] if cue in folded]
    return min(asked, default=Length.FULL)


def language_of(*texts: str) -> str:
    """``pl`` or ``en``: what the letters and small words of the first telling one of ``texts`` say, else ``en``."""
    for text in texts:
        beginning = text[:_LANGUAGE_CHARACTERS]
        if not _POLISH_LETTERS.isdisjoint(beginning):
            return "pl"
        words = beginning.casefold().split()
        difference = len(_POLISH_WORDS.intersection(words)) - len(_ENGLISH_WORDS.intersection(words))
        if difference:
            return "pl" if difference > 0 else "en"
    return "en"


def to_question(question: Question, right: bool, length: Length, draw: bytes) -> str:
    """A right or a wrong answer to a question of the bank."""
    words = _WORDS[question.language]
    answer = (question.answer if right else question.wrong).rstrip(".")
    if length is Length.TERSE:
        return answer
    if length is Length.BRIEF:
        return _pick(words["brief"], draw[0]).replace("{answer}", answer).replace("?.", "?")
    template = _pick(words["right" if right else "wrong"], draw[0])
    return template.replace("{explanation}", question.explanation).replace("{answer}", f"**{answer}**")


def to_anything(prompt: str, language: str, length: Length, draw: bytes) -> str:
    """A sensible answer to a prompt that the bank does not know: it quotes the prompt and speaks in general terms."""
    words = _WORDS[language]
    topic = _topic(prompt) or _NO_TOPIC[language]
    if length is not Length.FULL:
        return _definition(prompt, language) or _pick(words["short"], draw[0]).replace("{topic}", topic)
    opener = _definition(prompt, language) or _pick(words["opener"], draw[0]).replace("{topic}", topic)
    return " ".join((opener, *_points(words, draw), _pick(words["closer"], draw[4])))


def of_length(prompt: str, language: str, words: int, draw: bytes) -> str:
    """An answer to anything of about ``words`` words, not fewer."""
    text = _WORDS[language]
    topic = _topic(prompt) or _NO_TOPIC[language]
    opener = _pick(text["opener"], draw[0]).replace("{topic}", topic)
    said, count = [opener], len(opener.split())
    sentences: list[str] = text["point"]
    place, step = draw[2], 2 * (draw[1] % 4) + 1
    while count < words:
        said.append(sentences[place % len(sentences)])
        count += len(said[-1].split())
        place += step
    return " ".join(said)


def sentence(language: str, draw: bytes) -> str:
    """A sentence that is true of most things."""
    return _pick(_WORDS[language]["point"], draw[2])


def about_images(images: Sequence[Image], language: str, draw: bytes) -> str:
    """What a model that was shown pictures says of them: format and size, all that is known of them here."""
    words = _WORDS[language]
    seen = [
        words["image"].replace("{format}", image.format).replace("{size}", f"{image.width} × {image.height}")
        for image in images
    ]
    return " ".join((*seen, _pick(words["closer"], draw[4])))


def from_results(results: Sequence[tuple[str, str]], language: str, draw: bytes) -> str:
    """An answer that says what the called functions gave: name and result of each."""
    template = _pick(_WORDS[language]["result"], draw[0])
    said = [
        template.replace("{name}", name or "tool").replace("{result}", readable(result))
        for name, result in results[:_MOST_RESULTS]
    ]
    return " ".join(said)


def _points(words: dict[str, Any], draw: bytes) -> list[str]:
    fewest, most = words["points"]
    sentences: list[str] = words["point"]
    step = 2 * (draw[1] % 4) + 1  # odd, and eight sentences: none comes twice
    count = fewest + draw[3] % (most - fewest + 1)
    return [sentences[(draw[2] + step * place) % len(sentences)] for place in range(count)]


def _definition(prompt: str, language: str) -> str | None:
    """What the first word of the course in ``prompt`` means; None when there is none."""
    terms = _TERMS[language]
    words = prompt[:_LANGUAGE_CHARACTERS].casefold().split()
    return None if terms.keys().isdisjoint(words) else next(terms[word] for word in words if word in terms)


def _topic(prompt: str) -> str:
    words = prompt[:_LANGUAGE_CHARACTERS].split()
    topic = " ".join(words[:_TOPIC_WORDS])[:_TOPIC_CHARACTERS].rstrip(" .,;:!?")
    return topic + "…" if topic and len(words) > _TOPIC_WORDS else topic


def _pick(choices: list[str], number: int) -> str:
    return choices[number % len(choices)]


# What may follow a word in a prompt.
_MARKS = ("", *".,:;!?)\"'*”")
# Looking up each word of a prompt is quicker than searching the prompt for every cue. Of each cue one word is looked
# up, with the marks that may follow it; not a word that stands in every other prompt.
_USUAL = ("answer", "explain", "number", "odpowiedź", "odpowiedz", "odpowiedzi", "liczbę", "liczbe")


def _cues() -> dict[str, list[tuple[str, Length]]]:
    """The cues for each length, by the word that signals them."""
    found: dict[str, list[tuple[str, Length]]] = {}
    for words in _WORDS.values():
        for name, length in (("terse", Length.TERSE), ("concise", Length.BRIEF)):
            for cue in (spelled for phrase in words[name] for spelled in spellings(phrase)):
                signal = max((word for word in cue.split() if word not in _USUAL), key=len)
                for mark in _MARKS:
                    found.setdefault(signal + mark, []).append((cue, length))
    return found


_WORDS: dict[str, dict[str, Any]] = tomllib.loads(files("labkit").joinpath("data/wording.toml").read_text("utf-8"))
_CUES = _cues()
_TERMS = {
    language: {term + mark: meaning for term, meaning in words["terms"].items() for mark in _MARKS}
    for language, words in _WORDS.items()
}
_CUE_WORDS = frozenset(_CUES)
_POLISH_WORDS, _ENGLISH_WORDS = (frozenset(_WORDS[language]["small"].split()) for language in ("pl", "en"))
