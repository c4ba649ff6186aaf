import pytest

from labkit.cache import MemoryCache
from labkit.metering import UsageMeter
from labkit.plugins import CACHE, CACHE_KEY, METER, RETRY, PluginError, check_plugin, checked_answer, checked_key
from labkit.retry import RetryPolicy
from tests.scripted import completion


class OnlyGet:
    def get(self, key): ...


class AsyncCache(OnlyGet):
    async def put(self, key, answer): ...


class ForgetfulMeter:
    def record(self, deployment, answer): ...


class Generous:
    """More parameters than needed are fine when they have defaults, and so is a catch-all."""

    def wait_s(self, error, attempt, extra=None): ...

    def record(self, *args, **kwargs): ...


@pytest.mark.parametrize(
    ("part", "calls"),
    [
        pytest.param(MemoryCache(), CACHE, id="memory cache"),
        pytest.param(RetryPolicy(), RETRY, id="retry policy"),
        pytest.param(UsageMeter(), METER, id="usage meter"),
        pytest.param(Generous(), RETRY, id="extra parameters with defaults"),
        pytest.param(Generous(), METER, id="catch-all parameters"),
    ],
)
def test_a_part_that_fits_is_taken(part, calls):
    """labkit's own parts and a generous one of a student's pass."""
    check_plugin(part, calls)


@pytest.mark.parametrize(
    ("part", "calls", "message"),
    [
        pytest.param(OnlyGet(), CACHE, "OnlyGet has no method 'put'. labkit calls put(key, answer)", id="half written"),
        pytest.param({}, CACHE, "dict has no method 'put'", id="a plain dict"),
        pytest.param(
            OnlyGet, CACHE, "OnlyGet is a class; an object of it is needed: OnlyGet()", id="brackets forgotten"
        ),
        pytest.param(AsyncCache(), CACHE, "AsyncCache.put is 'async def'", id="async"),
        pytest.param(
            ForgetfulMeter(),
            METER,
            "ForgetfulMeter defines record(deployment, answer), but labkit calls "
            "record(deployment, answer, latency_s, *, cached)",
            id="parameters missing",
        ),
        pytest.param(OnlyGet(), (CACHE_KEY,), "labkit calls key(deployment, messages, params)", id="no key"),
    ],
)
def test_a_part_that_does_not_fit_is_refused_with_the_method_to_write(part, calls, message):
    """The error names the class, the method and how it is called."""
    with pytest.raises(PluginError) as refusal:
        check_plugin(part, calls)
    assert message in str(refusal.value)


def test_what_a_cache_hands_back_is_checked():
    """A key must be text; what was kept must be an answer or None."""
    assert checked_key(OnlyGet(), "k") == "k"
    assert checked_answer(OnlyGet(), None) is None
    answer = completion()
    assert checked_answer(OnlyGet(), answer) is answer
    with pytest.raises(PluginError, match=r"OnlyGet\.key must return a str; it returned tuple"):
        checked_key(OnlyGet(), ("a", 1))
    with pytest.raises(
        PluginError, match=r"OnlyGet\.get must return the answer that was put, or None; it returned bool"
    ):
        checked_answer(OnlyGet(), False)
