from labkit.cache import MemoryCache
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
