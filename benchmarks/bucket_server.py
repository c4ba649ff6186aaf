"""A neutral service with strict token buckets, the same for us and for every peer.

    python benchmarks/bucket_server.py --rpm 1200 --tpm 480000      (the benchmarks run it in a process of its own)

Rules: a second's worth of calls and ten seconds' worth of tokens can be saved up; a call needs one call and
``characters / 4 + max_tokens`` tokens when it arrives, whatever it really uses. What does not fit is refused as Azure
refuses it: status 429, a message that names the rate, ``policy-id``, ``retry-after`` in whole seconds and
``retry-after-ms``. With ``--charging`` a refused call is counted, too, as far as there is anything left to take. With
``--silent`` successful answers carry no ``x-ratelimit-`` headers, so that only refusals tell of limits. Every prompt
carries ``[call N]``; what became of each N can be read at ``/counts``.
"""

import argparse
import asyncio
import json
import math
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

DEPLOYMENT, MODEL = "bench", "gpt-4o-mini-2024-07-18"
CALL_BURST_S, TOKEN_BURST_S = 1.0, 10.0
CHARACTERS_PER_TOKEN = 4
# Of the tokens a call may use, the share that its answer takes. The service counts all of them either way.
USED_SHARE = 0.4
_NUMBERED = re.compile(rb"\[call (\d+)\]")
_API_VERSION = re.compile(rb"api-version=([\w.-]+)")
Headers = list[tuple[bytes, bytes]]


@dataclass
class Bucket:
    """``per_minute`` of something, of which ``burst_s`` seconds' worth can be saved up; full to begin with."""

    per_minute: float
    burst_s: float
    level: float = field(init=False)
    filled_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.level = self.size

    @property
    def size(self) -> float:
        """What it holds when it is full."""
        return self.per_minute / 60 * self.burst_s

    def fill(self, now: float) -> None:
        """Put in what has come in since it was filled last."""
        self.level = min(self.size, self.level + (now - self.filled_at) * self.per_minute / 60)
        self.filled_at = now

    def wait_s(self, amount: float) -> float:
        """How long until ``amount`` is in it; an amount above its size needs a full one."""
        return max(0.0, min(amount, self.size) - self.level) / (self.per_minute / 60)


@dataclass
class Limits:
    """The two buckets of a deployment; it knows no clock, every call says what time it is."""

    calls: Bucket
    tokens: Bucket
    charging: bool = False

    @classmethod
    def per_minute(cls, rpm: float, tpm: float, *, charging: bool = False) -> "Limits":
        """Limits by the neutral rules."""
        return cls(Bucket(rpm, CALL_BURST_S), Bucket(tpm, TOKEN_BURST_S), charging)

    def take(self, now: float, tokens: float) -> tuple[str, float] | None:
        """None when a call of ``tokens`` may pass; else which rate is exceeded (``call``, ``token``), the wait."""
        needs = ((self.calls, 1.0, "call"), (self.tokens, tokens, "token"))
        for bucket, _, _ in needs:
            bucket.fill(now)
        wait_s, name = max((bucket.wait_s(amount), name) for bucket, amount, name in needs)
        refused = wait_s > 1e-9
        if not refused or self.charging:
            for bucket, amount, _ in needs:
                bucket.level -= min(amount, bucket.level) if refused else amount
        return (name, wait_s) if refused else None


