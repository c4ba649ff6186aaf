"""Writes answers to the cache's file in a thread of its own, so that nobody waits for another process's lock."""

import logging
import sqlite3
import threading
from collections.abc import Callable

from labkit.cache.store import Bounds, CacheFileError, File, Kept, write

logger = logging.getLogger(__name__)

# Answers that wait to be written while another process holds the lock; more are dropped, which costs a call later.
MAX_PENDING = 4000
# When a use is written though nothing is put: after so many, or so many seconds.
MANY_USES = 1000
USES_EVERY_S = 30.0
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Writer:
    """Takes answers and uses at once, and writes all that came together in one transaction."""

    def __init__(self, file: File, bounds: Bounds, clock: Callable[[], float]) -> None:
        # What was put and is not in the file yet. Reading one key of it needs no lock.
        self.pending: dict[str, Kept] = {}
        self._file = file
        self._bounds = bounds
        self._clock = clock
        self._used: dict[str, float] = {}
        self._used_written_at = clock()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_asked = self._is_writing = self._is_closing = self._is_clearing = self._has_warned = False

    def put(self, kept: Kept) -> None:
        """Write ``kept`` soon."""
        with self._changed:
            if len(self.pending) >= MAX_PENDING and kept.key not in self.pending:
                self._warn(f"{MAX_PENDING} answers wait for a process that keeps it locked; more are not kept")
                return
            self.pending[kept.key] = kept
            self._ask()

    def note_use(self, key: str, now: float) -> None:
        """Write with the next answers that ``key`` was used ``now``."""
        with self._changed:
            self._used[key] = now
            if len(self._used) >= MANY_USES or now - self._used_written_at >= USES_EVERY_S:
                self._ask()

    def clear(self) -> None:
        """Delete everything soon, also what is not written yet."""
        with self._changed:
            self.pending.clear()
            self._used.clear()
            self._is_clearing = True
            self._ask()

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until all is written; False when that took longer than ``timeout_s``."""
        with self._changed:
            if self._used:
                self._ask()
            return self._changed.wait_for(self._is_done, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is left, unless another process keeps the file locked, and end the thread."""
        self.flush(timeout_s)
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _is_done(self) -> bool:
        return not (self.pending or self._is_asked or self._is_writing)

    def _ask(self) -> None:
        self._is_asked = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="labkit-cache", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while self._wait():
            with self._changed:
                batch, used, clearing = list(self.pending.values()), self._used, self._is_clearing
                self._used, self._is_asked, self._is_clearing, self._is_writing = {}, False, False, True
            is_busy = self._is_busy_after(batch, used, clearing)
            with self._changed:
                self._is_writing = False
                self._is_asked |= is_busy
                self._is_clearing |= is_busy and clearing
                # An answer leaves only now that readers find it in the file, unless a newer one took its place.
                for kept in batch if not is_busy else ():
                    if self.pending.get(kept.key) is kept:
                        del self.pending[kept.key]
                self._changed.notify_all()
        self._file.close()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_asked or self._is_closing)
            return not self._is_closing

    def _is_busy_after(self, batch: list[Kept], used: dict[str, float], clearing: bool) -> bool:
        """Write; True when another process holds the lock, so that it is worth trying again."""
        now = self._used_written_at = self._clock()
        uses = [(at, key) for key, at in used.items()]
        try:
            self._file.run(lambda connection: write(connection, batch, uses, self._bounds, now, clear=clearing))
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _BUSY:
                return True
            self._warn(str(error))
        except CacheFileError as error:
            self._warn(str(error))
        return False

    def _warn(self, reason: str) -> None:
        # Once: a full disk would say so with every answer.
        if not self._has_warned:
            self._has_warned = True
            logger.warning("The cache file %s cannot be written: %s.", self._file.path, reason)
