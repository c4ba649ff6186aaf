"""Task 2, optimization: scored by what the service was asked for, and by hidden inputs."""

from labkit import catalog
from labkit.grading.rubric import Entry, Evidence, Fault, Probe, Score, choose, number, part, share

TASK = "task2"
CACHE, METER, RETRY, LOAD = "task2-1-cache", "task2-2-meter", "task2-3-retry", "task2-4-load"

_SUBJECTS = ("tokens", "embeddings", "attention", "prompts", "quotas", "latency", "vectors", "batches")


def probes(secret: str) -> list[Probe]:
    """Hidden requests, faults and loads."""
    return [
        Probe(
            "2.1-keys", CACHE, "[AnswerCache().key(*request) for request in requests]", {"requests": _requests(secret)}
        ),
        Probe("2.1-oldest", CACHE, _FORGET, {"names": _names(secret)}),
        Probe("2.1-calls", CACHE, _REPEAT, {"question": f"Say something new about {_subject(secret, 'calls')}."}),
        Probe("2.2-totals", METER, _METER, {"questions": _questions(secret)}),
        Probe(
            "2.3-told",
            RETRY,
            "PatientRetry(max_attempts=4).wait_s(await refusal(status=429, retry_after_s=seconds), 1)",
            {"seconds": _told_s(secret)},
        ),
        Probe("2.3-waits", RETRY, _WAITS),
        Probe("2.3-hopeless", RETRY, "[PatientRetry().wait_s(await refusal(status=s), 1) for s in (400, 401, 404)]"),
        Probe(
            "2.3-calls",
            RETRY,
            _ASK,
            {"question": f"Say something old about {_subject(secret, 'retry')}."},
            faults=[
                Fault(deployment="small", status=429, times=1, retry_after_s=0.1, contains="Say something old"),
                Fault(deployment="small", status=503, times=1, retry_after_s=0.1, contains="Say something old"),
            ],
        ),
        Probe("2.4-load", LOAD, _LOAD, _load(secret)),
    ]


_FORGET = """
    cache = AnswerCache(max_entries=3)
    for name in names[:3]:
        cache.put(name, name.upper())
    cache.get(names[0])
    cache.put(names[3], names[3].upper())
    cache.get(names[0])
    cache.put(names[4], names[4].upper())
    return [cache.get(name) for name in names]
"""
_REPEAT = """
    optimizer = LLMOptimizer("small", cache=AnswerCache())
    for limit in (400, 400, 500, 400):
        await optimizer.optimized_completion(user(question), temperature=0, max_tokens=limit)
    return None
"""
_METER = """
    meter = TokenMeter({"small": "gpt-35-turbo"})
    optimizer = LLMOptimizer("small", meter=meter)
    for question in questions:
        await optimizer.optimized_completion(user(question), temperature=0)
    return meter.totals()
"""
_WAITS = """
    down = await refusal(status=503)
    return [PatientRetry(max_attempts=3).wait_s(down, attempt) for attempt in (1, 2, 3)]
"""
_ASK = """
    await LLMOptimizer("small", retry=PatientRetry()).optimized_completion(user(question), temperature=0)
    return "answered"
"""
_LOAD = """
    import asyncio as real_asyncio

    class Crowd:
        def __init__(self):
            self.inside = self.most = self.seen = 0
            self.performance_metrics = dict(metrics)

        async def optimized_completion(self, messages, **parameters):
            self.inside, self.seen = self.inside + 1, self.seen + 1
            self.most, number = max(self.most, self.inside), self.seen
            await real_asyncio.sleep(0)
            self.inside -= 1
            if number % every == 0:
                raise RuntimeError("refused")

    crowd = Crowd()
    result = await load_test(crowd, [{"messages": user("Hi")}] * count, max_concurrency=limit)
    return {"result": result, "seen": crowd.seen, "most": crowd.most}
"""


def score(evidence: Evidence) -> list[Score]:
    """The four exercises."""
    return [_cache(evidence), _meter(evidence), _retry(evidence), _under_load(evidence)]


def _cache(evidence: Evidence) -> Score:
    keys = evidence.probe("2.1-keys").value
    keys = keys if isinstance(keys, list) and len(keys) == 6 and all(isinstance(key, str) for key in keys) else [""] * 6
    first, reordered, *others = keys
    kept = evidence.probe("2.1-oldest").value
    names = _names(evidence.secret)
    # Room for three: the first is read whenever room runs out, so the second goes, then the third.
    wanted = [names[0].upper(), None, None, names[3].upper(), names[4].upper()]
    calls = _answered(evidence, "2.1-calls")
    limits = sorted(call.params.get("max_tokens", 0) for call in calls)
    return share(
        CACHE,
        {
            "equal requests have equal keys, whatever the order of the parameters": bool(first) and first == reordered,
            "anything that changes the answer changes the key": part(
                bool(first) and len({first, *others}) == 5, weight=3
            ),
            "the entry unused for longest goes first": part(kept == wanted, weight=2, seen=kept, expected=wanted),
            "four requests, two different ones, cost two calls": part(
                limits == [400, 500], weight=2, seen=f"{len(calls)} calls", expected="2 calls"
            ),
        },
    )


