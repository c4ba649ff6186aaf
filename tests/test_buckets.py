"""The two kinds of limit, by hand-picked times and by invariants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.localazure.inference.limits import Limiter
from labkit.pacing.buckets import Bucket, Window

TIMES = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 300)), min_size=1, max_size=60)


def test_a_bucket_refills_up_to_its_burst():
    """600 a minute are 10 a second, and 2 seconds' worth can be saved up."""
    bucket = Bucket(600, 2, at_s=0)
    assert bucket.take(0, 20).left == 0
    assert (bucket.wait_s(0, 5), bucket.level(1), bucket.level(60)) == (pytest.approx(0.5), 10, 20)


def test_a_bucket_holds_at_least_one():
    """A call a minute is few, but not none."""
    assert Bucket(1, 1, at_s=0).level(0) == 1


def test_what_is_larger_than_the_burst_waits_for_a_full_bucket():
    """It would wait for ever otherwise."""
    bucket = Bucket(600, 2, at_s=0)
    bucket.take(0, 20)
    assert bucket.wait_s(0, 1000) == pytest.approx(2)


@pytest.mark.parametrize("limit", [Bucket(600, 6, at_s=0), Window(600, 6)], ids=["bucket", "window"])
def test_what_is_given_back_was_never_taken(limit):
    """A call that did not reach the service."""
    taken = limit.take(0, 20)
    limit.give_back(0, taken)
    assert limit.level(0) == 60


@pytest.mark.parametrize("limit", [Bucket(600, 6, at_s=0), Window(600, 6)], ids=["bucket", "window"])
def test_a_refusal_is_told_once_by_all_who_were_refused_together(limit):
    """Three calls find it empty; the third is not the third to empty it."""
    refused = [limit.take(0, 10) for _ in range(3)]
    for taken in refused:
        limit.give_back(0, taken)
    for taken in refused:
        limit.found_empty(0, taken, 0, 6)
    assert limit.level(0) == pytest.approx(0)


@pytest.mark.parametrize("limit", [Bucket(600, 6, at_s=0), Window(600, 6)], ids=["bucket", "window"])
def test_a_remainder_that_can_be_read_in_two_ways_is_read_mildly(limit):
    """It may be as of the first call or of its answer, by which time another 30 were taken."""
    first = limit.take(0, 10)
    limit.take(0, 30)
    limit.correct(0, first, 50)  # as of the call: right
    limit.correct(0, first, 20)  # as of the answer: right
    limit.correct(0, first, 30)  # lower than the one, higher than the other: no news
    assert limit.level(0) == 20
    limit.correct(0, first, 5)
    assert limit.level(0) == 5
    limit.correct(0, first, 60, raise_it=False)
    assert limit.level(0) == 5


def test_a_window_gives_back_what_was_taken_a_span_ago():
    """The minute slides: 20, 20, 20 and 40 of 100 are used; 20 wait for the first, 40 for the second (FACTS.md)."""
    window = Window(100, 60)
    for at_s, amount in ((10, 20), (20, 20), (30, 20), (40, 40)):
        window.take(at_s, amount)
    assert [window.wait_s(50, amount) for amount in (20, 40, 100)] == [20, 30, 50]


def test_a_bucket_that_turns_out_to_be_a_window_remembers_its_minute():
    """What it let through too much comes back a minute after it was taken."""
    bucket = Bucket(100, 60, at_s=0)
    bucket.take(0, 60)
    bucket.take(30, 60)
    window = bucket.as_window(30, 60, 30)
    assert (window.level(30), window.level(61), window.level(91)) == (-20, 40, 100)


def test_a_window_that_others_have_filled_has_room_when_the_service_says_so():
    """Not a whole span after the refusal."""
    window = Window(100, 60)
    window.take(0, 10)
    refused = window.take(20, 30)
    window.give_back(20, refused)
    window.found_empty(20, refused, 0, 25)
    assert (window.level(20), window.level(45), window.level(60)) == (0, 90, 100)


def test_what_others_use_is_left_to_them_and_comes_back_when_they_stop():
    """Corrected by 5 a second, a bucket of 10 a second refills with little more than 5; after a minute with 10."""
    bucket = Bucket(600, 60, at_s=0)
    bucket.take(0, 600)
    for second in range(1, 30):
        taken = bucket.take(second, 0)
        bucket.correct(second, taken, 5.0 * second)
    assert bucket.level(30) - bucket.level(29) == pytest.approx(5, abs=1)
    bucket.take(90, 600)
    assert bucket.level(91) - bucket.level(90) == pytest.approx(10, abs=0.1)


def test_a_wrong_guess_of_the_burst_is_not_somebody_else():
    """The first correction of a guessed bucket tells only how large it is."""
    bucket = Bucket(600, 60, at_s=0, is_guessed=True)
    bucket.found_empty(1, bucket.take(1, 10), 0, 1)
    assert bucket.level(2) - bucket.level(1) == pytest.approx(10)


@given(steps=TIMES)
def test_a_bucket_never_lets_more_through_than_burst_and_refill(steps):
    """Whatever is asked for, whenever: the sum stays below what a strict service would have had."""
    bucket, now, passed = Bucket(600, 10, at_s=0), 0.0, 0.0
    for pause_s, amount in steps:
        now += pause_s
        if amount <= bucket.burst:
            now += bucket.wait_s(now, amount)
            bucket.take(now, amount)
            passed += amount
            assert passed <= 100 + now * 10 + 1e-6


@given(steps=TIMES)
def test_the_sliding_minute_agrees_with_that_of_the_local_azure(steps):
    """Whoever waits as long as the window says, and the second that the service rounds by, is never refused."""
    window, limiter, now = Window(1000, 61), Limiter(tpm=1017, rpm=100_000), 0.0
    for pause_s, amount in steps:
        now += pause_s
        now += window.wait_s(now, amount)
        window.take(now, amount)
        assert limiter.take(now, amount) is None
