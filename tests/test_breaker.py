import openai
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from labkit.breaker import BreakerPolicy, CircuitBreaker, CircuitOpenError, is_outage
from labkit.errors import InvalidRequestError
from tests.scripted import REQUEST, filtered_prompt, refused, sdk_error

DOWN = sdk_error(refused(503))
THREE = BreakerPolicy(failures_in_a_row=3, window=8, open_s=30)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def breaker(policy=THREE):
    """A breaker, its clock, and the states it goes through."""
    clock, states = Clock(), []
    made = CircuitBreaker("big", policy, clock=clock, on_change=lambda changed: states.append(changed.state))
    return made, clock, states


def opened():
    """One that has just opened."""
    made, clock, states = breaker()
    for _ in range(3):
        made.admit().failure(DOWN)
    return made, clock, states


def refusal(of):
    """The error with which it refuses an attempt."""
    with pytest.raises(CircuitOpenError) as caught:
        of.admit()
    return caught.value


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        pytest.param(sdk_error(refused(500)), True, id="500"),
        pytest.param(DOWN, True, id="503"),
        pytest.param(sdk_error(refused(408)), True, id="408"),
        pytest.param(openai.APITimeoutError(REQUEST), True, id="timeout"),
        pytest.param(openai.APIConnectionError(request=REQUEST), True, id="connection"),
        pytest.param(sdk_error(refused(429)), False, id="429"),
        pytest.param(sdk_error(refused(400)), False, id="400"),
        pytest.param(sdk_error(refused(401)), False, id="401"),
        pytest.param(sdk_error(refused(404)), False, id="404"),
        pytest.param(sdk_error(filtered_prompt()), False, id="content filter"),
        pytest.param(ValueError("x"), False, id="of our own"),
    ],
)
def test_only_outages_count(error, counts):
    """A service that refuses a call works; one that cannot be reached, or breaks, does not."""
    made, _, _ = breaker()
    for _ in range(3):
        made.admit().end(error)
    assert is_outage(error) is counts
    assert made.state == ("open" if counts else "closed")


def test_a_run_of_failures_opens_it_and_the_error_tells_all():
    """Which deployment, since when, why, and when it is tried again."""
    made, clock, states = opened()
    clock.now_s += 12
    error = refusal(made)
    assert states == ["open"]
    assert repr(made) == "<CircuitBreaker big: open, next probe in 18 s>"
    assert str(error) == (
        "Deployment 'big' is not asked now: its circuit opened 12 s ago, after InternalServerError 503. "
        "The next probe is due in 18 s. Try again then, or give the service a fallback deployment."
    )
    assert (error.deployment, error.open_for_s, error.retry_in_s) == ("big", 12, 18)


def test_a_success_between_failures_starts_the_run_again():
    """Two, one, two: no run of three."""
    made, _, _ = breaker()
    for ok in (False, False, True, False, False):
        permit = made.admit()
        permit.success() if ok else permit.failure(DOWN)
    assert made.state == "closed"


def test_a_share_of_failures_opens_it_too():
    """Half of the last eight, never three in a row; not before eight are known."""
    made, _, _ = breaker()
    for number in range(8):
        assert made.state == "closed"
        permit = made.admit()
        permit.failure(DOWN) if number % 2 else permit.success()
    assert made.state == "open"


def test_after_a_while_one_probe_goes_and_the_others_wait():
    """Its success lets everybody through."""
    made, clock, states = opened()
    clock.now_s += 30
    probe = made.admit()
    assert "A probe is under way" in str(refusal(made))
    assert states == ["open", "half_open"]
    probe.success()
    assert states == ["open", "half_open", "closed"]
    assert not made.admit().is_stale


def test_a_probe_that_fails_opens_it_again_for_as_long():
    """And the error still tells since when the deployment is down."""
    made, clock, states = opened()
    clock.now_s += 40
    made.admit().failure(sdk_error(refused(500)))
    error = refusal(made)
    assert states == ["open", "half_open", "open"]
    assert (error.retry_in_s, error.open_for_s, error.last_error) == (30, 40, "InternalServerError 500")


