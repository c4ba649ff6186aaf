"""Many requests through one optimizer."""

import asyncio

import pytest

from labkit.errors import InvalidRequestError
from tests.scripted import (
    Sleeper,
    answered,
    ask,
    optimizer,
    refused,
    service,
)


def requests(count, **parameters):
    """A batch as the session writes it."""
    return [{"messages": ask(f"Question {number}?"), "parameters": parameters} for number in range(count)]


async def test_a_batch_keeps_its_order_and_its_errors_in_place():
    """One failing request does not lose the others."""
    fake = service(answered("a"), refused(400), answered("c"))
    results = await optimizer(fake).batch_process(requests(3), batch_size=1)
    assert [type(result).__name__ for result in results] == ["ChatCompletion", "BadRequestError", "ChatCompletion"]
    assert [results[0].choices[0].message.content, results[2].choices[0].message.content] == ["a", "c"]


async def test_a_batch_never_runs_more_than_its_size():
    """Four at a time of twenty, and no pause between them."""
    fake, sleeper = service(), Sleeper()
    fake.gate = asyncio.Event()
    batch = asyncio.create_task(optimizer(fake, sleep=sleeper).batch_process(requests(20), batch_size=4))
    while fake.at_once < 4:
        await asyncio.sleep(0.001)
    fake.gate.set()
    assert (len(await batch), fake.most_at_once, sleeper.waited_s) == (20, 4, [])


async def test_one_slow_request_does_not_hold_up_the_rest():
    """A sliding window: while the first call hangs, the other worker does all the others."""
    fake = service()
    fake.gate, fake.only_first_waits = asyncio.Event(), True
    batch = asyncio.create_task(optimizer(fake).batch_process(requests(6), batch_size=2))
    while len(fake.sent) < 6:
        await asyncio.sleep(0.001)
    assert not batch.done()
    fake.gate.set()
    assert len(await batch) == 6


async def test_parameters_of_a_request_are_sent():
    """The session's form, with or without parameters."""
    fake = service()
    await optimizer(fake, tuning=()).batch_process(
        [{"messages": ask(), "parameters": {"seed": 3}}, {"messages": ask()}]
    )
    assert sorted(sent.body.get("seed", 0) for sent in fake.sent) == [0, 3]


@pytest.mark.parametrize("request_", [{}, "Hi", {"messages": []}, {"messages": ask(), "parameters": {"n": 0}}], ids=str)
async def test_a_malformed_request_of_a_batch_is_an_error_in_its_place(request_):
    """The others are answered."""
    fake = service()
    results = await optimizer(fake).batch_process([request_, *requests(1)])
    assert isinstance(results[0], InvalidRequestError)
    assert results[1].choices[0].message.content == "Warsaw."


async def test_an_empty_batch_is_done():
    """No requests, no results."""
    assert await optimizer(service()).batch_process([]) == []


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
async def test_the_size_of_a_batch_is_checked(size):
    """A size of 0 would never begin."""
    with pytest.raises(InvalidRequestError, match="batch_size must be a whole number from 1"):
        await optimizer(service()).batch_process(requests(1), batch_size=size)


async def test_a_short_batch_prints_nothing(capsys):
    """What a notebook has stored stays as it was."""
    await optimizer(service()).batch_process(requests(3))
    assert capsys.readouterr() == ("", "")


async def test_each_result_stands_beside_its_request():
    """The list itself is the session's; who wants to know which request failed asks for pairs or errors."""
    fake, batch = service(answered("a"), refused(400)), requests(2)
    results = await optimizer(fake).batch_process(batch, batch_size=1)
    (first, answer, nothing), (second, no_answer, error) = results.pairs
    assert [first, second] == batch
    assert (answer.choices[0].message.content, nothing, no_answer) == ("a", None, None)
    assert results.errors == {1: error}
    assert results.answers == [answer]


async def test_a_resumed_batch_asks_only_for_what_failed(tmp_path):
    """Answers are kept in the file, errors are not; equal requests have an answer each."""
    batch = [*requests(2), *requests(2, temperature=0.9)]
    batch.append(dict(batch[-1]))
    first = await optimizer(service(refused(400), answered("a"))).batch_process(
        batch, batch_size=1, resume=tmp_path / "batch.jsonl"
    )
    fake = service(answered("b"))
    second = await optimizer(fake).batch_process(batch, resume=tmp_path / "batch.jsonl")
    assert (list(first.errors), second.errors, len(fake.sent)) == ([0], {}, 1)
    assert [answer.choices[0].message.content for answer in second] == ["b", "a", "a", "a", "a"]


async def test_cancelling_a_batch_cancels_its_calls():
    """No call is left behind."""
    fake = service()
    fake.gate = asyncio.Event()
    batch = asyncio.create_task(optimizer(fake).batch_process(requests(5), batch_size=2))
    await asyncio.sleep(0.01)
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert len(asyncio.all_tasks()) == 1
