"""A cache's file that is damaged, locked, deleted, shared, or left by a killed process."""

import asyncio
import logging
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from labkit.cache import CacheFileError, PersistentCache
from tests.scripted import COLD, ask, completion, optimizer, service
from tests.test_cache_persistent import rows, text_of


@pytest.fixture
def path(tmp_path):
    """Where a cache keeps its answers."""
    return tmp_path / "answers.db"


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
