"""Keeps answers so that the same question is paid for once: keys, bounded caches, and single flight."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labkit.cache.answers import is_complete
from labkit.cache.counts import CacheCounts
from labkit.cache.flight import SingleFlight
from labkit.cache.key import cache_key
from labkit.cache.memory import MemoryCache

if TYPE_CHECKING:
    from labkit.cache.persistent import CacheClosedError, PersistentCache
    from labkit.cache.semantic import SemanticCache, embed_with
    from labkit.cache.store import CacheFileError

__all__ = [
    "CacheClosedError",
    "CacheCounts",
    "CacheFileError",
    "MemoryCache",
    "PersistentCache",
    "SemanticCache",
    "SingleFlight",
    "cache_key",
    "embed_with",
    "is_complete",
]
# Imported when first used: whoever keeps answers in memory need not wait for SQLite.
_HOME = {
    "CacheClosedError": "labkit.cache.persistent",
    "CacheFileError": "labkit.cache.store",
    "PersistentCache": "labkit.cache.persistent",
    "SemanticCache": "labkit.cache.semantic",
    "embed_with": "labkit.cache.semantic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'labkit.cache' has no attribute {name!r}. It has: {', '.join(__all__)}.")
    return getattr(import_module(_HOME[name]), name)
