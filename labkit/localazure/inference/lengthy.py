"""Answers of a length that the prompt asks for in words: "write at least 300 words", "około 200 słów"."""

import re
from collections.abc import Sequence

# Enough for the longest answers that load tests ask for, little enough for a student's machine.
MOST_WORDS = 4_000
# The request may stand before a long text or after it.
_SEARCHED_WORDS = 1_000

_NOUNS = ("words", "word", "słów", "slow", "słowa", "slowa", "wyrazów", "wyrazow")
_AMOUNTS = (
    *("at least", "no fewer than", "not less than", "minimum", "minimum of", "about", "around", "approximately"),
    *("roughly", "some", "exactly", "co najmniej", "przynajmniej", "nie mniej niż", "nie mniej niz", "około", "okolo"),
    *("ok.", "mniej więcej", "mniej wiecej", "dokładnie", "dokladnie"),
)
_ASKED = re.compile(
    rf"(?:{'|'.join(map(re.escape, _AMOUNTS))}) (\d{{1,3}}(?:[ ,.]\d{{3}})+|\d{{1,6}})[ -](?:{'|'.join(_NOUNS)})\b"
)
_MARKS = ("", *".,:;!?)\"'*”")
_SIGNALS = frozenset(noun + mark for noun in _NOUNS for mark in _MARKS)


def words_asked(words: Sequence[str]) -> int | None:
    """How many words the answer to a text is to have, given its words, casefolded; None when it does not say."""
    if _SIGNALS.isdisjoint(words):  # nearly every prompt
        return None
    parts = (words[:_SEARCHED_WORDS], words[-_SEARCHED_WORDS:])
    found = next((found for part in parts if (found := _ASKED.search(" ".join(part)))), None)
    return None if found is None else min(int(re.sub(r"\D", "", found[1])), MOST_WORDS)
