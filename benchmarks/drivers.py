"""Ways to get a job of many calls done: ours, the session's, and those of the peers, each tuned as its users would.

    python benchmarks/drivers.py "LangChain"        (run by batch.py; each peer by the interpreter of the peers)

Reads the job as one line of JSON from stdin, gets ready, says so, and starts at the next line; tells as JSON how long
it took from there, how many calls failed of what, and how many answers did not belong to their question. Imports and
the first call are not part of the time. A rate that the job does not tell is not known to the driver either.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

API_VERSION = "2024-10-21"
DEPLOYMENT = "bench"
CONNECTIONS = 16


@dataclass(frozen=True)
class Call:
    """One call of a job."""

    number: int
    prompt: str
    max_tokens: int

    @property
    def messages(self) -> list[dict[str, str]]:
        """Its messages."""
        return [{"role": "user", "content": self.prompt}]

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters. The temperature keeps every cache out of it."""
        return {"max_tokens": self.max_tokens, "temperature": 0.7}


@dataclass(frozen=True)
class Job:
    """Many calls to one deployment, the limits that are told (or None), and the time after which it is ended."""

    url: str
    calls: tuple[Call, ...]
    rpm: float | None = None
    tpm: float | None = None
    at_most_s: float = 600.0

    @classmethod
    def read(cls, line: str) -> "Job":
        """The job that was written as JSON."""
        facts = json.loads(line)
        return cls(**{**facts, "calls": tuple(Call(**call) for call in facts["calls"])})


Result = str | Exception
Run = Callable[[], Awaitable[Sequence[Result]]]
# What has come of each call so far; a driver that is ended before its time leaves the rest out.
Results = dict[int, Result]


def azure_client(job: Job, max_retries: int) -> Any:
    """The SDK's asynchronous client."""
    from openai import AsyncAzureOpenAI

    return AsyncAzureOpenAI(
        azure_endpoint=job.url, api_key="none", api_version=API_VERSION, max_retries=max_retries, timeout=60
    )


def text(answer: Any) -> str:
    """What a chat completion says."""
    return str(answer.choices[0].message.content)


async def one_by_one(
    job: Job, results: Results, call: Callable[[Call], Awaitable[str]], connections: int = CONNECTIONS
) -> None:
    """Every call of the job, so many at a time: what people write around a client."""
    gate = asyncio.Semaphore(connections)

    async def settled(one: Call) -> None:
        async with gate:
            try:
                results[one.number] = await call(one)
            except Exception as error:
                results[one.number] = error

    await asyncio.gather(*(settled(one) for one in job.calls))


# -- the drivers: each gets ready and returns what runs the job --------------------------------------------------------


def labkit(job: Job, results: Results, **options: Any) -> Run:
    """``LLMOptimizer.batch_process``, with a pacer that is told what the job tells."""
    from labkit import LLMOptimizer
    from labkit.pacing import Pacer

    pacer = Pacer(rpm=job.rpm, tpm=job.tpm)
    optimizer = LLMOptimizer(DEPLOYMENT, client=azure_client(job, 0), pacer=pacer)

    async def run() -> None:
        requests = [{"messages": call.messages, "parameters": call.params} for call in job.calls]
        answers = await optimizer.batch_process(requests, progress=False, **options)
        for call, answer in zip(job.calls, answers, strict=True):
            results[call.number] = answer if isinstance(answer, Exception) else text(answer)

    return run


def session(job: Job, results: Results) -> Run:
    """The session's ``batch_process``: five at a time, then a pause of a second."""
    client = azure_client(job, 2)

    async def call(one: Call) -> str:
        return text(await client.chat.completions.create(model=DEPLOYMENT, messages=one.messages, **one.params))

    async def run() -> None:
        for start in range(0, len(job.calls), 5):
            part = Job(job.url, job.calls[start : start + 5])
            await one_by_one(part, results, call)
            await asyncio.sleep(1)

    return run


def openai_sdk(job: Job, results: Results, *, max_retries: int) -> Run:
    """The SDK with a semaphore."""
    client = azure_client(job, max_retries)

    async def call(one: Call) -> str:
        return text(await client.chat.completions.create(model=DEPLOYMENT, messages=one.messages, **one.params))

    return lambda: one_by_one(job, results, call)


def litellm_router(job: Job, results: Results) -> Run:
    """LiteLLM's Router with ten retries."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it looks for prices on the network, with retries
    import litellm

    litellm.suppress_debug_info = True
    target = {"model": f"azure/{DEPLOYMENT}", "api_base": job.url, "api_key": "none", "api_version": API_VERSION}
    # Without an allowance for failures the router takes its only deployment out of service after the first refusals.
    router = litellm.Router(
        model_list=[{"model_name": DEPLOYMENT, "litellm_params": target}], num_retries=10, disable_cooldowns=True
    )

    async def call(one: Call) -> str:
        return text(await router.acompletion(model=DEPLOYMENT, messages=one.messages, **one.params))

    return lambda: one_by_one(job, results, call)


def langchain(job: Job, results: Results) -> Run:
    """LangChain's ``abatch`` with its rate limiter, which knows calls but not tokens."""
    from langchain_core.rate_limiters import InMemoryRateLimiter
    from langchain_core.runnables import RunnableLambda
    from langchain_openai import AzureChatOpenAI

    limiter = None
    if job.rpm:
        limiter = InMemoryRateLimiter(
            requests_per_second=job.rpm / 60, check_every_n_seconds=0.02, max_bucket_size=job.rpm / 60
        )
    chat = AzureChatOpenAI(
        azure_endpoint=job.url,
        azure_deployment=DEPLOYMENT,
        api_key="none",
        api_version=API_VERSION,
        max_retries=10,
        rate_limiter=limiter,
        timeout=60,
    )

    async def call(one: Call) -> None:
        answer = await chat.ainvoke(one.prompt, **one.params)
        results[one.number] = str(answer.content)

    async def run() -> None:
        config: Any = {"max_concurrency": CONNECTIONS}
        ended = await RunnableLambda(call).abatch(list(job.calls), config=config, return_exceptions=True)
        for one, end in zip(job.calls, ended, strict=True):
            if isinstance(end, Exception):
                results[one.number] = end

    return run