def test_a_probe_that_is_refused_closes_it():
    """A 429 or a 400 is an answer: the deployment works."""
    for error in (sdk_error(refused(429)), sdk_error(refused(400))):
        made, clock, _ = opened()
        clock.now_s += 30
        made.admit().end(error)
        assert made.state == "closed"


def test_a_probe_whose_caller_left_makes_room_for_the_next():
    """Otherwise nobody would ever ask again."""
    made, clock, _ = opened()
    clock.now_s += 30
    made.admit().release()
    made.admit().success()
    assert made.state == "closed"


def test_the_services_word_keeps_it_open_for_longer_within_reason():
    """Retry-After of a 503 is kept up to two minutes; a shorter one does not shorten the rest."""
    for said, expected_s in (("60", 60), ("5", 30), ("86400", 120)):
        made, _, _ = breaker()
        for _ in range(3):
            made.admit().failure(sdk_error(refused(503, retry_after=said)))
        assert made.retry_in_s == expected_s


def test_what_was_sent_before_it_opened_is_no_news():
    """An old failure does not end a probe, an old success does not close the circuit."""
    made, clock, _ = breaker()
    slow, slower = made.admit(), made.admit()
    for _ in range(3):
        made.admit().failure(DOWN)
    slow.success()
    assert made.state == "open"
    clock.now_s += 30
    probe = made.admit()
    slower.failure(DOWN)
    assert (made.state, slower.is_stale, probe.is_stale) == ("half_open", True, False)


def test_a_health_check_is_never_refused_and_may_close_it():
    """A failed one keeps it as it is."""
    made, _, _ = opened()
    made.examine().failure(DOWN)
    assert made.state == "open"
    made.examine().success()
    assert made.state == "closed"


@pytest.mark.parametrize(
    "wrong",
    [{"failures_in_a_row": 0}, {"window": 0}, {"failure_share": 0}, {"failure_share": 1.1}, {"open_s": 0}],
    ids=str,
)
def test_a_policy_must_make_sense(wrong):
    """The error shows what was given."""
    with pytest.raises(InvalidRequestError, match=next(iter(wrong))):
        BreakerPolicy(**wrong)


class Everything(RuleBasedStateMachine):
    """Attempts that begin and end in any order, at any time."""

    def __init__(self):
        super().__init__()
        self.breaker, self.clock, _ = breaker()
        self.out, self.since_open = [], None

    @rule()
    def begin(self):
        state = self.breaker.state
        try:
            permit = self.breaker.admit()
        except CircuitOpenError as error:
            self.refused_by(state, error)
        else:
            self.out.append(permit)
            assert state != "open" or self.breaker.state == "half_open"

    def refused_by(self, state, error):
        assert state != "closed"
        assert (error.retry_in_s > 0) == (state == "open")

    @precondition(lambda self: self.out)
    @rule(which=st.integers(0, 100), end=st.sampled_from(["success", "failure", "release"]))
    def end(self, which, end):
        permit = self.out.pop(which % len(self.out))
        getattr(permit, end)(*([DOWN] if end == "failure" else []))
        permit.success()  # ending again is harmless

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds):
        self.clock.now_s += seconds

    @invariant()
    def at_most_one_probe(self):
        current = [permit for permit in self.out if not permit.is_stale]
        assert self.breaker.state != "half_open" or len(current) <= 1
        assert self.breaker.state != "open" or not current

    def teardown(self):
        """However it went, it can be asked again once everybody has ended and time has passed."""
        for permit in self.out:
            permit.release()
        self.clock.now_s += 1000
        self.breaker.admit().success()
        assert self.breaker.state == "closed"


TestEverything = Everything.TestCase
TestEverything.settings = settings(max_examples=40, stateful_step_count=30)
