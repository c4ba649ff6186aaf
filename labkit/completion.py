"""One chat call to one deployment: sent, retried, measured and traced. Both user-facing classes call through here."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.metering import latency_s
from labkit.plugins import PluginError, Retry
from labkit.retry import MOST_ATTEMPTS, call_with_retry
from labkit.telemetry import Telemetry
from labkit.tuning import without_refused
from labkit.validation import EmptyAnswerError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion


@dataclass(frozen=True, slots=True)
class Completed:
    """An answer, the parameters it was asked with, and two times.

    ``latency_s`` is what the service took for this answer; ``duration_s`` adds failed attempts and waits before it.
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
        max_attempts: int = MOST_ATTEMPTS,
        added: frozenset[str] = frozenset(),
        check: Callable[["ChatCompletion"], object] | None = None,
    ) -> Completed:
        """The answer of ``deployment``, after as many attempts as ``retry`` and ``max_attempts`` allow.

        Parameters ``added`` to the caller's are left out when the model refuses them, and ``max_tokens`` is renamed.
        What ``check`` raises about an answer counts as a failure of the call and is not retried: it has been paid for.
        """
        call = _Call(self, deployment, messages, params, added)
        with self.telemetry.chat(deployment, params, messages=messages) as operation:
            try:
                answer = await call_with_retry(call.attempt, retry, max_attempts=max_attempts, sleep=call.wait)
            finally:
                operation.duration_s = call.elapsed_s
            operation.answer = answer
            if check is not None:
                check(answer)
        return Completed(answer, call.params, call.latency_s, call.elapsed_s)

    async def explain(self, error: Exception) -> None:
        """Add to ``error`` what helps: for a missing deployment, those that the account of the connection has."""
        if self.client is _client_of_connection and getattr(error, "status_code", None) == 404:
            from labkit.missing import note_existing

            await note_existing(error)


@dataclass(slots=True)
class _Call:
    """A call under way: the parameters as the model takes them, and the time spent."""

    caller: Caller
    deployment: str
    messages: Sequence[Mapping[str, Any]]
    params: Mapping[str, Any]
    added: frozenset[str]
    latency_s: float = 0.0
    elapsed_s: float = 0.0

    async def attempt(self) -> "ChatCompletion":
        from openai import BadRequestError

        while True:
            try:
                return await self._send()
            except BadRequestError as error:
                accepted = without_refused(self.params, error, added=self.added)
                if accepted is None:
                    raise
                self.params = accepted

    async def wait(self, seconds: float) -> None:
        self.elapsed_s += seconds
        await self.caller.sleep(seconds)

    async def _send(self) -> "ChatCompletion":
        from openai import APIStatusError

        create: Any = self.caller.client().chat.completions.with_raw_response.create
        started_s, headers = self.caller.clock(), None
        try:
            raw = await create(model=self.deployment, messages=self.messages, **self.params)
            headers = raw.headers
            return _completion(raw.parse())
        except APIStatusError as error:
            headers = error.response.headers
            raise
        finally:
            self.latency_s = latency_s(headers, self.caller.clock() - started_s)
            self.elapsed_s += self.latency_s


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


def _completion(answer: Any) -> "ChatCompletion":
    if not hasattr(answer, "choices"):
        raise EmptyAnswerError("The endpoint answered with something other than a chat completion: check its address.")
    completion: ChatCompletion = answer
    return completion
