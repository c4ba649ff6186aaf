"""Answers in a file: what is kept, what leaves, and what happens when the file or a process breaks."""

import asyncio
import logging
import multiprocessing
import os
import pickletools
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from labkit.cache import CacheClosedError, CacheCounts, CacheFileError, PersistentCache
from tests.scripted import COLD, ask, completion, optimizer, service
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


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"these are not the bytes you are looking for" * 200, id="another file"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 5000, id="a broken header"),
        pytest.param(b"x", id="one byte"),
    ],
)
def test_a_damaged_file_is_set_aside(path, caplog, content):
    """Starting anew beats failing; the old file stays beside the new one, and a warning names it."""
    path.write_bytes(content)
    with PersistentCache(path) as cache:
        cache.put("k", completion())
        assert cache.flush()
        assert len(cache) == 1
    (aside,) = path.parent.glob("answers.db.set-aside-*")
    assert aside.read_bytes() == content
    assert aside.name in caplog.text


def test_another_programs_database_is_set_aside(path, caplog):
    """Its tables are left as they are."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE answers (a)")
    connection.commit()
    connection.close()
    with PersistentCache(path) as cache:
        cache.put("k", completion())
    (aside,) = path.parent.glob("answers.db.set-aside-*")
    connection = sqlite3.connect(aside)
    assert connection.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    connection.close()
    assert "another program's database" in caplog.text


def test_a_newer_schema_is_refused_and_left_alone(path):
    """An older labkit must not set aside what a newer one wrote."""
    PersistentCache(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(CacheFileError, match=r"newer labkit .*schema 7; this one knows up to 1"):
        PersistentCache(path)
    assert [found.name for found in path.parent.iterdir()] == ["answers.db"]


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path):
    """A folder, and a folder's child that is under a file; missing folders are made."""
    with pytest.raises(CacheFileError, match="is a folder"):
        PersistentCache(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheFileError, match="cannot create"):
        PersistentCache(tmp_path / "file" / "answers.db")
    PersistentCache(tmp_path / "new" / "folder" / "answers.db").close()


def test_damage_under_way_costs_the_answers_but_no_call(path, caplog):
    """A file that breaks while it is open is set aside, too; the calls see misses, and then a working cache."""
    with PersistentCache(path) as cache:
        for number in range(50):
            cache.put(f"k{number}", completion("x" * 500))
        cache.flush()
    with PersistentCache(path) as cache:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        found = [cache.get(f"k{number}") for number in range(50)]
        assert not any(found)
        cache.put("k", completion("after"))
        assert cache.flush()
        assert [key for key, _ in rows(path)] == ["k"]
        assert text_of(cache.get("k")) == "after"
    assert "is damaged" in caplog.text


def test_a_row_that_is_no_answer_is_a_miss(path):
    """Somebody edited the file by hand."""
    with PersistentCache(path) as cache:
        cache.put("k", completion())
        cache.flush()
        connection = sqlite3.connect(path)
        connection.execute("UPDATE answers SET answer = '{\"id\":'")
        connection.commit()
        connection.close()
        assert cache.lookup("k") == (None, "miss")


def test_a_deleted_file_is_made_anew(path):
    """Somebody tidied up while the cache was open."""
    with PersistentCache(path) as cache:
        cache.put("k", completion("before"))
        cache.flush()
        for found in path.parent.iterdir():
            found.unlink()
        assert cache.get("k") is None
        cache.put("k", completion("after"))
        cache.flush()
        assert len(rows(path)) == 1


async def test_another_processs_lock_does_not_stall_the_loop(path):
    """While somebody else writes, an answer can be put and had; it is in the file once the lock is gone."""
    with PersistentCache(path) as cache:
        cache.put("there", completion("kept before"))
        cache.flush()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        cache.put("k", completion("Warsaw."))
        assert text_of(cache.get("k")) == "Warsaw."
        assert text_of(cache.get("there")) == "kept before"
        assert not cache.flush(timeout_s=0.01)
        other.execute("COMMIT")
        other.close()
        assert await asyncio.to_thread(cache.flush)
        assert len(rows(path)) == 2


def test_a_lock_longer_than_sqlite_waits_loses_nothing(path, monkeypatch):
    """The writer tries again as often as it takes."""
    monkeypatch.setattr("labkit.cache.persistent._WRITE_WAIT_S", 0.01)
    with PersistentCache(path) as cache:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        cache.put("k", completion())
        assert not cache.flush(timeout_s=0.1)
        other.execute("COMMIT")
        other.close()
        assert cache.flush(timeout_s=None)
        assert len(rows(path)) == 1


