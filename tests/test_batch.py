import asyncio
import signal

import pytest

from labkit.batch import BatchResults, in_window, run_batch
from labkit.ledger import Entry, Ledger
from labkit.progress import Progress
from tests.scripted import completion


async def test_results_keep_the_order_of_the_items():
    """Whoever finishes first."""

    async def slow_first(number):
        await asyncio.sleep(0.02 if number == 0 else 0)
        return number * 10

    assert await in_window(range(6), slow_first, size=3) == [0, 10, 20, 30, 40, 50]


async def test_items_start_in_order():
    """Also from something that can be read only once."""
    started = []

    async def note(item):
        started.append(item)
        await asyncio.sleep(0)

    await in_window(iter("abcde"), note, size=2)
    assert started == list("abcde")


async def test_an_error_stops_the_others():
    """Work that must not stop returns its errors instead of raising them, as the optimizer's does."""
    ended = []

    async def work(number):
        if number == 1:
            raise ValueError("one")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(number)
            raise

    with pytest.raises(ExceptionGroup):
        await in_window(range(3), work, size=2)
    assert ended == [0]


async def answer(request):
    """Work that answers with the request's own text, or raises it."""
    if isinstance(request, BaseException):
        raise request
    return completion(request)


def texts(results):
    """What the answers say; an error by its type."""
    return [
        type(result).__name__ if isinstance(result, Exception) else result.choices[0].message.content
        for result in results
    ]


async def test_a_batch_says_what_became_of_it():
    """In one line, by kind of error and without anybody's words."""
    results = await run_batch(["a", ValueError("secret"), ValueError("words"), KeyError("x")], answer, size=2)
    assert repr(results) == "<4 results: 1 answers, 3 errors (2 × ValueError, 1 × KeyError)>"
    assert [*BatchResults([], [])] == []


async def test_the_first_error_can_be_raised_instead():
    """With its place; without an error there are just answers."""
    results = await run_batch(["a", ValueError("no")], answer, size=2)
    with pytest.raises(ValueError, match="no") as raised:
        results.raise_first()
    assert raised.value.__notes__ == ["This was request 1 of the batch; 1 of 2 failed."]
    assert texts((await run_batch(["a", "b"], answer, size=2)).raise_first()) == ["a", "b"]


class Stop(BaseException):
    """An exception that is no ``Exception``."""


def cancel():
    """Work that is cancelled from inside, as by a library."""
    raise asyncio.CancelledError


def interrupt():
    """Ctrl-C while the work waits."""
    signal.raise_signal(signal.SIGINT)


def stop():
    """Something worse than an error."""
    raise Stop


@pytest.mark.parametrize(
    ("end", "raised"), [(interrupt, KeyboardInterrupt), (cancel, asyncio.CancelledError), (stop, BaseExceptionGroup)]
)
def test_what_was_answered_before_an_interruption_is_kept(tmp_path, end, raised):
    """It ends the batch at once, the others are cancelled, and two answers are paid for and are in the file."""
    hung = []

    async def work(request):
        if request == "hangs":
            try:
                await asyncio.sleep(60)
            finally:
                hung.append(request)
        await asyncio.sleep(0)
        if request == "ends":
            end()
            await asyncio.sleep(60)
        return completion(request)

    async def main():
        with Ledger(tmp_path / "batch") as ledger:
            await run_batch(["hangs", "a", "b", "ends", "d"], work, size=2, ledger=ledger, key=str)

    with pytest.raises(raised):
        asyncio.run(main())
    with Ledger(tmp_path / "batch") as ledger:
        assert [key for key in ("hangs", "a", "b", "ends", "d") if ledger.get(Entry(key))] == ["a", "b"]
    assert hung == ["hangs"]


async def test_only_what_is_missing_is_worked_for(tmp_path):
    """Other requests in the file stay, equal ones are told apart, and what has no key is done each time."""
    asked = []

    async def note(request):
        asked.append(request)
        return await answer(request)

    def key(request):
        if request == "keyless":
            raise TypeError
        return request

    for batch in (["a", "b", "keyless"], ["b", "c", "b", "keyless"]):
        with Ledger(tmp_path / "batch") as ledger:
            assert texts(await run_batch(batch, note, size=1, ledger=ledger, key=key)) == batch
    assert asked == ["a", "b", "keyless", "c", "b", "keyless"]


async def test_a_bar_appears_when_work_takes_long(capsys):
    """It counts from the beginning, names errors, and counts what an earlier run has done."""
    with Progress(5, done=2, shown_after_s=0) as progress:
        progress.count()
        await asyncio.sleep(0.001)
        progress.count(failed=True)
        progress.count()
    shown = capsys.readouterr().err
    assert "2/5" in shown
    assert "5/5" in shown
    assert "errors=1" in shown


@pytest.mark.parametrize(("shown", "done"), [(False, 0), (True, 5)], ids=["switched-off", "nothing-to-do"])
async def test_no_bar_appears_without_need(capsys, shown, done):
    """Not when it is switched off, nor when an earlier run has done it all."""
    with Progress(5, done=done, shown=shown, shown_after_s=0):
        await asyncio.sleep(0.001)
    assert capsys.readouterr() == ("", "")
