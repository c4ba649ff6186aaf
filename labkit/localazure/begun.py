"""A coroutine that runs at once, outside of any task, for as long as it need not wait."""

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """A coroutine that has begun. When it is not ``is_done``, awaiting it goes on where it waits.

    What the coroutine raises before it waits is raised here. (A task that starts eagerly does the same, from
    Python 3.12 on.)
    """

    __slots__ = ("_awaited", "_running", "is_done", "result")

    result: T

    def __init__(self, running: Coroutine[Any, Any, T]) -> None:
        self._running = running
        self.is_done = False
        try:
            self._awaited = running.send(None)
        except StopIteration as end:
            self._end(end)

    def __await__(self) -> Generator[Any, Any, T]:
        while not self.is_done:
            try:
                value = yield self._awaited
            except BaseException as error:  # what the awaited future was given, or a cancellation
                self._step(self._running.throw, error)
            else:
                self._step(self._running.send, value)
        return self.result

    def _step(self, go_on: Any, value: Any) -> None:
        try:
            self._awaited = go_on(value)
        except StopIteration as end:
            self._end(end)

    def _end(self, end: StopIteration) -> None:
        self.is_done, self.result = True, end.value
