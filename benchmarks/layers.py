"""What a layer costs: the calls of one interpreter's layers, in rounds that take turns.

    python benchmarks/layers.py      (run by overhead.py; the peers by the interpreter of the peers)

Reads a plan as one line of JSON from stdin; tells, as JSON, the CPU µs per call of every layer and round, or
why a layer cannot be called.
"""

import asyncio
import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers import API_VERSION, DEPLOYMENT, Job, azure_client

BARE, FLOOR = "AsyncAzureOpenAI", "dict, sha256 of the request"
SYSTEM = "You are a helpful assistant. Answer in the language of the question, and in one short paragraph."
QUESTION = "Please explain step by step how to plan the next project of our team, and what to look out for. [call 7]"
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
# The temperature of a call that no cache keeps, and of one that caches do.
VARIED, KEPT = {"temperature": 0.7, "max_tokens": 200}, {"temperature": 0.0, "max_tokens": 200}
Ask = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Plan:
    """The server, the layers by name, and how many calls in how many rounds."""

    url: str
    names: tuple[str, ...]
    calls: int
    rounds: int
    concurrent: int = 1


# -- calls: each layer asks the server every time ----------------------------------------------------------------------


def bare(url: str) -> Ask:
    """The SDK's client and nothing else: what everything is compared with."""
    client = azure_client(Job(url, ()), 0)
    return lambda: client.chat.completions.create(model=DEPLOYMENT, messages=MESSAGES, **VARIED)


def optimizer(url: str) -> Ask:
    """``LLMOptimizer`` as it comes, for an answer that is not kept."""
    from labkit import LLMOptimizer

    ours = LLMOptimizer(DEPLOYMENT, client=azure_client(Job(url, ()), 0))
    return lambda: ours.optimized_completion(MESSAGES, **VARIED)


def service(url: str) -> Ask:
    """``ProductionLLMService`` as it comes."""
    from labkit import ProductionLLMService

    logging.getLogger("labkit").setLevel(logging.WARNING)
    ours = ProductionLLMService(DEPLOYMENT, client=azure_client(Job(url, ()), 0))
    return lambda: ours.safe_completion(MESSAGES, **VARIED)


def _litellm() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it looks for prices on the network, with retries
    import litellm

    litellm.suppress_debug_info = True
    return litellm


def _litellm_target(url: str) -> dict[str, str]:
    return {"model": f"azure/{DEPLOYMENT}", "api_base": url, "api_key": "none", "api_version": API_VERSION}


def litellm_call(url: str) -> Ask:
    """``litellm.acompletion``."""
    litellm, target = _litellm(), _litellm_target(url)
    return lambda: litellm.acompletion(messages=MESSAGES, **target, **VARIED)


def litellm_router(url: str) -> Ask:
    """LiteLLM's Router with one deployment."""
    router = _litellm().Router(model_list=[{"model_name": DEPLOYMENT, "litellm_params": _litellm_target(url)}])
    return lambda: router.acompletion(model=DEPLOYMENT, messages=MESSAGES, **VARIED)


def _langchain(url: str, **settings: Any) -> Any:
    from langchain_openai import AzureChatOpenAI

    return AzureChatOpenAI(
        azure_endpoint=url,
        azure_deployment=DEPLOYMENT,
        api_key="none",
        api_version=API_VERSION,
        max_retries=0,
        **settings,
    )


def langchain(url: str) -> Ask:
    """LangChain's ``AzureChatOpenAI``."""
    chat = _langchain(url, **VARIED)
    return lambda: chat.ainvoke(MESSAGES)


# -- hits: each layer has the answer kept ------------------------------------------------------------------------------


def dict_hit(url: str) -> Ask:
    """The floor: a dictionary under the hash of what makes the request."""
    kept: dict[str, Any] = {}
    client = azure_client(Job(url, ()), 0)

    async def ask() -> Any:
        written = json.dumps([DEPLOYMENT, MESSAGES, KEPT], sort_keys=True)
        key = hashlib.sha256(written.encode()).hexdigest()
        if key not in kept:
            kept[key] = await client.chat.completions.create(model=DEPLOYMENT, messages=MESSAGES, **KEPT)
        return kept[key]

    return ask


