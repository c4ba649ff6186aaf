"""One chat call to one deployment: sent, retried, measured and traced. Both user-facing classes call through here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.breaker import Permit
from labkit.calls.call import Call
from labkit.calls.streaming import AnswerStream
from labkit.deadline import Deadline
from labkit.pacing import Pacer
from labkit.plugins import PluginError, Retry
from labkit.telemetry import Telemetry

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion, ChatCompletionChunk


@dataclass(frozen=True, slots=True)
class Completed:
    """An answer, the parameters it was asked with, and two times.

    ``latency_s`` is what the service took for this answer; ``duration_s`` adds failed attempts and waits before it,
    also those for a pacer.
    """

    answer: "ChatCompletion"
    params: Mapping[str, Any]
    latency_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls deployments; ``client`` gives the client to use at that moment. Sleep and clock can be replaced."""

    client: Callable[[], "AsyncOpenAI"]
    telemetry: Telemetry
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.perf_counter

    async def complete(
        self,
        deployment: str,
        messages: Sequence[Mapping[str, Any]],
        params: Mapping[str, Any],
        *,
        retry: Retry,
        max_attempts: int | None = None,
        added: frozenset[str] = frozenset(),
        check: Callable[["ChatCompletion"], object] | None = None,
        on_paid: Callable[[Completed], object] | None = None,
        pacer: Pacer | None = None,
        admit: Callable[[], Permit] | None = None,
        deadline_s: float | Deadline | None = None,
        encoding: str | None = None,
    ) -> Completed:
        """The answer of ``deployment``, after as many attempts as ``retry`` and ``max_attempts`` allow.

        Parameters ``added`` to the caller's are left out when the model refuses them, and ``max_tokens`` is renamed.
        What ``check`` raises about an answer counts as a failure of the call and is not retried: it has been paid for,
        and ``on_paid`` is told so before.
        Each attempt waits for room with ``pacer``, for as many tokens as the call is likely to count (by ``encoding``
        where one is given), and asks ``admit``, a circuit breaker's, whether it may go. ``DeadlineExceededError`` after
        ``deadline_s`` from now, or at a deadline under way.
        """
        call = Call(self, deployment, messages, params, added, encoding=encoding)
        call.bound(pacer, admit, Deadline.of(deadline_s, self.clock))
        with self.telemetry.chat(deployment, params, messages=messages) as operation:
            try:
                operation.answer = answer = await call.through(call.attempt, retry, max_attempts)
            finally:
                operation.duration_s = call.elapsed_s
            done = Completed(answer, call.params, call.latency_s, call.elapsed_s)
            if on_paid is not None:
                on_paid(done)
            if check is not None:
                check(answer)
        return done

    async def open(
        self,
        deployment: str,
        messages: Sequence[Mapping[str, Any]],
        params: Mapping[str, Any],
        *,
        retry: Retry,
        max_attempts: int | None = None,
        added: frozenset[str] = frozenset(),
        check: Callable[["ChatCompletion"], object] | None = None,
        on_paid: Callable[["ChatCompletion", float], object] | None = None,
        pacer: Pacer | None = None,
        admit: Callable[[], Permit] | None = None,
        deadline_s: float | Deadline | None = None,
        encoding: str | None = None,
    ) -> AnswerStream:
        """The same as a stream whose first token has come; up to there it is retried, and not from there on.

        ``check`` and ``on_paid`` are told the whole answer at its end. It must be read to its end, or closed.
        """
        options = params.get("stream_options") or {}
        shows_usage = bool(options.get("include_usage"))
        asked = {**params, "stream": True, "stream_options": {**options, "include_usage": True}}
        added |= {"stream_options"} - params.keys()
        call = Call(self, deployment, messages, asked, added, encoding=encoding)
        call.bound(pacer, admit, Deadline.of(deadline_s, self.clock))
        span = self.telemetry.chat(deployment, params, messages=messages, stream=True)
        operation = span.__enter__()
        try:
            stream = await call.through(call.open, retry, max_attempts)
        except BaseException as error:
            operation.duration_s = call.elapsed_s
            span.__exit__(type(error), error, None)
            raise
        return AnswerStream(call, span, operation, stream, shows_usage=shows_usage, check=check, on_paid=on_paid)

    async def stream(
        self, deployment: str, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any], **options: Any
    ) -> "AsyncIterator[ChatCompletionChunk]":
        """The chunks of ``deployment``'s answer; ``options`` are those of ``open``."""
        stream = await self.open(deployment, messages, params, **options)
        try:
            while (chunk := await stream.next()) is not None:
                yield chunk
        finally:
            await stream.close(GeneratorExit())

    async def explain(self, error: Exception) -> None:
        """Add to ``error`` what helps: for a missing deployment, those that the account of the connection has."""
        if self.client is _client_of_connection and getattr(error, "status_code", None) == 404:
            from labkit.missing import note_existing

            await note_existing(error)


def client_source(client: "AsyncOpenAI | None") -> Callable[[], "AsyncOpenAI"]:
    """What gives ``client``, or without one that of the current connection and event loop.

    Its own retries are off: labkit's retry layer is the only one. ``PluginError`` for the synchronous client, which
    would stop every other call while one waits.
    """
    if client is None:
        return _client_of_connection
    from openai import AsyncOpenAI, OpenAI

    if isinstance(client, OpenAI):
        name = type(client).__name__
        raise PluginError(f"client is {name}, which is synchronous. Use Async{name}, or labkit.clients.async_openai().")
    retries = isinstance(client, AsyncOpenAI) and client.max_retries
    quiet = client.with_options(max_retries=0) if retries else client
    return lambda: quiet


def _client_of_connection() -> "AsyncOpenAI":
    from labkit import clients

    return clients.async_openai()
