import asyncio

from labkit.cache import SingleFlight


class Upstream:
    """Counts calls that wait until released."""

    def __init__(self, result="answer"):
        self.calls, self.cancelled, self.result = 0, 0, result
        self.release = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.result, Exception):
            raise self.result
        return f"{self.result} {self.calls}"


async def _join(flights, upstream, count, key="k"):
    tasks = [asyncio.create_task(flights.run(key, upstream)) for _ in range(count)]
    await asyncio.sleep(0.001)
    return tasks


async def test_a_thousand_identical_calls_cost_one():
    """One leads, the others join and say so."""
    flights, upstream = SingleFlight(), Upstream()
    tasks = await _join(flights, upstream, 1000)
    upstream.release.set()
    results = await asyncio.gather(*tasks)
    assert upstream.calls == 1
    assert [joined for _, joined in results].count(False) == 1
    assert {answer for answer, _ in results} == {"answer 1"}


async def test_a_call_after_the_flight_is_a_new_one():
    """Single flight is not a cache."""
    flights, upstream = SingleFlight(), Upstream()
    upstream.release.set()
    assert await flights.run("k", upstream) == ("answer 1", False)
    assert await flights.run("k", upstream) == ("answer 2", False)


async def test_different_keys_do_not_wait_for_each_other():
    """Each key has its own flight."""
    flights, upstream = SingleFlight(), Upstream()
    tasks = [*await _join(flights, upstream, 1, "a"), *await _join(flights, upstream, 1, "b")]
    upstream.release.set()
    await asyncio.gather(*tasks)
    assert upstream.calls == 2


async def test_everyone_gets_the_error_and_the_next_call_starts_anew():
    """A failed flight is not remembered."""
    flights, upstream = SingleFlight(), Upstream(ConnectionError("gone"))
    tasks = await _join(flights, upstream, 3)
    upstream.release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, ConnectionError) for result in results)
    upstream.result = "answer"
    assert await flights.run("k", upstream) == ("answer 2", False)


async def test_who_is_cancelled_leaves_alone():
    """The leader going away does not take the answer from those who joined."""
    flights, upstream = SingleFlight(), Upstream()
    leader, follower = await _join(flights, upstream, 2)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    upstream.release.set()
    assert await follower == ("answer 1", True)
    assert upstream.cancelled == 0


async def test_a_call_nobody_waits_for_is_cancelled_and_not_joined():
    """Whoever asks next, even at once, starts anew instead of joining a call that is ending."""
    flights, upstream = SingleFlight(), Upstream()
    tasks = await _join(flights, upstream, 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    upstream.release.set()
    assert await flights.run("k", upstream) == ("answer 2", False)
    assert upstream.cancelled == 1


def test_a_call_left_behind_by_a_stopped_loop_is_not_joined():
    """An interrupted notebook cell leaves a call that never ends; the next cell must not wait for it."""
    flights, upstream = SingleFlight(), Upstream()
    stopped = asyncio.new_event_loop()
    left_behind = stopped.create_task(flights.run("k", upstream))
    stopped.run_until_complete(asyncio.sleep(0.001))

    async def next_cell():
        upstream.release = asyncio.Event()
        upstream.release.set()
        return await flights.run("k", upstream)

    assert asyncio.run(next_cell()) == ("answer 2", False)
    left_behind.cancel()
    stopped.run_until_complete(asyncio.gather(left_behind, return_exceptions=True))
    stopped.close()