def memory_hit(url: str) -> Ask:
    """``LLMOptimizer`` with the cache it comes with."""
    from labkit import LLMOptimizer

    ours = LLMOptimizer(DEPLOYMENT, client=azure_client(Job(url, ()), 0))
    return lambda: ours.optimized_completion(MESSAGES, **KEPT)


def persistent_hit(url: str) -> Ask:
    """``LLMOptimizer`` with the cache in a file."""
    from labkit import LLMOptimizer
    from labkit.cache import PersistentCache

    path = Path(tempfile.mkdtemp()) / "answers.sqlite"
    ours = LLMOptimizer(DEPLOYMENT, client=azure_client(Job(url, ()), 0), cache=PersistentCache(path))
    return lambda: ours.optimized_completion(MESSAGES, **KEPT)


def langchain_memory_hit(url: str) -> Ask:
    """LangChain's cache in memory."""
    from langchain_core.caches import InMemoryCache

    chat = _langchain(url, cache=InMemoryCache(), **KEPT)
    return lambda: chat.ainvoke(MESSAGES)


def langchain_file_hit(url: str) -> Ask:
    """LangChain's cache in SQLite."""
    from langchain_community.cache import SQLiteCache

    path = Path(tempfile.mkdtemp()) / "answers.sqlite"
    chat = _langchain(url, cache=SQLiteCache(str(path)), **KEPT)
    return lambda: chat.ainvoke(MESSAGES)


def litellm_hit(url: str) -> Ask:
    """LiteLLM's local cache."""
    litellm, target = _litellm(), _litellm_target(url)
    litellm.cache = litellm.Cache(type="local")
    return lambda: litellm.acompletion(messages=MESSAGES, caching=True, **target, **KEPT)


OURS = {BARE: bare, "LLMOptimizer": optimizer, "ProductionLLMService": service}
PEERS = {BARE: bare, "LiteLLM": litellm_call, "LiteLLM Router": litellm_router, "LangChain": langchain}
OUR_HITS = {FLOOR: dict_hit, "LLMOptimizer, memory": memory_hit, "LLMOptimizer, file": persistent_hit}
PEER_HITS = {
    FLOOR: dict_hit,
    "LangChain, memory": langchain_memory_hit,
    "LangChain, SQLite": langchain_file_hit,
    "LiteLLM, memory": litellm_hit,
}
LAYERS = OURS | PEERS | OUR_HITS | PEER_HITS


async def cpu_us(ask: Ask, calls: int, concurrent: int) -> float:
    """The CPU time per call of this process, so many calls at a time."""

    async def worker() -> None:
        for _ in range(calls // concurrent):
            await ask()

    started_s = time.process_time()
    if concurrent == 1:
        await worker()
    else:
        await asyncio.gather(*(worker() for _ in range(concurrent)))
    return (time.process_time() - started_s) / (calls // concurrent * concurrent) * 1e6


async def measure(plan: Plan) -> dict[str, Any]:
    """The rounds of every layer, and for a layer that cannot be called its error."""
    asks: dict[str, Ask] = {}
    found: dict[str, Any] = {}
    for name in plan.names:
        try:
            asks[name] = LAYERS[name](plan.url)
            await cpu_us(asks[name], max(plan.concurrent, plan.calls // 4), plan.concurrent)  # warms up
            found[name] = []
        except Exception as error:
            found[name] = repr(error)
    able = [name for name in plan.names if isinstance(found[name], list)]
    for turn in range(plan.rounds):
        # Every other round the other way round, so that nobody always comes after the same neighbour.
        for name in able[:: 1 if turn % 2 else -1]:
            found[name].append(await cpu_us(asks[name], plan.calls, plan.concurrent))
    return found


def main() -> None:
    """Measure what stdin says."""
    facts = json.loads(sys.stdin.readline())
    found = asyncio.run(measure(Plan(**{**facts, "names": tuple(facts["names"])})))
    print(json.dumps(found), flush=True)
    os._exit(0)  # some peers keep threads that would hold the process


if __name__ == "__main__":
    main()
