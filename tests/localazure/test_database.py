"""The database: in memory or in a file, which it shares with nobody and in which nothing acknowledged is lost."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.database import Database, DatabaseInUseError
from labkit.localazure.telemetry.store import Telemetry
from tests.localazure.telemetry.sending import send_calls


def test_in_memory_it_is_opened_by_its_first_use() -> None:
    """Loading duckdb takes longer than starting the server."""
    database = Database()
    assert not database.is_open
    assert database.execute("SELECT 1") == [(1,)]
    assert database.is_open
    database.close()
    database.close()


def test_what_raises_in_a_transaction_is_undone(tmp_path: Path) -> None:
    """All or nothing."""
    database = Database(tmp_path / "state.duckdb")
    database.execute("CREATE TABLE t (a INTEGER)")
    with database.transaction():
        database.execute("INSERT INTO t VALUES (1)")

    def fail() -> None:
        with database.transaction():
            database.execute("INSERT INTO t VALUES (2)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert database.execute("FROM t") == [(1,)]
    database.close()


def test_a_file_is_open_once(tmp_path: Path) -> None:
    """In this process too, under whatever name."""
    path = tmp_path / "state.duckdb"
    database = Database(path)
    with pytest.raises(DatabaseInUseError, match="already open in this process"):
        Database(tmp_path / ".." / tmp_path.name / "state.duckdb")
    database.close()
    Database(path).close()


_HOLDING = """
import sys
from pathlib import Path
from labkit.localazure.clock import ManualClock
from labkit.localazure.database import Database
from labkit.localazure.telemetry.store import Telemetry
from tests.localazure.telemetry.sending import send_calls
database = Database(Path(sys.argv[1]))
send_calls(Telemetry(ManualClock(), database), 1_700_000_000.0)
with database.transaction():
    database.execute("CREATE TABLE t AS SELECT 7 AS a")
print("done", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_loses_nothing_it_answered_for(tmp_path: Path) -> None:
    """While it lives nobody else opens the file; after a SIGKILL everything is there."""
    path = tmp_path / "state.duckdb"
    command = [sys.executable, "-c", _HOLDING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "done\n"
        with pytest.raises(DatabaseInUseError, match="another process"):
            Database(path)
        other.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        other.wait()
    database = Database(path)
    telemetry = Telemetry(ManualClock(), database)
    assert database.execute("FROM t") == [(7,)]
    assert (telemetry.count("requests"), len(telemetry.rows("dependencies"))) == (6, 3)
    assert telemetry.query("requests | where success == false | count").rows == [[2]]
    send_calls(telemetry, 1_700_000_100.0)
    assert [telemetry.count("requests"), len(telemetry.rows("requests", after=6))] == [12, 6]
    assert len({row["itemId"] for row in telemetry.rows("requests")}) == 12
    database.close()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """With what to do instead."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 1_000)
    with pytest.raises(OSError, match="Name a file that a local Azure made"):
        Database(path)


def test_threads_may_share_it(clock: ManualClock) -> None:
    """Rows sent from many threads all arrive, and queries run meanwhile."""
    telemetry = Telemetry(clock, Database())
    telemetry.query("requests")
    threads = [threading.Thread(target=send_calls, args=(telemetry, clock.now())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert telemetry.query("union * | count").rows[0][0] % 9 == 0
    for thread in threads:
        thread.join()
    assert telemetry.query("union * | count").rows == [[72]]
    assert telemetry.count("requests") == 48


def test_rows_that_went_give_their_room_back(clock: ManualClock) -> None:
    """Memory does not grow with everything that ever arrived."""
    telemetry = Telemetry(clock, database := Database(), capacity=30)
    for _ in range(30):
        send_calls(telemetry, clock.now())
    assert [telemetry.count("requests"), len(telemetry.rows("requests"))] == [180, 30]
    ((kept,),) = database.execute("SELECT estimated_size FROM duckdb_tables() WHERE table_name = 'requests'")
    assert kept <= 90
