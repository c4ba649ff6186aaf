"""One call under way: its parameters as the model takes them, its attempts, and the time they took."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from labkit.breaker import CircuitOpenError, Permit, is_outage
from labkit.calls.room import Room
from labkit.calls.streaming import Opened, opened
from labkit.deadline import Deadline, DeadlineExceededError
from labkit.errors import LabkitError
from labkit.metering import latency_s, usage
from labkit.pacing import Pacer, estimate_tokens
from labkit.plugins import Retry
from labkit.retry import call_with_retry
from labkit.tuning import without_refused
from labkit.validation import EmptyAnswerError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

    from labkit.calls.caller import Caller

T = TypeVar("T")


class Call:
    """A call under way: the parameters as the model takes them, its room with the pacer, and the time spent."""

    def __init__(
        self,
        caller: "Caller",
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
        """The tokens that an attempt is likely to count."""
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
        """The answer, by one attempt."""
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
        if isinstance(error, asyncio.CancelledError) and self.deadline is not None and self.deadline.is_over:
            permit.failure(self.deadline.error("the deployment did not answer"))
        else:
            permit.end(error)

    async def _answer(self) -> "ChatCompletion":
        from openai import APIStatusError

        started_s, headers = self.caller.clock(), None
        try:
            create: Any = self.caller.client().chat.completions.with_raw_response.create
            raw = await create(model=self.deployment, messages=self.messages, **self.params)
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
        """The answer as a stream whose first token has come, by one attempt."""
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
