"""Answers kept in memory, bounded and for a time."""

import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from labkit.cache.answers import read, written
from labkit.cache.counts import CacheCounts, Result

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

MEBIBYTE = 1024 * 1024


class MemoryCache:
    """Answers in memory: at most ``max_entries`` and ``max_bytes``, each for ``ttl_s`` seconds.

    The least recently used leaves first. Answers are kept as JSON, so whoever changes the answer they were given does
    not change the next one's; ``max_bytes`` is of that JSON. ``counts`` says what the cache did so far. Truncated,
    filtered and empty answers are not kept. Threads may share it; a forked process goes on with a copy of its own.
    """

    def __init__(
        self,
        *,
        max_entries: int = 1024,
        max_bytes: int = 64 * MEBIBYTE,
        ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from cachetools import LRUCache

        # Not a TTLCache: that one forgets that there was an answer, and a stale one could not be told from none.
        self._entries: LRUCache[str, tuple[str, int, float]] = LRUCache(maxsize=max_bytes, getsizeof=_size)
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = Lock()
        self.counts = CacheCounts()

    def get(self, key: str) -> "ChatCompletion | None":
        """A fresh copy of the answer kept under ``key``, or None when there is none or it is too old."""
        return self.lookup(key)[0]

    def lookup(self, key: str) -> "tuple[ChatCompletion | None, Result]":
        """The same as ``get``, and what it came to: "hit", "miss" or "stale"."""
        with self._lock:
            kept = self._entries.get(key)
            result: Result = "miss" if kept is None else "hit" if self._is_fresh(kept) else "stale"
            if result == "stale":
                del self._entries[key]
            self.counts.add(result)
        return (read(kept[0]) if kept and result == "hit" else None), result

    def put(self, key: str, answer: "ChatCompletion") -> None:
        """Keep ``answer`` under ``key``; one that is not worth keeping, or too large for the cache, is not kept."""
        text = written(answer)
        if text is None:
            return
        size = len(key) + len(text.encode())
        with self._lock:
            if size <= self._entries.maxsize:
                self._entries[key] = text, size, self._clock()
            while len(self._entries) > self._max_entries:
                self._entries.popitem()

    def clear(self) -> None:
        """Forget every answer."""
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        """Nothing: there is nothing to close. It is here so that every cache can be closed alike."""

    @property
    def size_bytes(self) -> int:
        """The size of what is kept, keys and answers, as JSON."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        from cachetools import Cache

        with self._lock:
            # Past LRUCache's own look-up, which would count as use.
            return key in self._entries and self._is_fresh(Cache.__getitem__(self._entries, str(key)))

    def _is_fresh(self, kept: tuple[str, int, float]) -> bool:
        return self._clock() - kept[2] < self._ttl_s


def _size(kept: tuple[str, int, float]) -> int:
    return kept[1]
