"""Works through many requests, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_window(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], *, size: int, progress: bool = False
) -> list[R]:
    """What ``work`` makes of each of ``items``, in their order, with at most ``size`` at work at a time.

    A sliding window: the next item starts as soon as one ends. When one raises or the caller is cancelled, the others
    are cancelled too. ``progress`` shows a bar.
    """
    waiting = list(enumerate(items))[::-1]
    results: dict[int, R] = {}

    async def worker(done: Callable[[], object]) -> None:
        while waiting:
            position, item = waiting.pop()
            results[position] = await work(item)
            done()

    with _progress_bar(len(waiting), progress) as done:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(size, len(waiting))):
                workers.create_task(worker(done))
    return [results[position] for position in sorted(results)]


@contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Callable[[], object]]:
    if not shown:
        yield lambda: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit="call") as bar:
        yield bar.update
