"""Keeps answers so that the same question is paid for once: keys, a bounded memory, and single flight."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson

from labkit.errors import InvalidRequestError
from labkit.validation import plain_data

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

T = TypeVar("T")

# Parameters that label, store or route a request, or say how long to wait for it: they do not change the answer.
_WITHOUT_EFFECT = frozenset(
    {"extra_headers", "extra_query", "metadata", "prompt_cache_key", "safety_identifier", "store", "timeout", "user"}
)


def cache_key(deployment: str, messages: Sequence[Any], params: Mapping[str, Any]) -> str:
    """A key that is equal for two requests exactly when they ask the same of the same deployment.

    It is a SHA-256 of canonical JSON: the order of keys does not matter, nor whether 0 is written 0 or 0.0; the order
    of messages does, and so does every parameter that changes the answer. ``InvalidRequestError`` when a value cannot
    be written as JSON.
    """
    effective = {name: _canonical(value) for name, value in params.items() if name not in _WITHOUT_EFFECT}
    request = [deployment, list(messages), {name: value for name, value in effective.items() if value is not None}]
    try:
        canonical = orjson.dumps(request, default=plain_data, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise InvalidRequestError(
            f"No cache key for this request: {error}. Use strings, numbers, lists and dicts."
        ) from None
    return hashlib.sha256(canonical).hexdigest()


def _canonical(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    # NOT_GIVEN and Omit() of the SDK: the same as not naming the parameter.
    return None if type(value).__name__ in ("NotGiven", "Omit") else value


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


class SingleFlight(Generic[T]):
    """Runs one of several identical calls that are wanted at the same time, and gives its result to all of them."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def run(self, key: str, call: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """The result of ``call()``, and whether it was shared: True for those who joined a flight under way.

        An error of the call reaches everyone who waits for it. Whoever is cancelled leaves alone; the call itself is
        cancelled when nobody waits any more.
        """
        flight = self._flights.get(key)
        joined = flight is not None
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(call()))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task), joined
        finally:
            flight.waiting -= 1
            self._land(key, flight)

    def _land(self, key: str, flight: "_Flight[T]") -> None:
        # Also when the last one was cancelled: whoever asks next must start anew, not join a call that is ending.
        if not flight.waiting:
            flight.task.cancel()  # does nothing to a task that is done
        if self._flights.get(key) is flight and (flight.task.done() or not flight.waiting):
            del self._flights[key]


@dataclass(eq=False, slots=True)
class _Flight(Generic[T]):
    """One call under way, and how many wait for it."""

    task: "asyncio.Task[T]"
    waiting: int = 0
