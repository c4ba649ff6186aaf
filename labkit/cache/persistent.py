"""Answers kept in a file, for several processes and for tomorrow."""

import os
import sqlite3
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from labkit.cache.answers import read, written
from labkit.cache.counts import CacheCounts, Result
from labkit.cache.memory import MEBIBYTE
from labkit.cache.store import Bounds, CacheFileError, File, Kept, find, prepare, sizes
from labkit.cache.writer import Writer
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from typing import Self

    from openai.types.chat import ChatCompletion

WEEK_S = 7 * 24 * 3600.0
# Readers do not wait for writers; this is for the moments when SQLite itself repairs or tidies up the file.
_READ_WAIT_S = 0.1
_WRITE_WAIT_S = 5.0


class CacheClosedError(LabkitError, ValueError):
    """The cache was closed; make a new one on the same file."""


class PersistentCache:
    """Answers in a SQLite file: at most ``max_entries`` and ``max_bytes``, each for ``ttl_s`` seconds.

    Processes may share the file (give them the same bounds; else the smallest win), and it is whole after a kill.
    ``put`` only hands the answer to a thread that writes it: an event loop never waits for another process's lock,
    and a kill loses the last moments' answers, no others. ``get`` reads at once and does not write: that an answer
    was used is written together with later answers, or every 30 seconds, so that what leaves first is the least
    recently used but for those moments. What is too old leaves when room is needed.

    Answers are JSON and content: the file is its owner's alone (mode 0600). A damaged file, or another program's, is
    set aside with a warning; ``CacheFileError`` for one that a newer labkit wrote. Once open, the cache never fails a
    call: what cannot be read is a miss, what cannot be written is not kept. Threads may share it; a forked process
    opens the file anew. ``close`` it or use ``with``, or leave that to the end of the process.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_entries: int = 100_000,
        max_bytes: int = 256 * MEBIBYTE,
        ttl_s: float = WEEK_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self.counts = CacheCounts()
        self._bounds = Bounds(max_entries, max_bytes, ttl_s)
        self._clock = clock
        self._inherited: list[Any] = []
        prepare(self.path, wait_s=_WRITE_WAIT_S)
        self._start()
        _OPEN.add(self)

    def get(self, key: str) -> "ChatCompletion | None":
        """A fresh copy of the answer kept under ``key``, or None when there is none or it is too old."""
        return self.lookup(key)[0]

    def lookup(self, key: str) -> "tuple[ChatCompletion | None, Result]":
        """The same as ``get``, and what it came to: "hit", "miss" or "stale"."""
        with self._lock:
            now = self._clock()
            found = self._find(key)
            answer = read(found[0]) if found and self._is_fresh(found[1], now) else None
            result: Result = "hit" if answer else "stale" if found and not self._is_fresh(found[1], now) else "miss"
            self.counts.add(result)
            if answer:
                self._writer.note_use(key, now)
            return answer, result

    def put(self, key: str, answer: "ChatCompletion") -> None:
        """Keep ``answer`` under ``key``; one that is not worth keeping, or too large for the cache, is not kept."""
        text = written(answer)
        if text is None:
            return
        size = len(key.encode()) + len(text.encode())
        with self._lock:
            self._check_open()
            if size <= self._bounds.max_bytes:
                self._writer.put(Kept(key, text, size, self._clock()))

    def clear(self) -> None:
        """Forget every answer, also for the other processes. Waits until it is done."""
        with self._lock:
            self._check_open()
            self._writer.clear()
        if not self.flush():
            raise CacheFileError(f"{self.path} is locked by another process; it is cleared once that lets go.")

    def flush(self, timeout_s: float | None = _WRITE_WAIT_S) -> bool:
        """Wait until what was put is in the file; False when another process kept it locked for ``timeout_s``."""
        return self._writer.flush(timeout_s)

    def close(self) -> None:
        """Write what is left and close the file; twice is harmless."""
        self._is_closed = True
        self._finalizer()
        with self._lock:
            self._reader.close()

    @property
    def size_bytes(self) -> int:
        """The size of what is kept, keys and answers, as JSON. The file is somewhat larger, and does not shrink."""
        return self._sizes()[1]

    def __len__(self) -> int:
        return self._sizes()[0]

    def __contains__(self, key: object) -> bool:
        with self._lock:
            found = self._find(str(key))
            return found is not None and self._is_fresh(found[1], self._clock())

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._lock = Lock()
        self._is_closed = False
        self._reader = File(self.path, wait_s=_READ_WAIT_S)
        self._writer = Writer(File(self.path, wait_s=_WRITE_WAIT_S), self._bounds, self._clock)
        # Also at the end of the process. The writer does not know the cache, so that a forgotten one can go.
        self._finalizer = weakref.finalize(self, self._writer.close)

    def _start_in_fork(self) -> None:
        # SQLite forbids using or closing the parent's connections here (sqlite.org/howtocorrupt.html, 2.6, read
        # 2026-11-25), and the parent's thread, which writes what it had pending, does not exist.
        self._inherited.append((self._reader, self._writer))
        self._finalizer.detach()
        was_closed = self._is_closed
        self._start()
        self._is_closed = was_closed

    def _find(self, key: str) -> tuple[str, float] | None:
        self._check_open()
        waiting = self._writer.pending.get(key)
        if waiting is not None:
            return waiting.answer, waiting.kept_at
        try:
            return self._reader.run(lambda connection: find(connection, key))
        except (sqlite3.Error, CacheFileError):
            return None  # busy for once, or gone for good, of which the writer warns

    def _is_fresh(self, kept_at: float, now: float) -> bool:
        # Also not from the future: somebody set the clock back, and nobody knows how old it is.
        return abs(now - kept_at) < self._bounds.ttl_s

    def _sizes(self) -> tuple[int, int]:
        self.flush()
        with self._lock:
            self._check_open()
            return self._reader.run(sizes)

    def _check_open(self) -> None:
        if self._is_closed:
            raise CacheClosedError(f"The cache {self.path} was closed. Make a new PersistentCache on the same file.")


_OPEN: "weakref.WeakSet[PersistentCache]" = weakref.WeakSet()


def _start_all_in_fork() -> None:
    for cache in list(_OPEN):
        cache._start_in_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_start_all_in_fork)