def aiolimiter_tenacity(job: Job, results: Results) -> Run:
    """aiolimiter for both rates, tenacity for what is refused all the same."""
    from aiolimiter import AsyncLimiter
    from openai import RateLimitError
    from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

    client = azure_client(job, 0)
    calls = AsyncLimiter(job.rpm / 60, 1) if job.rpm else None
    tokens = AsyncLimiter(job.tpm / 60, 1) if job.tpm else None

    def wait_s(state: Any) -> float:
        said = float(state.outcome.exception().response.headers.get("retry-after-ms", 1000)) / 1000
        return said + wait_random(0, 0.5)(state)

    @retry(retry=retry_if_exception_type(RateLimitError), wait=wait_s, stop=stop_after_attempt(11), reraise=True)
    async def call(one: Call) -> str:
        if tokens is not None:
            await tokens.acquire(min(len(one.prompt) / 4 + one.max_tokens, tokens.max_rate))
        if calls is not None:
            await calls.acquire()
        return text(await client.chat.completions.create(model=DEPLOYMENT, messages=one.messages, **one.params))

    return lambda: one_by_one(job, results, call)


def async_batch_llm(job: Job, results: Results) -> Run:
    """async-batch-llm, told both rates and a second's burst; estimates stand, as the service does not give back."""
    from async_batch_llm import CallableStrategy, CallOutcome, ProcessorConfig, TokenEstimate, process_prompts
    from async_batch_llm.classifiers.openai import OpenAIErrorClassifier
    from async_batch_llm.core.config import RateLimitConfig

    client = azure_client(job, 0)
    by_prompt = {call.prompt: call for call in job.calls}

    async def invoke(prompt: str, *, attempt: int, timeout: float, state: Any) -> Any:
        one = by_prompt[prompt]
        answer = await client.chat.completions.create(model=DEPLOYMENT, messages=one.messages, **one.params)
        results[one.number] = text(answer)
        return CallOutcome(text(answer))

    def estimate(prompt: str, *, strategy: Any, attempt: int, state: Any) -> Any:
        return TokenEstimate(-(-len(prompt) // 4), by_prompt[prompt].max_tokens)

    limits: dict[str, Any] = {}
    if job.rpm:
        limits = {"max_requests_per_minute": job.rpm, "quota_burst_seconds": 1.0}
    if job.tpm:
        limits |= {"max_tokens_per_minute": int(job.tpm), "token_estimator": estimate}
    calm = RateLimitConfig(
        cooldown_seconds=1.0, slow_start_items=0, slow_start_initial_delay=0.0, slow_start_final_delay=0.0
    )
    config = ProcessorConfig(concurrency=CONNECTIONS, rate_limit=calm, **limits)

    async def run() -> None:
        prompts = [(str(call.number), call.prompt) for call in job.calls]
        batch = await process_prompts(
            CallableStrategy(invoke), prompts, config=config, error_classifier=OpenAIErrorClassifier()
        )
        for result in batch.results:
            if not result.success:
                results[int(result.item_id)] = RuntimeError(str(result.error))

    return run


OURS = {
    "labkit": lambda job, results: labkit(job, results),
    "labkit, window of 16": lambda job, results: labkit(job, results, batch_size=CONNECTIONS),
}
PEERS: dict[str, Callable[[Job, Results], Run]] = {
    "the session's way": session,
    "openai SDK, 16 connections, 2 retries": lambda job, results: openai_sdk(job, results, max_retries=2),
    "openai SDK, 16 connections, 10 retries": lambda job, results: openai_sdk(job, results, max_retries=10),
    "LiteLLM Router, 16 connections, 10 retries": litellm_router,
    "LangChain abatch + InMemoryRateLimiter": langchain,
    "aiolimiter + tenacity": aiolimiter_tenacity,
    "async-batch-llm": async_batch_llm,
}


async def timed(job: Job, driver: Callable[[Job, Results], Run]) -> dict[str, Any]:
    """What came of the job."""
    # What is imported or looked up at the first call is not part of the job.
    await driver(replace(job, calls=(Call(0, "Are you there? [call 0]", 16),)), {})()
    results: Results = {}
    run = driver(job, results)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started_s = time.perf_counter()
    with suppress(TimeoutError):
        await asyncio.wait_for(run(), job.at_most_s)
    took_s = time.perf_counter() - started_s
    failed = Counter(_kind(results.get(call.number)) for call in job.calls)
    wrong = sum(_is_of_another(call, results.get(call.number)) for call in job.calls)
    del failed[""]
    return {"took_s": took_s, "failed": failed, "wrong": wrong}


def _kind(result: Result | None) -> str:
    if result is None:
        return "not ended in time"
    return type(result).__name__ if isinstance(result, Exception) else ""


def _is_of_another(call: Call, result: Result | None) -> bool:
    return isinstance(result, str) and result != f"This answers call {call.number}."


def main(name: str) -> None:
    """Run one driver."""
    job = Job.read(sys.stdin.readline())
    print(json.dumps(asyncio.run(timed(job, (OURS | PEERS)[name]))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
