"""The responses that each account may ask for again, and go on from."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from labkit.localazure.inference.responses.items import Item

# Microsoft Learn, how-to/responses, read 2026-11-25: responses are kept for 30 days.
_KEPT_S = 30 * 24 * 3600
# Ours: an account keeps its newest responses.
_MOST_RESPONSES = 1_000
_MOST_BYTES = 8 * 2**20
_LARGEST_BYTES = _MOST_BYTES // 2


class Turn(NamedTuple):
    """What one response was given, and what it answered."""

    given: tuple[Item, ...]
    output: tuple[Item, ...]
    size_bytes: int

    @property
    def items(self) -> tuple[Item, ...]:
        """What was said in this turn, in order."""
        return (*self.given, *self.output)


class Stored(NamedTuple):
    """One response: its body, and the conversation it ends, whose last turn is its own."""

    id: str
    created_at_s: float
    body: bytes
    turns: tuple[Turn, ...]

    @property
    def size_bytes(self) -> int:
        """How much of the account's space it takes; what it shares with earlier responses counts again."""
        return len(self.body) + sum([turn.size_bytes for turn in self.turns])


def turn(given: Sequence[Item], output: Sequence[Item]) -> Turn:
    """A turn with its size."""
    return Turn(tuple(given), tuple(output), len(orjson.dumps((given, output))))


@dataclass(slots=True)
class _Shelf:
    """The stored responses of one account, oldest first, and their items by id."""

    responses: OrderedDict[str, Stored] = field(default_factory=OrderedDict)
    items: dict[str, Item] = field(default_factory=dict)
    size_bytes: int = 0

    def put(self, stored: Stored) -> None:
        self.responses[stored.id] = stored
        self.items |= {item["id"]: item for item in stored.turns[-1].items}
        self.size_bytes += stored.size_bytes
        while len(self.responses) > _MOST_RESPONSES or self.size_bytes > _MOST_BYTES:
            self.drop(next(iter(self.responses)))

    def drop(self, id: str) -> None:
        stored = self.responses.pop(id, None)
        if stored is None:
            return
        self.size_bytes -= stored.size_bytes
        for item in stored.turns[-1].items:
            self.items.pop(item["id"], None)


class ResponseStore:
    """The responses of every account. Each account has a shelf of its own, so none crowds out another."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}

    def put(self, account_id: str, stored: Stored) -> bool:
        """Keep a response, for which the oldest ones of the account make room; False when it is too large to keep."""
        if stored.size_bytes > _LARGEST_BYTES:
            return False
        self._shelves.setdefault(account_id, _Shelf()).put(stored)
        return True

    def get(self, account_id: str, id: str, now: float) -> Stored | None:
        """The response with ``id``; None when the account has none, or it is older than 30 days."""
        shelf = self._shelves.get(account_id)
        stored = None if shelf is None else shelf.responses.get(id)
        if shelf is None or stored is None:
            return None
        if now - stored.created_at_s > _KEPT_S:
            shelf.drop(id)
            return None
        return stored

    def item(self, account_id: str, id: str) -> Item | None:
        """The item with ``id`` of a response that the account keeps, or None."""
        shelf = self._shelves.get(account_id)
        return None if shelf is None else shelf.items.get(id)

    def delete(self, account_id: str, id: str) -> None:
        """Forget a response; nothing happens when there is none."""
        shelf = self._shelves.get(account_id)
        if shelf is not None:
            shelf.drop(id)

    def clear(self, account_id: str) -> None:
        """Forget every response of an account."""
        self._shelves.pop(account_id, None)