def tokens_of(characters: int, max_tokens: int) -> int:
    """What a call counts when it arrives."""
    return -(-characters // CHARACTERS_PER_TOKEN) + max_tokens


def ideal_s(sizes: list[int], rpm: float, tpm: float, latency_s: float) -> float:
    """The least time in which calls of these sizes can pass, whoever sends them, and the last one's latency."""
    limits = Limits.per_minute(rpm, tpm)
    needs = (len(sizes) - limits.calls.size) / rpm, (sum(sizes) - limits.tokens.size) / tpm
    return max(0.0, *needs) * 60 + latency_s


@dataclass
class Service:
    """The application: chat completions on the dated and the v1 path, and what it saw of them."""

    limits: Limits | None
    latency_ms: tuple[float, float] = (80.0, 250.0)
    silent: bool = False
    arrived: Counter[int] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, headers, answer = await self._answer(scope, body)
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer)), *headers]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, scope: Mapping[str, Any], body: bytes) -> tuple[int, Headers, bytes]:
        path = scope["path"]
        if path == "/counts":
            return 200, [], orjson.dumps(self.counts(), option=orjson.OPT_NON_STR_KEYS)
        if path not in (f"/openai/deployments/{DEPLOYMENT}/chat/completions", "/openai/v1/chat/completions"):
            return 404, [], _error("404", "Resource not found")
        return await self._complete(scope, body)

    def counts(self) -> dict[str, Any]:
        """How often each numbered call arrived and was answered, and how many were refused at which rate."""
        return {"arrived": self.arrived, "answered": self.answered, "refused": self.refused}

    async def _complete(self, scope: Mapping[str, Any], body: bytes) -> tuple[int, Headers, bytes]:
        found = _NUMBERED.search(body)
        number = int(found[1]) if found else 0
        self.arrived[number] += 1
        asked = orjson.loads(body)
        characters = sum(len(message["content"]) for message in asked["messages"])
        max_tokens = asked.get("max_tokens") or asked.get("max_completion_tokens") or 16
        refusal = self.limits.take(time.monotonic(), tokens_of(characters, max_tokens)) if self.limits else None
        if refusal is not None:
            self.refused[refusal[0]] += 1
            return self._refuse(scope, *refusal)
        if self.latency_ms[1]:
            await asyncio.sleep(random.Random(number).uniform(*self.latency_ms) / 1000)
        self.answered[number] += 1
        return 200, self._headers(), _completion(number, characters // CHARACTERS_PER_TOKEN, max_tokens)

    def _refuse(self, scope: Mapping[str, Any], rate: str, wait_s: float) -> tuple[int, Headers, bytes]:
        seconds, ms = max(1, math.ceil(wait_s)), max(1, math.ceil(wait_s * 1000))
        version = _API_VERSION.search(scope.get("query_string", b""))
        text = (
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
            f"{version[1].decode() if version else 'v1'} have exceeded {rate} rate limit of your current OpenAI S0 "
            f"pricing tier. Please retry after {seconds} seconds. Please go here: https://aka.ms/oai/quotaincrease if "
            "you would like to further increase the default rate limit."
        )
        headers = [
            (b"policy-id", b"DeploymentRatelimit-" + rate.capitalize().encode()),
            (b"retry-after", b"%d" % seconds),
            (b"retry-after-ms", b"%d" % ms),
            *self._headers(),
        ]
        return 429, headers, _error("429", text)

    def _headers(self) -> Headers:
        if self.limits is None or self.silent:
            return []
        calls, tokens = self.limits.calls, self.limits.tokens
        return [
            (b"x-ratelimit-limit-requests", b"%d" % calls.per_minute),
            (b"x-ratelimit-limit-tokens", b"%d" % tokens.per_minute),
            (b"x-ratelimit-remaining-requests", b"%d" % max(0, calls.level)),
            (b"x-ratelimit-remaining-tokens", b"%d" % max(0, tokens.level)),
        ]


def _error(code: str, text: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": text}})


def _completion(number: int, prompt_tokens: int, max_tokens: int) -> bytes:
    used = max(1, int(max_tokens * USED_SHARE))
    return orjson.dumps(
        {
            "id": f"chatcmpl-{number:08d}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "logprobs": None,
                    "message": {"role": "assistant", "content": answer_to(number), "refusal": None},
                }
            ],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": used, "total_tokens": prompt_tokens + used},
        }
    )


def answer_to(number: int) -> str:
    """The text that answers the prompt with ``[call number]``."""
    return f"This answers call {number}."


@contextmanager
def running(
    *, rpm: float = 0, tpm: float = 0, charging: bool = False, silent: bool = False, latency_ms: str = "80-250"
) -> Iterator[str]:
    """The address of a server in a process of its own; without ``rpm`` it has no limits."""
    flags = [flag for flag, on in (("--charging", charging), ("--silent", silent)) if on]
    command = [sys.executable, __file__, "--rpm", str(rpm), "--tpm", str(tpm), "--latency-ms", latency_ms, *flags]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.stdin.close()
        process.wait(20)


async def _serve(service: Service) -> None:
    """Serve on a free port until stdin closes; the address is told on stdout once connections are accepted."""
    import uvicorn

    quiet: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "proxy_headers": False}
    server = uvicorn.Server(uvicorn.Config(service, lifespan="off", ws="none", timeout_keep_alive=600, **quiet))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        # Accepted connections take it over. asyncio sets it itself only where the socket names its protocol; without,
        # an answer in two packets waits 40 ms for the client's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = server.force_exit = True
        await serving


def main() -> None:
    """Serve with the limits of the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rpm", type=float, default=0, help="calls per minute; 0: no limits")
    options.add_argument("--tpm", type=float, default=0, help="tokens per minute")
    options.add_argument("--charging", action="store_true", help="refused calls are counted, too")
    options.add_argument("--silent", action="store_true", help="successful answers tell nothing of limits")
    options.add_argument("--latency-ms", default="80-250", help="from-to, drawn for each call from its number; 0: none")
    chosen = options.parse_args()
    least, _, most = chosen.latency_ms.partition("-")
    limits = Limits.per_minute(chosen.rpm, chosen.tpm, charging=chosen.charging) if chosen.rpm else None
    asyncio.run(_serve(Service(limits, (float(least), float(most or least)), chosen.silent)))


if __name__ == "__main__":
    main()
