"""Answers to questions that mean the same: when they are found, when they must not be, and what vectors cost."""

import asyncio
import logging

import pytest

from labkit import AzureOpenAIManager, clients, lab
from labkit.cache import CacheCounts, SemanticCache, embed_with
from labkit.errors import InvalidRequestError
from tests.scripted import COLD, ask, completion
from tests.test_cache_answers import NOT_WORTH_KEEPING

FRANCE, ALSO_FRANCE = "What is the capital of France?", "Which city is the capital of France?"
VECTORS = {
    FRANCE: [1, 0, 0],
    ALSO_FRANCE: [0.95, 0.3122499, 0],
    "What is not the capital of France?": [0.99, 0.1410674, 0],
    "What is 17 + 25?": [0, 1, 0],
    "Tell me about the weather": [0, 0.6, 0.8],
}


class Model:
    """Gives the vectors above, longer than one, and counts how often it is asked."""

    def __init__(self):
        self.asked = []
        self.gate = None

    async def __call__(self, texts):
        self.asked += texts
        if self.gate:
            await self.gate.wait()
        return [[3 * value for value in VECTORS[text]] for text in texts]


def cache_of(embed=None, **options):
    return SemanticCache(embed or Model(), **{"threshold": 0.9, **options})


def said(answer):
    return answer and answer.choices[0].message.content


async def kept(**options):
    """A cache that knows the capital of France."""
    cache = cache_of(**options)
    await cache.keep("big", ask(FRANCE), COLD, completion("Paris."))
    return cache


async def test_the_same_question_in_other_words_is_a_hit():
    """The answer is equal to the one kept, and the caller's own."""
    cache = await kept()
    first, second = [await cache.find("big", ask(ALSO_FRANCE), COLD) for _ in range(2)]
    assert said(first) == said(second) == "Paris."
    first.choices[0].message.content = "Lyon."
    assert said(await cache.find("big", ask(FRANCE), COLD)) == "Paris."
    assert cache.counts == CacheCounts(hits=3)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(("small", ask(FRANCE), COLD), id="another deployment"),
        pytest.param(("big", ask(FRANCE), {**COLD, "max_tokens": 1}), id="another parameter"),
        pytest.param(("big", [{"role": "system", "content": "Rhyme."}, *ask(FRANCE)], COLD), id="a system prompt"),
        pytest.param(("big", [*ask(ALSO_FRANCE), *ask(FRANCE)], COLD), id="another history"),
        pytest.param(("big", [{**ask(FRANCE)[0], "name": "anna"}], COLD), id="another speaker"),
        pytest.param(("big", [{"role": "assistant", "content": FRANCE}], COLD), id="not a user's question"),
        pytest.param(
            ("big", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], COLD),
            id="a picture",
        ),
        pytest.param(("big", ask("What is 17 + 25?"), COLD), id="another question"),
    ],
)
async def test_only_the_last_question_may_be_said_otherwise(request_):
    """Everything else must be equal, or it is a miss."""
    assert await (await kept()).find(*request_) is None


async def test_the_opposite_question_is_a_miss_however_close():
    """Vectors alone would answer it (GPTCache#694): ``agree=None`` shows that."""
    opposite = ask("What is not the capital of France?")
    assert await (await kept()).find("big", opposite, COLD) is None
    assert said(await (await kept(agree=None)).find("big", opposite, COLD)) == "Paris."


async def test_the_threshold_decides():
    """The same two questions with a cosine of 0.95."""
    assert await (await kept(threshold=0.96)).find("big", ask(ALSO_FRANCE), COLD) is None
    assert await (await kept(threshold=0.949)).find("big", ask(ALSO_FRANCE), COLD) is not None
    assert await (await kept(threshold=1)).find("big", ask(FRANCE), COLD) is not None
    for threshold in (0, 1.1, -1):
        with pytest.raises(InvalidRequestError, match="threshold is a cosine"):
            cache_of(threshold=threshold)


async def test_the_closest_answer_wins():
    """Of two that fit, the one that was asked in the same words."""
    cache = await kept()
    await cache.keep("big", ask(ALSO_FRANCE), COLD, completion("It is Paris."))
    assert said(await cache.find("big", ask(ALSO_FRANCE), COLD)) == "It is Paris."
    assert said(await cache.find("big", ask(FRANCE), COLD)) == "Paris."


async def test_a_vector_is_paid_for_once_and_only_when_it_can_help():
    """None while nothing is kept that could fit, one for a miss and the keeping after it, none for the same again."""
    model = Model()
    cache = cache_of(model)
    assert await cache.find("big", ask(FRANCE), COLD) is None
    assert model.asked == []
    await cache.keep("big", ask(FRANCE), COLD, completion("Paris."))
    await cache.find("small", ask(ALSO_FRANCE), COLD)
    assert model.asked == [FRANCE]
    await cache.find("big", ask("What is 17 + 25?"), COLD)
    await cache.keep("big", ask("What is 17 + 25?"), COLD, completion("42"))
    assert model.asked == [FRANCE, "What is 17 + 25?"]


