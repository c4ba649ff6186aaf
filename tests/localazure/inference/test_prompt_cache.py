"""Prompt caching: the beginning of a long prompt that came before costs less."""

from typing import Any

from labkit.localazure.inference.promptcache import PromptCache
from labkit.localazure.usage import cost_usd
from tests.localazure.asking import BIG, Asker, deploy, events_of

CHEAP = "gpt-4o"
LONG = " ".join(f"rule {number}" for number in range(1_000))


def cached(ask: Asker, *contents: str, deployment: str = CHEAP, **fields: Any) -> int:
    """The cached tokens of a request with these messages; the journal and the body agree on them."""
    roles = ["system", *["user"] * len(contents)]
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    usage = ask.chat(messages, deployment, **fields).json["usage"]
    entry = ask.azure.journal.after()[-1]
    tokens: int = usage["prompt_tokens_details"]["cached_tokens"]
    assert (entry.cached_tokens, entry.prompt_tokens) == (tokens, usage["prompt_tokens"])
    return tokens


def test_same_beginning_is_known(ask: Asker) -> None:
    """The first 1,024 tokens, then steps of 128; a difference at the end costs only the end."""
    deploy(ask.azure, CHEAP)
    assert cached(ask, LONG, "One") == 0
    again = cached(ask, LONG, "Another")
    assert again > 1_024
    assert (again - 1_024) % 128 == 0
    assert again <= ask.azure.journal.after()[-1].prompt_tokens < again + 128 + 20
    half = LONG[: len(LONG) * 2 // 3]
    assert 1_024 <= cached(ask, half + " other end", "x") < again
    assert cached(ask, "x" + LONG, "One") == 0


def test_short_prompts_and_older_models_are_not_cached(ask: Asker) -> None:
    """Under 1,024 tokens, or without a price for cached input."""
    deploy(ask.azure, CHEAP, BIG)
    assert [cached(ask, LONG[:2_000], "x") for _ in range(2)] == [0, 0]
    assert [cached(ask, LONG, "x", deployment=BIG) for _ in range(2)] == [0, 0]


def test_what_is_known_is_forgotten(ask: Asker) -> None:
    """After five minutes without use, or a day where that was asked for; other deployments never know it."""
    deploy(ask.azure, CHEAP, "gpt-4o-mini")
    clock: Any = ask.azure.clock
    cached(ask, LONG, "One")
    assert cached(ask, LONG, "One", deployment="gpt-4o-mini") == 0
    for _ in range(3):
        clock.advance(299)
        assert cached(ask, LONG, "One") > 0
    clock.advance(301)
    assert cached(ask, LONG, "One", prompt_cache_retention="24h") == 0
    clock.advance(80_000)
    assert cached(ask, LONG, "One") > 0


def test_tools_and_schemas_belong_to_the_beginning(ask: Asker) -> None:
    """A prompt with other tools is another prompt."""
    deploy(ask.azure, CHEAP)
    tools = [{"type": "function", "function": {"name": "f"}}]
    cached(ask, LONG, "One")
    assert cached(ask, LONG, "One", tools=tools) == 0
    assert cached(ask, LONG, "One", tools=tools) > 0


def test_spend_has_the_discount(ask: Asker) -> None:
    """What usage says of the tokens is what the bill says of them; streams, too."""
    deploy(ask.azure, CHEAP)
    said = [{"role": "system", "content": LONG}, {"role": "user", "content": "Hi"}]
    first, again = (
        events_of(ask.chat(said, CHEAP, stream=True, stream_options={"include_usage": True}))[-1]["usage"]
        for _ in range(2)
    )
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert again["prompt_tokens_details"]["cached_tokens"] == ask.azure.journal.after()[-1].cached_tokens > 0
    ((key, cell),) = ask.azure.usage.minutes(0, float("inf"))
    assert 1_024 <= cell.cached_tokens < cell.prompt_tokens / 2
    fresh = cell.prompt_tokens - cell.cached_tokens
    expected = (fresh * 2.5 + cell.cached_tokens * 1.25 + cell.completion_tokens * 10) / 1_000_000
    assert abs(cost_usd(key, cell) - expected) < 1e-12


def test_memory_is_bounded() -> None:
    """The beginnings that were used least recently make room."""
    cache = PromptCache()
    first = [bytes([0, 1])]
    cache.take("d", first, 0.0)
    for number in range(20_000):
        cache.take("d", [number.to_bytes(8, "big")], 0.0)
    assert cache.take("d", first, 0.0) == 0
