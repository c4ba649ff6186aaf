"""Plays the inference service to a real SDK client: replies come from a list, and what was sent is kept."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai import APIStatusError, AsyncAzureOpenAI, OpenAI
from openai.types.chat import ChatCompletion

from labkit.optimizer import LLMOptimizer
from labkit.retry import RetryPolicy

REQUEST = httpx2.Request("POST", "https://scripted.invalid/")


@dataclass
class Sent:
    """One request as the service saw it."""

    deployment: str
    body: dict[str, Any]
    headers: Mapping[str, str]


@dataclass
class Service:
    """Gives ``replies`` in order, the last one again and again; an exception among them breaks the connection.

    A function among them makes the response, such as a stream that takes its time.

    While ``gate`` is not set every reply waits for it, or only the first one with ``only_first_waits``. Each takes
    ``takes_s`` seconds of the loop's time.
    """

    replies: list[httpx2.Response | Exception | Callable[[], httpx2.Response]]
    sent: list[Sent] = field(default_factory=list)
    gate: asyncio.Event | None = None
    only_first_waits: bool = False
    takes_s: float | None = None
    at_once: int = 0
    most_at_once: int = 0

    def client(self, **options: Any) -> AsyncAzureOpenAI:
        """A real client that talks to this service and to nobody else."""
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._reply))
        client = AsyncAzureOpenAI(
            azure_endpoint="https://scripted.invalid",
            api_key="not-a-key",
            api_version="2024-10-21",
            http_client=http,
            **{"max_retries": 0, **options},
        )
        client._platform = "Linux"  # else the SDK asks a thread, which a loop of virtual time would not wait for
        return client

    @property
    def deployments(self) -> list[str]:
        """The deployments that were asked, in order."""
        return [sent.deployment for sent in self.sent]

    async def _reply(self, request: httpx2.Request) -> httpx2.Response:
        deployment = request.url.path.split("/deployments/")[1].split("/")[0]
        self.sent.append(Sent(deployment, json.loads(request.content), dict(request.headers)))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        await self._pass_gate()
        if self.takes_s is not None:
            await asyncio.sleep(self.takes_s)
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            return reply()
        # A response can be read once; every request gets one of its own.
        return httpx2.Response(reply.status_code, headers=reply.headers, content=reply.content)

    async def _pass_gate(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate and (len(self.sent) == 1 or not self.only_first_waits):
                await self.gate.wait()
        finally:
            self.at_once -= 1


def service(*replies: httpx2.Response | Exception | Callable[[], httpx2.Response]) -> Service:
    """A service with these replies, or one that answers everything."""
    return Service(list(replies) or [answered()])


def answered(text: str | None = "Warsaw.", *, processing_ms: int | None = 120, **changes: Any) -> httpx2.Response:
    """A completion as the service sends it; ``changes`` are those of ``completion_body``."""
    headers = {} if processing_ms is None else {"openai-processing-ms": str(processing_ms)}
    return httpx2.Response(200, json=completion_body(text, **changes), headers=headers)


def completion(text: str | None = "Warsaw.", **changes: Any) -> ChatCompletion:
    """The same as the SDK hands it out."""
    return ChatCompletion.model_validate(completion_body(text, **changes))


def completion_body(
    text: str | None = "Warsaw.",
    *,
    model: str = "gpt-4o-2024-08-06",
    finish_reason: str = "stop",
    prompt_tokens: int = 20,
    completion_tokens: int = 5,
    cached_tokens: int = 0,
    reasoning_tokens: int = 0,
    message: dict[str, Any] | None = None,
    choice: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON of a completion."""
    said = {"role": "assistant", "content": text, "refusal": None, **(message or {})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [{"index": 0, "finish_reason": finish_reason, "logprobs": None, "message": said, **(choice or {})}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
        },
    }


def refused(status: int, code: str | None = None, message: str = "No.", **headers: str) -> httpx2.Response:
    """An error as the service sends it; ``headers`` are written with underscores."""
    error = {"code": code or str(status), "message": message, "param": None, "type": None}
    return httpx2.Response(status, json={"error": error}, headers={k.replace("_", "-"): v for k, v in headers.items()})


def refused_parameter(name: str, code: str = "unsupported_parameter") -> httpx2.Response:
    """What a reasoning model says to a parameter it does not take (Open-WebUI-Functions#136, obot#2862)."""
    error = {"code": code, "message": f"Unsupported: {name!r}.", "param": name, "type": "invalid_request_error"}
    return httpx2.Response(400, json={"error": error})


def filtered_prompt() -> httpx2.Response:
    """The refusal of a prompt by the content filter (TinyTroupe#85, compl-ai#20)."""
    result = {
        "hate": {"filtered": True, "severity": "high"},
        "self_harm": {"filtered": False, "severity": "safe"},
        "jailbreak": {"filtered": False, "detected": False},
    }
    error = {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result},
    }
    return httpx2.Response(400, json={"error": error})


def sdk_error(response: httpx2.Response) -> APIStatusError:
    """The error the SDK raises for ``response``."""
    response = httpx2.Response(
        response.status_code, headers=response.headers, content=response.content, request=REQUEST
    )
    client = OpenAI(api_key="not-a-key", base_url="https://scripted.invalid")
    with client:
        return client._make_status_error_from_response(response)


@dataclass
class Sleeper:
    """Waits without waiting, and keeps for how long it should have; ``clock`` is the time by its waits alone."""

    waited_s: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.waited_s.append(seconds)

    def clock(self) -> float:
        """The seconds waited so far."""
        return sum(self.waited_s)


def ask(text: str = "What is the capital of Poland?") -> list[dict[str, Any]]:
    """A chat of one question."""
    return [{"role": "user", "content": text}]


# Parameters of a request whose answer is deterministic, and so kept.
COLD = {"temperature": 0, "max_tokens": 50}


def optimizer(fake: Service, name: str = "gpt-4o", **options: Any) -> LLMOptimizer:
    """An optimizer in front of a scripted service, which waits for nothing."""
    sleeper = options.setdefault("sleep", Sleeper())
    options = {"client": fake.client(), "clock": sleeper.clock, "retry": RetryPolicy(jitter=0), **options}
    return LLMOptimizer(name, **options)
