"""What a cache has done so far, as numbers."""

from dataclasses import dataclass
from typing import Literal

# What asking a cache came to. Stale: there was an answer, but it is too old.
Result = Literal["hit", "miss", "stale"]


@dataclass(slots=True)
class CacheCounts:
    """How often a cache was asked and what came of it. Who did not ask it is counted by the asker."""

    hits: int = 0
    misses: int = 0
    stale: int = 0

    @property
    def hit_share(self) -> float:
        """The part of the times the cache was asked in which it had an answer; 0 before it was asked."""
        asked = self.hits + self.misses + self.stale
        return self.hits / asked if asked else 0.0

    def add(self, result: Result) -> None:
        """Count one time of asking. The caches call this while they hold their lock."""
        if result == "hit":
            self.hits += 1
        elif result == "miss":
            self.misses += 1
        else:
            self.stale += 1
