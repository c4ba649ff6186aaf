"""Answers that are read while they are written: repeated only before the first token, and closed whenever they end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from labkit.calls.chunks import Assembly, is_token, is_usage
from labkit.deadline import Deadline
from labkit.errors import LabkitError
from labkit.gate import Gate, ServiceDrainingError
from labkit.validation import EmptyAnswerError, content_filter_error

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    from labkit.calls.call import Call
    from labkit.telemetry import Operation

_BEGUN = "The answer had begun: a stream is repeated only before its first token."


@dataclass(slots=True)
class Opened:
    """A stream whose first token has come, with the chunks up to it."""

    raw: "AsyncStream[ChatCompletionChunk]"
    chunks: "deque[ChatCompletionChunk]"
    began_s: float
    first_token_s: float


async def opened(raw: "AsyncStream[ChatCompletionChunk]", clock: Callable[[], float], began_s: float) -> Opened:
    """``raw``, read up to its first token. On any error it is closed."""
    chunks: deque[ChatCompletionChunk] = deque()
    try:
        while not chunks or not is_token(chunks[-1]):
            chunk = await next_chunk(raw)
            if chunk is None:
                raise _ended_early(raw)
            chunks.append(chunk)
    except BaseException:
        await raw.close()
        raise
    return Opened(raw, chunks, began_s, clock() - began_s)


async def next_chunk(raw: "AsyncStream[ChatCompletionChunk]") -> "ChatCompletionChunk | None":
    """The next chunk as it came, or None at the end."""
    try:
        return await anext(raw, None)
    except ValueError:
        # Without its cause: a JSONDecodeError holds the whole text.
        raise EmptyAnswerError("The stream has a chunk that is not JSON, or only half of it.") from None


def _ended_early(raw: "AsyncStream[ChatCompletionChunk]") -> Exception:
    from openai import APIConnectionError

    return APIConnectionError(message="The stream ended before the answer did.", request=raw.response.request)


class AnswerStream:
    """The rest of one opened stream. ``next`` gives its chunks, then None; ``answer`` is what has come so far."""

    def __init__(
        self,
        call: "Call",
        span: AbstractContextManager["Operation"],
        operation: "Operation",
        stream: Opened,
        *,
        shows_usage: bool,
        check: "Callable[[ChatCompletion], object] | None",
        on_paid: "Callable[[ChatCompletion, float], object] | None",
    ) -> None:
        self._call, self._span, self._operation, self._stream = call, span, operation, stream
        self._shows_usage, self._check, self._on_paid = shows_usage, check, on_paid
        self._assembly, self._has_ended = Assembly(), False

    @property
    def answer(self) -> "ChatCompletion":
        """What has come so far, put together."""
        return self._assembly.answer()

    @property
    def duration_s(self) -> float:
        """The seconds it took, with failed attempts and waits before it."""
        return self._call.elapsed_s

    async def next(self) -> "ChatCompletionChunk | None":
        """The next chunk, or None once the answer is whole, checked and paid for. Errors close the stream."""
        if self._has_ended:
            return None
        try:
            chunk = await self._following()
            while chunk is not None and is_usage(chunk) and not self._shows_usage:
                chunk = await self._following()
            if chunk is None:
                self._complete()
        except Exception as error:
            named = content_filter_error(error)
            if named is None and not isinstance(error, LabkitError):
                error.add_note(_BEGUN)
            await self.close(named or error)
            if named is not None:
                raise named from None
            raise
        except BaseException as error:
            await self.close(error)
            raise
        if chunk is None:
            await self.close()
        return chunk

    async def close(self, error: BaseException | None = None) -> None:
        """End it, wherever it is: the response is closed, and what was reserved and measured is told."""
        if self._has_ended:
            return
        self._has_ended = True
        try:
            self._tell(error)
        finally:
            await self._stream.raw.close()

    async def _following(self) -> "ChatCompletionChunk | None":
        if self._stream.chunks:
            chunk: ChatCompletionChunk | None = self._stream.chunks.popleft()
        else:
            async with AsyncExitStack() as stack:
                if self._call.deadline is not None:
                    await stack.enter_async_context(self._call.deadline.cut())
                chunk = await next_chunk(self._stream.raw)
        if chunk is not None:
            self._assembly.add(chunk)
        return chunk

    def _complete(self) -> None:
        if not self._assembly.is_finished:
            raise _ended_early(self._stream.raw)
        answer = self.answer
        if self._on_paid is not None:
            self._on_paid(answer, self._call.streamed_s(self._stream))
        if self._check is not None:
            self._check(answer)

    def _tell(self, error: BaseException | None) -> None:
        call, operation = self._call, self._operation
        call.elapsed_s += call.streamed_s(self._stream)
        call.end_stream(self._stream.raw.response.headers, self._assembly.usage, error)
        operation.first_token_s, operation.duration_s = self._stream.first_token_s, call.elapsed_s
        operation.answer = self.answer
        self._span.__exit__(type(error) if error else None, error, None)


class CompletionStream:
    """The chunks of one answer, to be read with ``async for``, best inside ``async with``; opened when first read.

    The content filter and the other checks of the answer come at its end, as an error after the last chunk. Who stops
    early closes it by leaving the ``async with`` block, or with ``aclose()``; leaving the loop alone does so, too, as
    soon as Python notices. ``answer`` is what has come so far, put together as one completion.
    """

    def __init__(
        self,
        gate: Gate,
        deadline: Deadline | None,
        open: Callable[[], Awaitable[AnswerStream]],
        ended: Callable[[AnswerStream | None, BaseException | None], Awaitable[object]],
    ) -> None:
        self._gate, self._deadline, self._open, self._ended = gate, deadline, open, ended
        self._stream: AnswerStream | None = None
        self._passage: Any = None
        self._closing: asyncio.Task[None] | None = None
        self._is_over = False

    @property
    def answer(self) -> "ChatCompletion | None":
        """The answer so far; None before the first chunk."""
        return None if self._stream is None else self._stream.answer

    async def __aiter__(self) -> "AsyncIterator[ChatCompletionChunk]":
        try:
            while (chunk := await self._next()) is not None:
                yield chunk
        finally:
            await self.aclose()

    async def __anext__(self) -> "ChatCompletionChunk":
        chunk = await self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop reading: the connection is closed, the place among the concurrent calls is given back."""
        if self._passage is not None and not self._is_over:
            await self._end(GeneratorExit())
        self._is_over = True

    async def _next(self) -> "ChatCompletionChunk | None":
        if self._is_over:
            if self._passage is not None and self._passage.is_cut:
                self._passage.check()
            return None
        try:
            if self._passage is None:
                self._passage = self._gate.enter()
                self._passage.on_cut = self._abort
            async with self._passage.guarded():
                if self._stream is None:
                    await self._passage.turn(self._deadline)
                    self._stream = await self._open()
                chunk = await self._stream.next()
        except BaseException as error:
            await self._end(error)
            raise
        if chunk is None:
            await self._end(None)
        return chunk

    def _abort(self) -> None:
        # The service is drained while nobody reads.
        self._closing = asyncio.ensure_future(self._end(ServiceDrainingError("cut")))

    async def _end(self, error: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        try:
            if self._stream is not None:
                await self._stream.close(error)
        finally:
            if self._passage is not None:
                self._passage.leave()
            await self._ended(self._stream, error)
