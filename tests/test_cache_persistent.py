"""Answers in a file: what is kept, for how long, and what leaves."""

import os
import pickletools
import sqlite3

import pytest

from labkit.cache import CacheClosedError, CacheCounts, PersistentCache
from tests.scripted import completion
from tests.test_cache_answers import NOT_WORTH_KEEPING


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.db"


def text_of(answer):
    return answer.choices[0].message.content


def rows(path):
    """The keys and answers in the file, read without labkit."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT key, answer FROM answers").fetchall()
    connection.close()
    return found


def test_an_answer_is_there_at_once_and_in_the_next_process(path):
    """It can be had before it is written, and it outlives the cache that wrote it."""
    extra = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
    answer = completion("Zażółć gęślą jaźń 🦆", choice=extra)
    with PersistentCache(path) as cache:
        cache.put("k", answer)
        assert cache.get("k") == answer
        assert cache.get("another") is None
    with PersistentCache(path) as cache:
        first, second = cache.get("k"), cache.get("k")
        assert first == second == answer
        first.choices[0].message.content = "changed"
        assert cache.get("k") == answer
        assert ("k" in cache, "another" in cache, len(cache)) == (True, False, 1)


def test_the_file_is_json_its_owner_may_read(path):
    """No pickle: reading it runs nothing. Mode 0600, also for what SQLite puts beside it and in an open umask."""
    before = os.umask(0)
    try:
        with PersistentCache(path) as cache:
            cache.put("k", completion("Warsaw."))
            cache.flush()
            modes = {found.name: found.stat().st_mode & 0o777 for found in path.parent.iterdir()}
            (key, text), *_ = rows(path)
    finally:
        os.umask(before)
    assert modes == {"answers.db": 0o600, "answers.db-wal": 0o600, "answers.db-shm": 0o600}
    assert key == "k"
    assert text.startswith('{"id":"chatcmpl-1"')
    with pytest.raises(ValueError, match="opcode|unknown|exhausted"):
        list(pickletools.genops(text.encode()))


@pytest.mark.parametrize("answer", NOT_WORTH_KEEPING)
def test_an_answer_that_is_not_whole_is_never_kept(path, answer):
    """The same rule as in memory."""
    with PersistentCache(path) as cache:
        cache.put("k", answer)
        assert cache.get("k") is None
        assert len(cache) == 0


def test_age_is_counted_across_processes(path):
    """Fresh just before its time is up, stale after, gone when a new answer takes its place; all of it counted."""
    now = [1000.0]
    with PersistentCache(path, ttl_s=60, clock=lambda: now[0]) as cache:
        cache.put("k", completion("old"))
    now[0] = 1059.9
    with PersistentCache(path, ttl_s=60, clock=lambda: now[0]) as cache:
        results = [cache.lookup("k")[1], cache.lookup("none")[1]]
        now[0] = 1060
        results.append(cache.lookup("k")[1])
        cache.put("k", completion("new"))
        assert text_of(cache.get("k")) == "new"
        assert results == ["hit", "miss", "stale"]
        assert cache.counts == CacheCounts(hits=2, misses=1, stale=1)


def test_an_answer_from_the_future_is_stale(path):
    """The clock was set back: nobody knows how old the answer is."""
    now = [1_000_000.0]
    with PersistentCache(path, ttl_s=60, clock=lambda: now[0]) as cache:
        cache.put("k", completion())
        now[0] = 5.0
        assert cache.lookup("k") == (None, "stale")


def test_the_least_recently_used_leaves_though_reads_do_not_write(path):
    """Uses are written with the next answer, in time for the decision what leaves."""
    now = [0.0]
    with PersistentCache(path, max_entries=2, clock=lambda: now[0]) as cache:
        for key in "ab":
            now[0] += 1
            cache.put(key, completion())
            cache.flush()
        now[0] += 1
        cache.get("a")
        now[0] += 1
        cache.put("c", completion())
        cache.flush()
        assert sorted(key for key, _ in rows(path)) == ["a", "c"]


def test_uses_outlive_the_process(path):
    """They are written when the cache is closed, even if nothing was put."""
    now = [0.0]

    def tick():
        now[0] += 1
        return now[0]

    with PersistentCache(path, max_entries=2, clock=tick) as cache:
        cache.put("a", completion())
        cache.put("b", completion())
    with PersistentCache(path, max_entries=2, clock=tick) as cache:
        cache.get("a")
    with PersistentCache(path, max_entries=2, clock=tick) as cache:
        cache.put("c", completion())
        assert len(cache) == 2
        assert ("a" in cache, "b" in cache) == (True, False)


def test_the_file_is_bounded_by_bytes(path):
    """What was used last stays; one that is larger than the whole cache is not kept at all."""
    with PersistentCache(path, max_bytes=5000) as cache:
        for number in range(20):
            cache.put(f"k{number}", completion("ż" * 500))
            cache.flush()
        cache.put("huge", completion("x" * 6000))
        assert 2 <= len(cache) <= 4
        assert 2000 < cache.size_bytes <= 5000
        assert ("k19" in cache, "huge" in cache) == (True, False)


def test_what_is_too_old_leaves_before_what_is_fresh(path):
    """Room is made from stale answers first, however recently somebody asked for them."""
    now = [0.0]
    with PersistentCache(path, max_entries=2, ttl_s=100, clock=lambda: now[0]) as cache:
        cache.put("old", completion())
        now[0] = 60
        cache.put("fresh", completion())
        cache.flush()
        now[0] = 99
        cache.get("old")
        now[0] = 101
        cache.put("new", completion())
        cache.flush()
        assert sorted(key for key, _ in rows(path)) == ["fresh", "new"]


def test_the_totals_stay_right(path):
    """Putting, replacing, pushing out and clearing leave the counted sizes equal to the real ones."""
    with PersistentCache(path, max_entries=10) as cache:
        for number in range(40):
            cache.put(f"k{number % 13}", completion("x" * (number * 7 + 1)))
            if number % 3 == 0:
                cache.flush()
        assert cache.flush()
        found = [len(key) + len(text) for key, text in rows(path)]
        assert (len(cache), cache.size_bytes) == (10, sum(found))
        cache.clear()
        assert (len(cache), cache.size_bytes, rows(path)) == (0, 0, [])
        assert cache.get("k1") is None


def test_a_closed_cache_says_so(path):
    """Closing twice is harmless; using it afterwards is an error that names the way on."""
    cache = PersistentCache(path)
    cache.put("k", completion())
    cache.close()
    cache.close()
    for use in (lambda: cache.get("k"), lambda: cache.put("k", completion()), lambda: len(cache), cache.clear):
        with pytest.raises(CacheClosedError, match="Make a new PersistentCache"):
            use()
    assert len(rows(path)) == 1
