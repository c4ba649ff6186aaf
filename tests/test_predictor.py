"""Probabilities from features: what they learn, and that they do not learn what they must not see."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.routing.predictor import Logistic, asked_text, fold_of, length_features, out_of_fold

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(400, 2))
# What happens depends on the first feature alone.
HAPPENED = (RANDOM.random(400) < 1 / (1 + np.exp(-2 * X[:, 0] - 0.5))).astype(float)


def test_the_probabilities_are_those_behind_the_data():
    """Four hundred draws give the curve they were drawn from back, and leave the useless feature aside."""
    fitted = Logistic.fit(X, HAPPENED)
    true = 1 / (1 + np.exp(-2 * X[:, 0] - 0.5))
    assert np.abs(fitted.probabilities(X) - true).mean() < 0.05
    assert abs(fitted.weights[1]) < 0.2 * fitted.weights[0]


def test_expected_and_seen_agree_in_all():
    """Probabilities add up to what happened: they are calibrated as a whole."""
    assert Logistic.fit(X, HAPPENED).probabilities(X).mean() == pytest.approx(HAPPENED.mean(), abs=0.002)


def test_one_prompt_is_judged_as_many_are():
    """The way without numpy gives the same number."""
    fitted = Logistic.fit(X, HAPPENED)
    assert [fitted.probability(row) for row in X[:9]] == pytest.approx(fitted.probabilities(X[:9]).tolist())


@given(st.integers(2, 40), st.booleans())
def test_a_sample_without_a_failure_is_not_taken_for_certainty(size, always):
    """A few answers that are all right (or all wrong) leave doubt; more of them leave less."""
    chances = [Logistic.fit(np.zeros((n, 1)), np.full(n, float(always))).probability([0.0]) for n in (size, size + 10)]
    doubts = [1 - chance if always else chance for chance in chances]
    assert 0 < doubts[1] < doubts[0] < 0.5


def test_what_is_held_out_does_not_teach():
    """Turning the outcome of one question round leaves its own prediction as it was, and moves others'."""
    groups = np.arange(400)
    before = out_of_fold(X, HAPPENED, groups, folds=5, seed=1)
    turned = HAPPENED.copy()
    turned[7] = 1 - turned[7]
    after = out_of_fold(X, turned, groups, folds=5, seed=1)
    assert after[7] == before[7]
    assert (after != before).any()


@given(st.integers(1, 60), st.integers(2, 7), st.integers(0, 5))
def test_every_row_is_held_out_once_and_groups_stay_together(rows, folds, seed):
    """Repeated answers to one question are in one fold."""
    groups = np.arange(rows) // 2
    held_out = fold_of(groups, folds=folds, seed=seed)
    assert sum(mask.astype(int) for mask in held_out).tolist() == [1] * rows
    for mask in held_out:
        assert not set(groups[mask]) & set(groups[~mask])


def test_it_survives_json():
    """Plain numbers go out, and come back as the same regression."""
    fitted = Logistic.fit(X, HAPPENED)
    assert Logistic.from_dict(fitted.as_dict()) == fitted


def test_the_question_is_what_the_user_said_last():
    """Not the system prompt, not an earlier turn; pictures and tool results have no words."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": [{"type": "text", "text": "Second?"}, {"type": "image_url", "image_url": {}}]},
    ]
    assert asked_text(messages) == "Second?"
    assert asked_text(messages[:1]) == ""
    assert length_features("") == (0.0, 0.0)
    assert length_features("two words") == pytest.approx((math.log(10), math.log(3)))
