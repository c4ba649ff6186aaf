"""Keeps answers so that the same question is paid for once: keys, a bounded memory, and single flight."""

from labkit.cache.flight import SingleFlight
from labkit.cache.key import cache_key
from labkit.cache.memory import MemoryCache

__all__ = ["MemoryCache", "SingleFlight", "cache_key"]