def test_a_file_that_cannot_be_written_is_said_once(path, caplog, monkeypatch):
    """A full disk fails no call: nothing is kept, and one warning says why."""

    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    with PersistentCache(path) as cache:
        monkeypatch.setattr("labkit.cache.writer.write", full)
        for key in "abc":
            cache.put(key, completion())
            cache.flush()
        monkeypatch.undo()
        assert cache.get("a") is None
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "disk is full" in caplog.text


async def test_an_optimizer_pays_once_across_restarts(path):
    """The second process gets the first one's answer; the service was asked once."""
    fake = service()
    for _ in range(2):
        with PersistentCache(path) as cache:
            answer = await optimizer(fake, cache=cache).optimized_completion(ask(), **COLD)
            assert text_of(answer) == "Warsaw."
    assert len(fake.sent) == 1


def _hammer(path, number, count, started):
    started.wait()
    with PersistentCache(path) as cache:
        for turn in range(count):
            cache.put(f"{number}-{turn}", completion(f"answer {number}-{turn} " + "x" * (turn % 400)))
            cache.put("shared", completion(f"shared {number}-{turn}"))
            for other in (0, 1):
                found = cache.get(f"{other}-{turn // 2}")
                if found is not None and not text_of(found).startswith(f"answer {other}-{turn // 2} "):
                    raise AssertionError("another key's answer")


def test_two_processes_hammer_one_file(path):
    """Every answer of both is there in the end, each under its own key, and the file passes SQLite's own check."""
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Event()
    processes = [spawn.Process(target=_hammer, args=(path, number, 300, started)) for number in (0, 1)]
    for process in processes:
        process.start()
    started.set()  # both open a file that does not exist yet
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    with PersistentCache(path) as cache:
        assert len(cache) == 601
        for number in (0, 1):
            for turn in range(300):
                assert text_of(cache.get(f"{number}-{turn}")).startswith(f"answer {number}-{turn} ")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


_ENDLESS = """
import sys
from labkit.cache import PersistentCache
from tests.scripted import completion
cache = PersistentCache(sys.argv[1], max_entries=50)
for turn in range(10**9):
    cache.put(str(turn), completion(f"answer {turn} " + "x" * 2000))
    if turn % 10 == 9:
        cache.flush()
        print(turn, flush=True)
"""


def test_a_writer_killed_while_it_writes_leaves_a_whole_file(path):
    """SIGKILL at five moments: what it had flushed is there, every answer is whole, and writing goes on."""
    for moment in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS, str(path)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
        )
        first = [process.stdout.readline() for _ in range(3 + 4 * moment)]
        process.send_signal(signal.SIGKILL)
        whole = [line for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        last = int([*first, *whole][-1])
        with PersistentCache(path, max_entries=50) as cache:
            found = {key: cache.get(key) for key, _ in rows(path)}
            assert min(last + 1, 50) <= len(found) <= 50
            assert all(text_of(answer).startswith(f"answer {key} ") for key, answer in found.items())
            assert str(last) in found
            cache.clear()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert not list(path.parent.glob("*.set-aside-*"))


def test_threads_may_share_a_file(path):
    """Six threads put and get; every answer is the one of its key, and none is lost."""
    wrong = []
    with PersistentCache(path) as cache:

        def work(number):
            for turn in range(60):
                key = f"{number}-{turn}"
                cache.put(key, completion(key))
                if text_of(cache.get(key)) != key:
                    wrong.append(key)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert len(cache) == 360
        assert cache.counts.hits == 360


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_opens_the_file_anew(path):
    """The child reads what the parent kept and adds its own; the parent goes on, too."""
    with PersistentCache(path) as cache:
        cache.put("parent", completion("parent"))
        cache.flush()
        child = os.fork()
        if not child:
            seen = cache.get("parent") is not None
            cache.put("child", completion("child"))
            os._exit(0 if seen and cache.flush() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert text_of(cache.get("child")) == "child"
        cache.put("later", completion("later"))
        assert len(cache) == 3


def test_a_forgotten_cache_is_written_and_ends_its_thread(path):
    """Without ``close`` the answers are in the file when the object goes, and at the end of the process."""
    cache = PersistentCache(path)
    cache.put("k", completion())
    thread = cache._writer._thread
    del cache
    assert not thread.is_alive()
    assert len(rows(path)) == 1
    code = (
        "import sys; from labkit.cache import PersistentCache; from tests.scripted import completion\n"
        "cache = PersistentCache(sys.argv[1]); cache.put('at exit', completion())"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert len(rows(path)) == 2
