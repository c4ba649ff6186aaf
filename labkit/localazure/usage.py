"""What was used: requests, tokens and latency of each deployment, by the minute. Metrics and spend are read from it."""

from collections.abc import Iterator
from typing import NamedTuple

from labkit.catalog import MODELS
from labkit.localazure.journal import Entry

MINUTE_S = 60
DAY_S = 86_400
# A day of twenty deployments with three outcomes each, or a month of one: what is older is kept by the day.
_CELLS = 100_000


class Key(NamedTuple):
    """What is counted apart: ``start_s`` is the beginning of the minute (or day) in seconds since 1970.

    ``account`` is an account's name, ``model`` the catalogue's; both deployment and model are empty for a request that
    named no deployment there is.
    """

    start_s: int
    account: str
    deployment: str
    model: str
    operation: str
    status: int
    stream: bool


class Cell:
    """The sums over the requests with one key. Milliseconds are the simulated model's, unscaled.

    A minute's cell passes what it counts on to its ``day``.
    """

    __slots__ = (
        "cached_tokens",
        "completion_tokens",
        "day",
        "max_ms",
        "min_ms",
        "prompt_tokens",
        "requests",
        "total_ms",
    )

    def __init__(self, day: "Cell | None" = None) -> None:
        self.day = day
        self.requests = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0
        self.total_ms = 0.0
        self.min_ms = float("inf")
        self.max_ms = 0.0

    def add(self, entry: Entry) -> None:
        """Count one request."""
        self.requests += 1
        self.prompt_tokens += entry.prompt_tokens
        self.cached_tokens += entry.cached_tokens
        self.completion_tokens += entry.completion_tokens
        took_ms = entry.simulated_ms
        self.total_ms += took_ms
        if took_ms < self.min_ms:
            self.min_ms = took_ms
        if took_ms > self.max_ms:
            self.max_ms = took_ms
        if self.day is not None:
            self.day.add(entry)

    def merge(self, other: "Cell") -> None:
        """Count all that ``other`` counted."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.completion_tokens += other.completion_tokens
        self.total_ms += other.total_ms
        self.min_ms = min(self.min_ms, other.min_ms)
        self.max_ms = max(self.max_ms, other.max_ms)


class Usage:
    """The usage of every deployment: by the minute for the last ``capacity`` cells, by the day for all time."""

    def __init__(self, capacity: int = _CELLS) -> None:
        self._minutes: dict[Key, Cell] = {}
        self._days: dict[Key, Cell] = {}
        self._capacity = capacity

    def note(self, entry: Entry) -> None:
        """Count a request to the inference face. On the hot path of every call."""
        at_s = int(entry.at_s)
        key = Key(
            at_s - at_s % MINUTE_S,
            entry.account or "",
            entry.deployment or "",
            entry.model or "",
            entry.operation,
            entry.status,
            entry.stream,
        )
        cell = self._minutes.get(key)
        if cell is None:
            cell = self._minutes[key] = Cell(self._days.setdefault(_day(key), Cell()))
            if len(self._minutes) > self._capacity:
                self._fold()
        cell.add(entry)

    def minutes(self, start_s: float, end_s: float) -> Iterator[tuple[Key, Cell]]:
        """The cells of the minutes that begin at ``start_s`` or later and before ``end_s``, in no order."""
        return ((key, cell) for key, cell in tuple(self._minutes.items()) if start_s <= key.start_s < end_s)

    def days(self) -> dict[Key, Cell]:
        """The sums by the day (UTC), all deployments and outcomes: copies, which count no further."""
        found: dict[Key, Cell] = {}
        for key, cell in tuple(self._days.items()):
            found[key] = Cell()
            found[key].merge(cell)
        return found

    def restore(self, key: Key, cell: Cell) -> None:
        """Count what an earlier run of the server counted on a day."""
        self._days.setdefault(_day(key), Cell()).merge(cell)

    def _fold(self) -> None:
        """Keep the oldest tenth of the minutes as days only."""
        for key in sorted(self._minutes)[: max(1, self._capacity // 10)]:
            del self._minutes[key]


def cost_usd(key: Key, cell: Cell) -> float:
    """What the cell's tokens cost at the catalogue's price; 0.0 when no model answered."""
    model = MODELS.get(key.model)
    if model is None:
        return 0.0
    return model.price.cost_usd(cell.prompt_tokens, cell.completion_tokens, cell.cached_tokens)


def _day(key: Key) -> Key:
    return key._replace(start_s=key.start_s - key.start_s % DAY_S)
