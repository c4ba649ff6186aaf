import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.cache import CacheCounts, MemoryCache
from tests.scripted import completion


def test_memory_gives_back_an_equal_answer_that_is_the_callers_own():
    """Whoever changes their answer does not change the next one's; Azure's extra fields survive."""
    cache = MemoryCache()
    extra = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
    answer = completion("Warsaw.", choice=extra)
    cache.put("k", answer)
    first, second = cache.get("k"), cache.get("k")
    assert first == second == answer
    assert second.choices[0].model_extra == extra
    first.choices[0].message.content = "Cracow."
    assert cache.get("k").choices[0].message.content == "Warsaw."


def test_memory_misses_with_none():
    """An unknown key is a miss, not an error."""
    assert MemoryCache().get("k") is None


def test_memory_is_bounded_and_the_least_recently_used_leaves():
    """Reading an answer keeps it; the one nobody asked for goes."""
    cache = MemoryCache(max_entries=2)
    for key in "ab":
        cache.put(key, completion())
    cache.get("a")
    cache.put("c", completion())
    assert ("a" in cache, "b" in cache, "c" in cache, len(cache)) == (True, False, True, 2)


def test_memory_forgets_after_its_time():
    """The clock is passed in: an answer is there a moment before its time is up and gone a moment after."""
    now = [0.0]
    cache = MemoryCache(ttl_s=60, clock=lambda: now[0])
    cache.put("k", completion())
    now[0] = 59.9
    assert cache.get("k") is not None
    now[0] = 60.1
    assert cache.get("k") is None
    assert len(cache) == 0


def test_memory_does_not_keep_what_would_come_back_broken():
    """The SDK reads answers leniently; one that its own types refuse is not kept, and that is no error."""
    cache = MemoryCache()
    cache.put("k", completion().model_copy(update={"created": "yesterday"}))
    assert cache.get("k") is None


def test_memory_can_be_cleared():
    """``clear`` forgets every answer."""
    cache = MemoryCache()
    cache.put("k", completion())
    cache.clear()
    assert len(cache) == 0


def test_memory_is_bounded_by_bytes():
    """Few large answers fill it as many small ones do; the size counts keys and answers, non-ASCII letters in full."""
    cache = MemoryCache(max_bytes=3000)
    for number in range(10):
        cache.put(f"k{number}", completion("ż" * 500))
    assert 1 <= len(cache) <= 2
    assert 1000 < cache.size_bytes <= 3000
    assert "k9" in cache


def test_an_answer_larger_than_the_cache_is_not_kept():
    """It would push out everything else and not fit all the same."""
    cache = MemoryCache(max_bytes=2000)
    cache.put("small", completion())
    cache.put("large", completion("x" * 3000))
    assert ("small" in cache, "large" in cache) == (True, False)


def test_memory_counts_hits_misses_and_stale():
    """Stale is what was there and is too old: a longer ``ttl_s`` would have made it a hit."""
    now = [0.0]
    cache = MemoryCache(ttl_s=60, clock=lambda: now[0])
    assert cache.counts.hit_share == 0
    cache.get("k")
    cache.put("k", completion())
    results = [cache.lookup("k")[1], cache.lookup("k")[1]]
    now[0] = 60
    results += [cache.lookup("k")[1], cache.lookup("k")[1]]
    assert results == ["hit", "hit", "stale", "miss"]
    assert cache.counts == CacheCounts(hits=2, misses=2, stale=1)
    assert cache.counts.hit_share == pytest.approx(2 / 5)


def test_looking_whether_an_answer_is_there_does_not_count_as_use():
    """``in`` keeps nothing from being pushed out, and is not counted."""
    cache = MemoryCache(max_entries=2)
    cache.put("a", completion())
    cache.put("b", completion())
    assert "a" in cache
    cache.put("c", completion())
    assert "a" not in cache
    assert cache.counts == CacheCounts()


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("pg"), st.integers(0, 5), st.integers(0, 400), st.integers(0, 20)), max_size=40
    ),
    max_entries=st.integers(1, 4),
    max_bytes=st.integers(1500, 4000),
)
def test_memory_keeps_its_bounds_whatever_happens(steps, max_entries, max_bytes):
    """Never more entries or bytes than allowed, and an answer that comes back is the last one put and not too old."""
    now, put = [0.0], {}
    cache = MemoryCache(max_entries=max_entries, max_bytes=max_bytes, ttl_s=50, clock=lambda: now[0])
    for what, key, length, later in steps:
        now[0] += later
        if what == "p":
            cache.put(str(key), completion("x" * (length + 1)))
            put[str(key)] = (length + 1, now[0])
        elif (answer := cache.get(str(key))) is not None:
            length_put, kept_at = put[str(key)]
            assert len(answer.choices[0].message.content) == length_put
            assert now[0] - kept_at < 50
        assert len(cache) <= max_entries
        assert cache.size_bytes <= max_bytes


def test_threads_may_share_a_memory():
    """Eight threads put, get and push each other's answers out; none sees an error or another key's answer."""
    cache, wrong = MemoryCache(max_entries=5), []

    def work(number):
        for turn in range(100):
            key = str((number + turn) % 10)
            cache.put(key, completion(f"answer {key}"))
            answer = cache.get(key)
            if answer is not None and answer.choices[0].message.content != f"answer {key}":
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = cache.counts
    assert not wrong
    assert counts.hits + counts.misses == 800
    assert len(cache) == 5
