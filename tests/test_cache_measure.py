"""The measurement behind the threshold: with numbers worked out by hand, and with the simulation's vectors."""

import math

import pytest

from labkit.bank import QUESTIONS
from labkit.cache.measure import Pair, bank_pairs, lowest_threshold, measure, similarities
from labkit.cache.semantic import DEFAULT_THRESHOLD
from labkit.errors import InvalidRequestError
from labkit.localazure.inference.vectors import vector

ANGLES = {"a": 0, "b": 10, "c": 30, "d": 60}
PAIRS = [Pair("a", "b", True), Pair("a", "c", True), Pair("b", "c", False), Pair("a", "d", False)]


async def on_a_circle(texts):
    """Vectors two units long, at the angles above."""
    return [[2 * math.cos(math.radians(ANGLES[t])), 2 * math.sin(math.radians(ANGLES[t]))] for t in texts]


async def simulated(texts):
    """The local Azure's vectors, without the way over the wire."""
    return [vector(text, 1536) for text in texts]


async def test_shares_are_those_counted_by_hand():
    """Cosines: same 0.985 and 0.866, other 0.940 and 0.5."""
    rows = await measure(PAIRS, on_a_circle, thresholds=(0.4, 0.6, 0.9, 0.95), agree=None)
    found = [(row.threshold, row.hits, row.hit_share, row.false_hits, row.false_hit_share) for row in rows]
    assert found == [(0.4, 2, 1, 2, 1), (0.6, 2, 1, 1, 0.5), (0.9, 1, 0.5, 1, 0.5), (0.95, 1, 0.5, 0, 0)]
    assert (rows[0].same_pairs, rows[0].other_pairs) == (2, 2)


async def test_what_does_not_agree_is_no_hit():
    """A check of one's own keeps pairs apart however close they are."""
    rows = await measure(PAIRS, on_a_circle, thresholds=(0.4,), agree=lambda one, other: "b" not in (one, other))
    assert (rows[0].hits, rows[0].false_hits) == (1, 1)
    pairs = await similarities(PAIRS, on_a_circle, agree=lambda *_: False)
    assert {cosine for _, cosine in pairs} == {-math.inf}


async def test_the_lowest_threshold_without_false_hits():
    """Also with the rows in any order, and for a share one can live with."""
    rows = await measure(PAIRS, on_a_circle, thresholds=(0.95, 0.4, 0.9, 0.6, 0.99), agree=None)
    assert lowest_threshold(rows) == 0.95
    assert lowest_threshold(rows, max_false_hit_share=0.5) == 0.6
    with pytest.raises(InvalidRequestError, match="No threshold has as few"):
        lowest_threshold(rows[1:2])


async def test_both_kinds_of_pairs_are_needed():
    """Without look-alikes every threshold would look fine."""
    with pytest.raises(InvalidRequestError, match="pairs that are not"):
        await measure(PAIRS[:2], on_a_circle)


def test_the_banks_pairs_are_what_they_say():
    """Paraphrases ask a question of the bank, look-alikes another one; there are some of each kind and language."""
    pairs = bank_pairs()
    texts = {question.text for question in QUESTIONS}
    kinds = {pair.kind for pair in pairs if not pair.is_same}
    assert kinds == {"number", "negation", "opposite", "reversal", "name", "operator", "language", "wording"}
    assert all(pair.one in texts and pair.other not in texts and pair.one != pair.other for pair in pairs)
    assert sum(pair.is_same for pair in pairs) >= 70
    assert sum(not pair.is_same for pair in pairs) >= 150
    assert len({(pair.one, pair.other) for pair in pairs}) == len(pairs)
    assert len(bank_pairs(unrelated=True)) - len(pairs) == 2 * 72 * 71 // 2


async def test_the_default_has_no_false_hit_with_the_simulations_vectors():
    """It is the lowest such threshold; the check beside the vectors spares most false hits and few hits."""
    pairs = bank_pairs(unrelated=True)
    checked, unchecked = await measure(pairs, simulated), await measure(pairs, simulated, agree=None)
    assert lowest_threshold(checked) == DEFAULT_THRESHOLD
    by_threshold = {row.threshold: (row, bare) for row, bare in zip(checked, unchecked, strict=True)}
    row, bare = by_threshold[0.9]
    assert row.false_hits <= bare.false_hits / 20
    assert row.hits >= 0.9 * bare.hits
    assert all(row.false_hits <= bare.false_hits / 5 for row, bare in by_threshold.values())
