"""Answers kept in memory, bounded and for a time."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


class MemoryCache:
    """Answers in memory: at most ``max_entries``, each for ``ttl_s`` seconds; the least recently used leaves first.

    Answers are kept as JSON, so whoever changes the answer they were given does not change the next one's.
    """

    def __init__(
        self, *, max_entries: int = 1024, ttl_s: float = 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from cachetools import TTLCache

        self._entries: TTLCache[str, str] = TTLCache(maxsize=max_entries, ttl=ttl_s, timer=clock)

    def get(self, key: str) -> "ChatCompletion | None":
        """A fresh copy of the answer kept under ``key``, or None when there is none or it is too old."""
        from openai.types.chat import ChatCompletion

        kept = self._entries.get(key)
        return None if kept is None else ChatCompletion.model_validate_json(kept)

    def put(self, key: str, answer: "ChatCompletion") -> None:
        """Keep ``answer`` under ``key``; an answer that would not come back the same is not kept."""
        from openai.types.chat import ChatCompletion
        from pydantic import ValidationError

        kept = answer.model_dump_json(exclude_unset=True, warnings=False)
        try:
            ChatCompletion.model_validate_json(kept)
        except ValidationError:
            return  # the SDK reads answers leniently; one that breaks its own types is not worth keeping
        self._entries[key] = kept

    def clear(self) -> None:
        """Forget every answer."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries
