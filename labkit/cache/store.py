"""The SQLite file that answers are kept in: its schema, how it is opened, and the few statements that use it.

Write-ahead logging lets readers read while somebody writes, in this process and in others, and leaves a file that is
whole after a kill. It needs a local disk (sqlite.org/wal.html, read 2026-11-25): not for a network share.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

T = TypeVar("T")

# "lkch": whose file it is. SQLite keeps both numbers in the header of the file.
APPLICATION_ID = 0x6C6B6368
SCHEMA_VERSION = 1
_SMALLEST_DATABASE = 512  # bytes: one page of the smallest size (sqlite.org/fileformat.html, read 2026-11-25)
# The totals are kept by triggers, in the transaction that changes them: adding up a large table takes too long.
_SCHEMA = (
    "CREATE TABLE answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " kept_at REAL NOT NULL, used_at REAL NOT NULL)",
    "CREATE INDEX by_use ON answers (used_at)",
    "CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    "CREATE TRIGGER added AFTER INSERT ON answers BEGIN"
    " UPDATE totals SET entries = entries + 1, bytes = bytes + new.bytes; END",
    "CREATE TRIGGER removed AFTER DELETE ON answers BEGIN"
    " UPDATE totals SET entries = entries - 1, bytes = bytes - old.bytes; END",
    "CREATE TRIGGER replaced AFTER UPDATE OF bytes ON answers BEGIN"
    " UPDATE totals SET bytes = bytes - old.bytes + new.bytes; END",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_PUT = (
    "INSERT INTO answers VALUES (:key, :answer, :bytes, :kept_at, :kept_at) ON CONFLICT (key) DO UPDATE SET"
    " answer = excluded.answer, bytes = excluded.bytes, kept_at = excluded.kept_at, used_at = excluded.used_at"
)


class CacheFileError(LabkitError, OSError):
    """The cache's file cannot be used: its folder cannot be written, or a newer labkit wrote it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer as JSON, and when it was put."""

    key: str
    answer: str
    bytes: int
    kept_at: float

    def row(self) -> dict[str, str | int | float]:
        """The same by the names of the columns."""
        return {"key": self.key, "answer": self.answer, "bytes": self.bytes, "kept_at": self.kept_at}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the file may hold."""

    max_entries: int
    max_bytes: int
    ttl_s: float


def prepare(path: Path, *, wait_s: float) -> None:
    """Make sure that ``path`` is a cache's file; one that is damaged or something else is set aside with a warning.

    ``CacheFileError`` when it cannot be opened or a newer labkit wrote it.
    """
    for _ in range(3):  # once more after setting a file aside, and once in case another process did the same
        _create(path)
        found = identity(path)
        reason = _problem(path, wait_s)
        if reason is None:
            return
        set_aside(path, reason, found)
    raise CacheFileError(f"The cache cannot use {path}: it {reason}, again and again. Give another file.")


def connect(path: Path, *, wait_s: float) -> sqlite3.Connection:
    """A connection to a prepared file; it waits up to ``wait_s`` for the lock of another one."""
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
    # With write-ahead logging a commit is whole after a kill without waiting for the disk; only a power cut may take
    # the last ones (sqlite.org/pragma.html#pragma_synchronous, read 2026-11-25), which is fine for a cache.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def is_damage(error: sqlite3.Error) -> bool:
    """True when ``error`` says that the file is no database, or a broken one; not when it is only busy or full."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def set_aside(path: Path, reason: str, found: tuple[int, int] | None) -> None:
    """Rename ``path`` and what belongs to it, with a warning; nothing is lost, and nothing when it is gone already.

    ``found`` is the identity of the file that was wrong: another process may have put a good one there since.
    """
    if found is None or identity(path) != found:
        return
    aside = path.with_name(f"{path.name}.set-aside-{time.time_ns()}")
    with suppress(FileNotFoundError):
        path.rename(aside)
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    logger.warning("The cache file %s %s: set aside as %s, starting anew.", path, reason, aside.name)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file is at ``path`` now, whatever its name; None when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class File:
    """One connection to a cache's file, made when first used, and anew when the file was replaced or is damaged.

    Not for several threads at once; whoever shares it holds a lock.
    """

    def __init__(self, path: Path, *, wait_s: float) -> None:
        self.path = path
        self._wait_s = wait_s
        self._connection: sqlite3.Connection | None = None
        self._found: tuple[int, int] | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` gives for the connection; a second time with a new file when the first shows it to be damaged.

        ``sqlite3.Error`` when the file is busy, full or read-only; ``CacheFileError`` when there can be none.
        """
        try:
            return work(self._connected())
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            reason = f"is damaged ({error})"
        found = self._found
        self.close()
        set_aside(self.path, reason, found)
        return work(self._connected())

    def close(self) -> None:
        """Close the connection; the next use makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _connected(self) -> sqlite3.Connection:
        # Asked every time, for a microsecond: somebody may have deleted the file or set it aside.
        if self._connection is None or identity(self.path) != self._found:
            self.close()
            prepare(self.path, wait_s=self._wait_s)
            self._found = identity(self.path)
            self._connection = connect(self.path, wait_s=self._wait_s)
        return self._connection


def find(connection: sqlite3.Connection, key: str) -> tuple[str, float] | None:
    """The answer under ``key`` and when it was put, or None."""
    row: tuple[str, float] | None = connection.execute(
        "SELECT answer, kept_at FROM answers WHERE key = ?", (key,)
    ).fetchone()
    return row


def write(
    connection: sqlite3.Connection,
    kept: Iterable[Kept],
    used: Iterable[tuple[float, str]],
    bounds: Bounds,
    now: float,
    *,
    clear: bool = False,
) -> None:
    """Put answers, note which were used when, and let the least recently used go: all of it or nothing.

    With ``clear`` everything that was there goes first.
    """
    with writing(connection):
        if clear:
            connection.execute("DELETE FROM answers")
        connection.executemany("UPDATE answers SET used_at = max(used_at, ?) WHERE key = ?", used)
        connection.executemany(_PUT, [entry.row() for entry in kept])
        _evict(connection, bounds, now)


def sizes(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many answers the file holds, and their bytes."""
    entries, size = connection.execute("SELECT entries, bytes FROM totals").fetchone()
    return entries, size


@contextmanager
def writing(connection: sqlite3.Connection) -> "Iterator[None]":
    """A transaction that takes the lock at once: one that began by reading could not get it any more."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # some errors end the transaction themselves
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _evict(connection: sqlite3.Connection, bounds: Bounds, now: float) -> None:
    if _surplus(connection, bounds):
        connection.execute("DELETE FROM answers WHERE kept_at <= ?", (now - bounds.ttl_s,))
    while surplus := _surplus(connection, bounds):
        oldest = "SELECT rowid FROM answers ORDER BY used_at, rowid LIMIT ?"
        connection.execute(f"DELETE FROM answers WHERE rowid IN ({oldest})", (surplus,))


def _surplus(connection: sqlite3.Connection, bounds: Bounds) -> int:
    entries, size = sizes(connection)
    too_large = size > bounds.max_bytes and entries > 0
    return max(entries - bounds.max_entries, int(too_large))


def _create(path: Path) -> None:
    """An empty file that only its owner may read, since answers are content; an existing one is left alone."""
    if path.is_dir():
        raise CacheFileError(f"The cache needs a file; {path} is a folder. Give a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # An existing one is never opened: closing it would drop the locks of this process's other connections.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        if not path.is_file():  # else another process was quicker
            raise CacheFileError(
                f"The cache cannot create {path}: {error.strerror}. Give a file in a folder that can be written."
            ) from error


def _problem(path: Path, wait_s: float) -> str | None:
    """Why ``path`` is not a cache's file, or None when it is one, maybe since now."""
    if 0 < path.stat().st_size < _SMALLEST_DATABASE:
        return "is not a database"  # SQLite would take it for an empty one, and overwrite it
    try:
        connection = connect(path, wait_s=wait_s)
        try:
            problem = _schema_problem(connection, path)
            if problem is None:
                _initialise(connection, path, wait_s)
            return problem
        finally:
            connection.close()
    except sqlite3.Error as error:
        if is_damage(error):
            return f"is damaged ({error})"
        raise CacheFileError(f"The cache cannot use {path}: {error}. Give a file on a local disk.") from error


def _initialise(connection: sqlite3.Connection, path: Path, wait_s: float) -> None:
    with suppress(OSError):  # somebody else's file that may be written all the same
        path.chmod(0o600)
    _log_ahead(connection, wait_s)
    if _is_new(connection):
        with writing(connection):
            if _is_new(connection):  # another process may have been quicker
                for statement in _SCHEMA:
                    connection.execute(statement)


def _schema_problem(connection: sqlite3.Connection, path: Path) -> str | None:
    if _is_new(connection):
        return None
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        return "is another program's database"
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise CacheFileError(
            f"A newer labkit wrote the cache {path} (schema {version}; this one knows up to {SCHEMA_VERSION}). "
            "Update labkit, or give another file."
        )
    sizes(connection)  # an error when the tables cannot be read
    return None


def _is_new(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _log_ahead(connection: sqlite3.Connection, wait_s: float) -> None:
    # SQLite does not wait for locks when it changes this mode, and several processes may start at once.
    give_up = time.monotonic() + wait_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