def _meter(evidence: Evidence) -> Score:
    calls = _answered(evidence, "2.2-totals")
    told = evidence.probe("2.2-totals")
    prompt, completion = sum(c.prompt_tokens for c in calls), sum(c.completion_tokens for c in calls)
    seen = {
        name: told.get("small", name, kind=int, default=-1) for name in ("calls", "prompt_tokens", "completion_tokens")
    }
    expected = {"calls": len(calls), "prompt_tokens": prompt, "completion_tokens": completion}
    cost = catalog.model("gpt-35-turbo").price.cost_usd(prompt, completion)
    paid = told.get("small", "cost_usd", kind=float, default=-1.0)
    return share(
        METER,
        {
            "calls are those the service saw, cached answers left out": part(
                bool(calls) and seen["calls"] == expected["calls"],
                weight=2,
                seen=seen["calls"],
                expected=expected["calls"],
            ),
            "tokens are those the service billed": part(
                bool(calls) and seen == expected, weight=3, seen=seen, expected=expected
            ),
            "the cost is theirs at list price": part(
                bool(calls) and abs(paid - cost) < 1e-9, weight=2, seen=paid, expected=cost
            ),
        },
    )


def _retry(evidence: Evidence) -> Score:
    told_s = _told_s(evidence.secret)
    told = evidence.probe("2.3-told").get(kind=float, default=-1.0)
    waits = [evidence.probe("2.3-waits").get(place, kind=float, default=-1.0) for place in range(2)]
    last = evidence.probe("2.3-waits").value
    gives_up = isinstance(last, list) and len(last) == 3 and last[2] is None
    hopeless = evidence.probe("2.3-hopeless").value
    asked = evidence.calls(probe="2.3-calls", operation="chat.completions")
    # A refusal that no fault caused is the rate limit's, and no fault of the student's.
    statuses = [call.status for call in asked if call.fault or call.status == 200]
    wanted = [429, 503, 200]
    return share(
        RETRY,
        {
            "it waits as long as the service says": part(
                told_s <= told <= told_s + 5, weight=3, seen=told, expected=f"{told_s} s or a little more"
            ),
            "without a word from the service the waits grow": part(0 < waits[0] < waits[1] <= 10, seen=waits),
            "it gives up after the last attempt": gives_up,
            "it never repeats 400, 401 or 404": part(hopeless == [None] * 3, seen=hopeless, expected=[None] * 3),
            "two refusals are waited out, the third attempt is answered": part(
                statuses == wanted, weight=2, seen=statuses, expected=wanted
            ),
        },
    )


def _under_load(evidence: Evidence) -> Score:
    given = _load(evidence.secret)
    told = evidence.probe("2.4-load")
    failed = given["count"] // given["every"]
    metrics = given["metrics"]
    expected = {"answered": given["count"] - failed, "failed": failed}
    seen = {name: told.get("result", name, kind=int, default=-1) for name in expected}
    rates = [told.get("result", name, kind=float, default=-1.0) for name in ("hit_rate", "mean_latency_s")]
    wanted = [metrics["cache_hits"] / metrics["total_requests"], metrics["average_latency"] / 1000]
    most = told.get("most", kind=int, default=0)
    sent = told.get("seen", kind=int, default=0)
    return share(
        LOAD,
        {
            "every request is sent, and counted as answered or failed": part(
                sent == given["count"] and seen == expected, weight=2, seen=seen, expected=expected
            ),
            "many at once, never more than allowed": part(
                1 < most <= given["limit"], weight=3, seen=f"{most} at once", expected=f"2 to {given['limit']}"
            ),
            "hit rate and mean latency are shares and seconds": part(
                all(abs(a - b) < 1e-6 for a, b in zip(rates, wanted, strict=True)),
                weight=2,
                seen=rates,
                expected=wanted,
            ),
        },
    )


def _answered(evidence: Evidence, probe: str) -> list[Entry]:
    """The calls of the probe that were answered; one that met the rate limit was not paid for."""
    return [call for call in evidence.calls(probe=probe, operation="chat.completions") if call.status == 200]


def _subject(secret: str, label: str) -> str:
    return choose(secret, label, _SUBJECTS)[0]


def _requests(secret: str) -> list[list[object]]:
    """A request, the same reordered, and four that differ in one thing."""
    text = f"What are {_subject(secret, 'key')}?"
    messages = [{"role": "user", "content": text}]
    params = {"temperature": 0, "max_tokens": 30, "seed": 7}
    return [
        ["small", messages, params],
        ["small", messages, dict(reversed(params.items()))],
        ["big", messages, params],
        ["small", messages, {**params, "seed": 8}],
        ["small", [{"role": "system", "content": text}], params],
        ["small", [*messages, {"role": "user", "content": "?"}], params],
    ]


def _names(secret: str) -> list[str]:
    return choose(secret, "names", _SUBJECTS, 5)


def _questions(secret: str) -> list[str]:
    first, second, third = (f"Why {subject}?" for subject in choose(secret, "meter", _SUBJECTS, 3))
    return [first, second, first, third, first]


def _told_s(secret: str) -> int:
    return number(secret, "told", 3, 20)


def _load(secret: str) -> dict:
    hits = number(secret, "hits", 5, 30)
    return {
        "count": number(secret, "count", 30, 60),
        "every": number(secret, "every", 4, 9),
        "limit": number(secret, "limit", 3, 7),
        "metrics": {
            "total_requests": 40,
            "cache_hits": hits,
            "average_latency": float(number(secret, "ms", 500, 4000)),
        },
    }
