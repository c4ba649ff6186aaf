"""The local Azure's database: duckdb, in memory or in a state file that outlives the process.

Telemetry is kept in it and queried; with a state file, resources are kept beside it. A query can reach neither the
machine's files nor its network, whatever it says: duckdb's own switch for that is off and locked before the first
statement runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# One thread and half a gigabyte: a class of forty local Azures may live in one process, and a query that wants more
# has gone wrong. Nothing is spilled to disk (no temporary directory).
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
# In this order, and before anybody else's statement.
_SETTINGS = ("SET TimeZone = 'UTC'", "SET enable_external_access = false", "SET lock_configuration = true")
_open_files: set[Path] = set()


class DatabaseInUseError(OSError):
    """The state file is open in another process, or already in this one."""


class Database:
    """One duckdb database. Every method may be called from any thread.

    Without ``path`` it lives in memory and is opened by its first use: duckdb takes a quarter of a second to load.
    With one it is opened at once, so that a file that cannot be used is known before a server starts:
    ``DatabaseInUseError`` when somebody has it open, ``OSError`` when it is no such database.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path.resolve() if path is not None else None
        self._lock = RLock()
        self._connection: DuckDBPyConnection | None = None
        if self.path is not None:
            self._open()

    @property
    def is_open(self) -> bool:
        """False until the first use, and after ``close``."""
        return self._connection is not None

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows that ``sql`` gives. Outside a ``transaction`` what it changes is on disk when this returns."""
        with self._lock:
            return self._open().execute(sql, list(parameters)).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is executed inside holds together: on disk when the block ends, undone when it raises.

        Other threads wait meanwhile.
        """
        with self._lock:
            connection = self._open()
            connection.begin()
            try:
                yield
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def reclaim(self) -> None:
        """Give back the room that deleted rows took; skipped when a query is reading them just now."""
        import duckdb

        with suppress(duckdb.TransactionException):
            self.execute("CHECKPOINT")

    def reader(self) -> "DuckDBPyConnection":
        """A connection of its own for one query: it sees what is committed, holds nobody up and can be interrupted.

        The caller closes it.
        """
        with self._lock:
            return self._open().cursor()

    def close(self) -> None:
        """Write everything to the file and let go of it. Closing twice changes nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self.path is not None:
                _open_files.discard(self.path)

    def _open(self) -> "DuckDBPyConnection":
        if self._connection is None:
            self._connection = _connect(self.path)
        return self._connection


def _connect(path: Path | None) -> "DuckDBPyConnection":
    import duckdb

    if path in _open_files:
        raise DatabaseInUseError(f"The state file {path} is already open in this process; give each server its own.")
    try:
        connection = duckdb.connect(":memory:" if path is None else str(path), config=_CONFIG)
    except duckdb.Error as failure:
        raise _explained(path, failure) from failure
    for setting in _SETTINGS:
        connection.execute(setting)
    if path is not None:
        _open_files.add(path)
    return connection


def _explained(path: Path | None, failure: Exception) -> OSError:
    if path is None:
        return OSError(f"No database can be made in memory: {failure}")
    if "lock" in str(failure).lower():
        return DatabaseInUseError(
            f"The state file {path} is used by another process; stop that one, or name another file."
        )
    reason = str(failure).splitlines()[0]
    return OSError(f"The state file {path} cannot be used: {reason} Name a file that a local Azure made, or a new one.")
