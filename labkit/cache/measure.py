"""How often a semantic cache would answer right and wrong at each threshold: measured, not believed.

    rows = await measure(bank_pairs(), embed_with("text-embedding-3-small"))
    threshold = lowest_threshold(rows)

The figures are those of one embedding model and one kind of question. Measure with pairs of your own before trusting
a threshold; a few hundred pairs without a false hit still leave about 3 in as many of them possible (95 %).
"""

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from labkit.bank import LANGUAGES, QUESTIONS
from labkit.cache.agreement import agree as same_signs
from labkit.cache.semantic import Embed
from labkit.errors import InvalidRequestError

THRESHOLDS = tuple(round(0.5 + 0.025 * step, 3) for step in range(20)) + (0.99,)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, and whether one's answer answers the other; ``kind`` says what sets them apart if not."""

    one: str
    other: str
    is_same: bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a threshold comes to. Shares are of the pairs that should, and that must not, be answered alike."""

    threshold: float
    hit_share: float
    false_hit_share: float
    hits: int
    same_pairs: int
    false_hits: int
    other_pairs: int


async def measure(
    pairs: Iterable[Pair],
    embed: Embed,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    agree: Callable[[str, str], bool] | None = same_signs,
) -> list[Measured]:
    """What each threshold comes to for ``pairs``, as rows: ``pandas.DataFrame(rows)`` makes a table of them.

    ``agree`` is the check beside the vectors; None measures without. A cache compares a question with all that it
    keeps, so one that keeps many gives a wrong answer more often than a single pair does.
    """
    scores = [(score, pair.is_same) for pair, score in await similarities(pairs, embed, agree=agree)]
    same, other = (sorted(score for score, is_same in scores if is_same is wanted) for wanted in (True, False))
    if not same or not other:
        raise InvalidRequestError("measure needs pairs that are the same question and pairs that are not.")
    return [_measured(threshold, same, other) for threshold in thresholds]


async def similarities(
    pairs: Iterable[Pair], embed: Embed, *, agree: Callable[[str, str], bool] | None = same_signs
) -> list[tuple[Pair, float]]:
    """Each pair with the cosine of its vectors, minus infinity where ``agree`` keeps it from being a hit."""
    import numpy as np

    listed = list(pairs)
    texts = list(dict.fromkeys(itertools.chain.from_iterable((pair.one, pair.other) for pair in listed)))
    vectors = np.asarray(await embed(texts), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = {text: number for number, text in enumerate(texts)}
    cosines = ((pair, float(vectors[place[pair.one]] @ vectors[place[pair.other]])) for pair in listed)
    return [(pair, cosine if agree is None or agree(pair.one, pair.other) else -math.inf) for pair, cosine in cosines]


def lowest_threshold(rows: Iterable[Measured], *, max_false_hit_share: float = 0.0) -> float:
    """The lowest threshold from which on no more than ``max_false_hit_share`` are false hits."""
    fitting = list(itertools.takewhile(lambda row: row.false_hit_share <= max_false_hit_share, _from_the_top(rows)))
    if not fitting:
        raise InvalidRequestError("No threshold has as few false hits: this model cannot tell these questions apart.")
    return fitting[-1].threshold


def bank_pairs(*, unrelated: bool = False) -> list[Pair]:
    """Labelled pairs from the question bank: paraphrases, look-alikes (by kind), and questions with another number.

    With ``unrelated`` also every two questions of one language: over 5,000 easy pairs, which make a share of false
    hits look small.
    """
    text_of = {question.id: question.text for question in QUESTIONS}
    data = tomllib.loads(files("labkit").joinpath("data", "paraphrases.toml").read_text("utf-8"))
    pairs = [Pair(text_of[id], said, True) for id, texts in data["same"].items() for said in texts]
    for kind, table in data["other"].items():
        pairs += [Pair(text_of[id], asked, False, kind) for id, texts in table.items() for asked in texts]
    pairs += [Pair(text, _next_number(text), False, "number") for text in text_of.values() if _NUMBER.search(text)]
    for language in LANGUAGES if unrelated else ():
        texts = [question.text for question in QUESTIONS if question.language == language]
        pairs += [Pair(one, other, False, "question") for one, other in itertools.combinations(texts, 2)]
    return pairs


_NUMBER = re.compile(r"\d+")


def _next_number(text: str) -> str:
    """``text`` with its last number one higher: a small change that changes the answer, or the question."""
    last = list(_NUMBER.finditer(text))[-1]
    return f"{text[: last.start()]}{int(last[0]) + 1}{text[last.end() :]}"


def _measured(threshold: float, same: Sequence[float], other: Sequence[float]) -> Measured:
    hits, false_hits = (sum(score >= threshold for score in scores) for scores in (same, other))
    return Measured(threshold, hits / len(same), false_hits / len(other), hits, len(same), false_hits, len(other))


def _from_the_top(rows: Iterable[Measured]) -> list[Measured]:
    return sorted(rows, key=lambda row: row.threshold, reverse=True)