async def test_concurrent_questions_share_a_vector():
    """A hundred times the same at once: one call."""
    model = Model()
    cache = await kept(embed=model)
    model.gate = asyncio.Event()
    tasks = [asyncio.create_task(cache.find("big", ask(ALSO_FRANCE), COLD)) for _ in range(100)]
    await asyncio.sleep(0)
    model.gate.set()
    assert {said(answer) for answer in await asyncio.gather(*tasks)} == {"Paris."}
    assert model.asked == [FRANCE, ALSO_FRANCE]


async def test_an_entry_that_leaves_while_the_vector_is_on_its_way_is_a_miss():
    """Somebody clears the cache in the meantime."""
    model = Model()
    cache = await kept(embed=model)
    model.gate = asyncio.Event()
    task = asyncio.create_task(cache.find("big", ask(ALSO_FRANCE), COLD))
    await asyncio.sleep(0)
    cache.clear()
    model.gate.set()
    assert await task is None
    assert len(cache) == 0


async def test_a_model_that_fails_costs_no_call_and_is_told_once(caplog):
    """The question goes to the service as if there were no such cache; the warning does not quote it."""

    async def broken(texts):
        raise ConnectionError(f"no vector for {texts}")

    cache = cache_of(broken)
    for _ in range(3):
        await cache.keep("big", ask(FRANCE), COLD, completion("Paris."))
        assert await cache.find("big", ask(FRANCE), COLD) is None
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "ConnectionError" in caplog.text
    assert "France" not in caplog.text


async def test_whoever_is_cancelled_is_cancelled():
    """A cancellation is no failure of the model: it goes through."""
    model = Model()
    model.gate = asyncio.Event()
    task = asyncio.create_task(cache_of(model).keep("big", ask(FRANCE), COLD, completion("Paris.")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("answer", NOT_WORTH_KEEPING)
async def test_an_answer_that_is_not_whole_is_never_kept(answer):
    """The same rule as in the other caches."""
    cache = cache_of()
    await cache.keep("big", ask(FRANCE), COLD, answer)
    assert len(cache) == 0


async def test_tool_calls_are_not_kept_here():
    """Their arguments repeat the question's own words, which the next one may have said otherwise."""
    call = {"id": "call_1", "type": "function", "function": {"name": "mail", "arguments": '{"to": "Anna"}'}}
    cache = cache_of()
    answer = completion(None, finish_reason="tool_calls", message={"tool_calls": [call]})
    await cache.keep("big", ask(FRANCE), COLD, answer)
    assert len(cache) == 0


async def test_an_old_answer_is_stale_and_leaves():
    """The clock is passed in."""
    now = [0.0]
    cache = await kept(ttl_s=60, clock=lambda: now[0])
    now[0] = 59.9
    assert await cache.find("big", ask(ALSO_FRANCE), COLD) is not None
    now[0] = 60
    assert await cache.find("big", ask(ALSO_FRANCE), COLD) is None
    assert cache.counts == CacheCounts(hits=1, stale=1)
    assert len(cache) == 0


async def test_it_is_bounded_and_the_least_recently_used_leaves():
    """A hit counts as use; the same question again takes the place of the first."""
    cache = await kept(max_entries=2)
    await cache.keep("big", ask(FRANCE), COLD, completion("Paris!"))
    await cache.keep("big", ask("What is 17 + 25?"), COLD, completion("42"))
    assert len(cache) == 2
    assert said(await cache.find("big", ask(FRANCE), COLD)) == "Paris!"
    await cache.keep("big", ask("Tell me about the weather"), COLD, completion("Rain."))
    assert len(cache) == 2
    assert await cache.find("big", ask("What is 17 + 25?"), COLD) is None
    assert said(await cache.find("big", ask(FRANCE), COLD)) == "Paris!"


async def test_vectors_come_from_a_deployment(local):
    """The real client over loopback: one vector for each text, in order, though one request takes 256."""
    AzureOpenAIManager().deploy_language_model("text-embedding-3-small", "vectors", 350)
    texts = [f"text number {number}" for number in range(300)]
    vectors = await embed_with("vectors", dimensions=64)(texts)
    again = await embed_with("vectors", client=clients.async_openai(), dimensions=64)([texts[299]])
    assert [len(vector) for vector in vectors] == [64] * 300
    assert vectors[299] == again[0]
    assert len(lab.calls("vectors")) == 3
