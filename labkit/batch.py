"""Works through many requests, a few at a time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from labkit.ledger import Entry, Ledger
from labkit.progress import Progress

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

T = TypeVar("T")
R = TypeVar("R")


class Pair(NamedTuple):
    """A request of a batch beside what became of it: an answer, or the error that took its place."""

    request: Any
    answer: "ChatCompletion | None"
    error: Exception | None


class BatchResults(list["ChatCompletion | Exception"]):
    """The results of a batch in the order of its requests: an answer, or the error that took its place."""

    def __init__(self, requests: Iterable[Any], results: Iterable["ChatCompletion | Exception"]) -> None:
        super().__init__(results)
        self._requests = list(requests)

    @property
    def pairs(self) -> list[Pair]:
        """Each request beside its answer and its error, one of which is None."""
        return [
            Pair(request, None, result) if isinstance(result, Exception) else Pair(request, result, None)
            for request, result in zip(self._requests, self, strict=True)
        ]

    @property
    def answers(self) -> "list[ChatCompletion]":
        """The answers alone, in order."""
        return [result for result in self if not isinstance(result, Exception)]

    @property
    def errors(self) -> dict[int, Exception]:
        """The errors by the position of their request."""
        return {place: result for place, result in enumerate(self) if isinstance(result, Exception)}

    def raise_first(self) -> "list[ChatCompletion]":
        """The answers when there is one to every request; else the first error is raised, with its position."""
        for place, error in self.errors.items():
            error.add_note(f"This was request {place} of the batch; {len(self.errors)} of {len(self)} failed.")
            raise error
        return self.answers

    def __repr__(self) -> str:
        from labkit.telemetry import error_kind

        kinds = Counter(map(error_kind, self.errors.values()))
        failed = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
        return (
            f"<{len(self)} results: {len(self.answers)} answers, {len(self.errors)} errors{failed and f' ({failed})'}>"
        )


async def run_batch(
    requests: Iterable[Any],
    work: "Callable[[Any], Awaitable[ChatCompletion]]",
    *,
    size: int,
    progress: bool = True,
    ledger: Ledger | None = None,
    key: Callable[[Any], str] | None = None,
) -> BatchResults:
    """What ``work`` makes of each of ``requests``, at most ``size`` at a time; an error stands in its request's place.

    What ``ledger`` has of an earlier run is not worked for again, and each new answer is in it before it counts as
    done; errors are not kept, so they are tried again. ``key`` tells equal requests; one it raises for is not kept.
    An exception that is no ``Exception``, such as Ctrl-C, ends the batch; what had been answered is in the ledger.
    """
    requests = list(requests)
    entries = _entries(requests, key) if ledger is not None and key is not None else [None] * len(requests)
    results: list[Any] = [None if entry is None or ledger is None else ledger.get(entry) for entry in entries]
    missing = [place for place, result in enumerate(results) if result is None]
    with Progress(len(requests), done=len(requests) - len(missing), shown=progress) as bar:

        async def settle(place: int) -> None:
            try:
                answer = results[place] = await work(requests[place])
            except Exception as error:
                results[place] = error
            else:
                entry = entries[place]
                if ledger is not None and entry is not None:
                    ledger.put(entry, answer)
            bar.count(failed=isinstance(results[place], Exception))

        await in_window(missing, settle, size=size)
    return BatchResults(requests, results)


async def in_window(items: Iterable[T], work: Callable[[T], Awaitable[R]], *, size: int) -> list[R]:
    """What ``work`` makes of each of ``items``, in their order, with at most ``size`` at work at a time.

    A sliding window: the next item starts as soon as one ends. When one raises or is cancelled, or the caller is, the
    others are cancelled too.
    """
    waiting = list(enumerate(items))[::-1]
    results: dict[int, R] = {}
    tasks: list[asyncio.Task[None]] = []
    total = len(waiting)

    async def worker() -> None:
        try:
            while waiting:
                position, item = waiting.pop()
                results[position] = await work(item)
        except asyncio.CancelledError:
            # A group takes a cancelled task for one that is done. Here its item is missing, so all of it ends.
            for task in tasks:
                task.cancel()
            raise

    async with asyncio.TaskGroup() as workers:
        tasks += [workers.create_task(worker()) for _ in range(min(size, total))]
    if len(results) < total:
        raise asyncio.CancelledError
    return [results[position] for position in range(total)]


def _entries(requests: Sequence[Any], key: Callable[[Any], str]) -> list[Entry | None]:
    """The ledger's name for each request: equal requests are told apart by how many came before."""
    seen: Counter[str] = Counter()
    entries: list[Entry | None] = []
    for request in requests:
        try:
            name = key(request)
        except Exception:
            entries.append(None)  # a request that cannot be right; the work will say so in its place
            continue
        entries.append(Entry(name, seen[name]))
        seen[name] += 1
    return entries
