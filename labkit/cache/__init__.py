"""Keeps answers so that the same question is paid for once: keys, bounded caches, and single flight."""

from labkit.cache.answers import is_complete
from labkit.cache.counts import CacheCounts
from labkit.cache.flight import SingleFlight
from labkit.cache.key import cache_key
from labkit.cache.memory import MemoryCache

__all__ = ["CacheCounts", "MemoryCache", "SingleFlight", "cache_key", "is_complete"]
