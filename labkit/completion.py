"""One chat call to one deployment: sent, retried, measured and traced. Both user-facing classes call through here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from labkit.breaker import CircuitOpenError, Permit, is_outage
from labkit.deadline import Deadline, DeadlineExceededError
from labkit.errors import LabkitError
from labkit.metering import latency_s, usage
from labkit.paced import Pacer, Room
from labkit.plugins import PluginError, Retry
from labkit.retry import call_with_retry
from labkit.streaming import AnswerStream, Opened, opened
from labkit.telemetry import Telemetry
from labkit.tuning import without_refused
from labkit.validation import EmptyAnswerError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

T = TypeVar("T")


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


class Call:
    """A call under way: the parameters as the model takes them, its room with the pacer, and the time spent."""

    def __init__(
        self,
        caller: Caller,
        deployment: str,
        messages: Sequence[Mapping[str, Any]],
        params: Mapping[str, Any],
        added: frozenset[str] = frozenset(),
        *,
        encoding: str | None = None,
    ) -> None:
        self.caller, self.deployment, self.messages, self.params = caller, deployment, messages, params
        self.added, self.encoding = added, encoding
        self.latency_s = self.elapsed_s = 0.0
        self.bound(None, None, None)

    def bound(self, pacer: Pacer | None, admit: Callable[[], Permit] | None, deadline: Deadline | None) -> None:
        """Let each attempt wait for ``pacer``, ask ``admit``, and end at ``deadline``."""
        self.room, self.admit, self.deadline = Room(pacer, self.estimate), admit, deadline

    def estimate(self) -> int:
        from labkit.estimates import estimate_tokens

        return estimate_tokens(self.messages, self.params, encoding=self.encoding)

    async def through(self, attempt: Callable[[], Awaitable[T]], retry: Retry, max_attempts: int | None) -> T:
        """What ``attempt`` gives in the end. Whatever happens, nothing stays reserved."""
        try:
            return await call_with_retry(
                attempt,
                retry,
                max_attempts=max_attempts,
                deadline=self.deadline,
                sleep=self.wait,
                clock=self.caller.clock,
                on_retry=self.count_retry,
            )
        finally:
            self.room.close()

    async def attempt(self) -> "ChatCompletion":
        return await self.accepted(self._answer)

    async def accepted(self, send: Callable[[], Awaitable[T]]) -> T:
        """What ``send`` gives once the parameters are those that the model takes."""
        from openai import BadRequestError

        while True:
            try:
                return await self._in_room(send)
            except BadRequestError as error:
                accepted = without_refused(self.params, error, added=self.added)
                if accepted is None:
                    raise
                self.params = accepted

    def count_retry(self, error: Exception, wait_s: float) -> None:
        self.caller.telemetry.count_retry(self.deployment, error)

    async def wait(self, seconds: float) -> None:
        if not self.room.pauses(seconds):
            self.elapsed_s += seconds
            await self.caller.sleep(seconds)

    async def _in_room(self, send: Callable[[], Awaitable[T]]) -> T:
        permit = await self._leave_to_send()
        try:
            result = await send()
        except BaseException as error:
            self.room.failed(error)
            if permit is not None:
                self._judge(permit, error)
            raise
        if permit is not None:
            permit.success()
        return result

    async def _leave_to_send(self) -> Permit | None:
        permit = self.admit() if self.admit is not None else None
        if self.room.pacer is None:
            return permit
        began_s = self.caller.clock()
        try:
            await self.room.reserve()
        except BaseException:
            if permit is not None:
                permit.release()
            raise
        # To the millisecond: who does not wait has waited for nothing, on every machine.
        self.elapsed_s += round(self.caller.clock() - began_s, 3)
        return self._still_admitted(permit)

    def _still_admitted(self, permit: Permit | None) -> Permit | None:
        if permit is None or self.admit is None or not permit.is_stale:
            return permit
        try:
            return self.admit()  # the circuit opened while this call waited for room
        except LabkitError:
            self.room.unused()
            raise

    def _judge(self, permit: Permit, error: BaseException) -> None:
        late = isinstance(error, asyncio.CancelledError) and self.deadline is not None and not self.deadline.left_s
        if late and self.deadline is not None:
            permit.failure(self.deadline.error("the deployment did not answer"))
        else:
            permit.end(error)

    async def _answer(self) -> "ChatCompletion":
        from openai import APIStatusError

        started_s, headers = self.caller.clock(), None
        try:
            raw = await self.create(self.params)
            headers = raw.headers
            answer = _completion(raw)
            self.room.answered(usage(answer).total_tokens or None, headers)
            return answer
        except APIStatusError as error:
            headers = error.response.headers
            raise
        finally:
            self.latency_s = latency_s(headers, self.caller.clock() - started_s)
            self.elapsed_s += self.latency_s

    async def open(self) -> Opened:
        return await self.accepted(self._opened)

    def streamed_s(self, stream: Opened) -> float:
        """The seconds ``stream`` has taken so far, or will have taken by the service's own word."""
        wall_s = self.caller.clock() - stream.began_s
        return max(latency_s(stream.raw.response.headers, wall_s), wall_s)

    def end_stream(
        self, headers: Mapping[str, str], used: Mapping[str, Any] | None, error: BaseException | None
    ) -> None:
        """A stream that had begun is over: tell the pacer what it took, and the breaker when it broke."""
        self.room.answered((used or {}).get("total_tokens"), headers)
        late = isinstance(error, DeadlineExceededError)
        if error is not None and self.admit is not None and (late or is_outage(error)):
            with suppress(CircuitOpenError):
                self.admit().failure(error)

    async def _opened(self) -> Opened:
        from openai import APIStatusError

        began_s, headers = self.caller.clock(), None
        try:
            create: Any = self.caller.client().chat.completions.create
            raw = await create(model=self.deployment, messages=self.messages, **self.params)
            return await opened(raw, self.caller.clock, began_s)
        except BaseException as error:
            if isinstance(error, APIStatusError):
                headers = error.response.headers
            self.elapsed_s += latency_s(headers, self.caller.clock() - began_s)
            raise

    async def create(self, params: Mapping[str, Any]) -> Any:
        """The SDK's raw response to one request."""
        create: Any = self.caller.client().chat.completions.with_raw_response.create
        return await create(model=self.deployment, messages=self.messages, **params)


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


def _completion(raw: Any) -> "ChatCompletion":
    try:
        answer = raw.parse()
    except ValueError:
        # Without its cause: a JSONDecodeError holds the whole text.
        raise EmptyAnswerError("The service answered with something that is not JSON, or only half of it.") from None
    if not hasattr(answer, "choices"):
        raise EmptyAnswerError("The endpoint answered with something other than a chat completion: check its address.")
    completion: ChatCompletion = answer
    return completion
