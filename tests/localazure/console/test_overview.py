"""``GET /labkit/overview``: one document with what the console shows, and what it costs to make."""

from typing import Any

import pytest

from labkit.catalog import model
from labkit.localazure.clock import ManualClock
from labkit.localazure.console.recent import SPAN_S, Recent
from labkit.localazure.journal import Entry, Journal
from tests.localazure.asking import BIG, EMBEDDING, SMALL, Asker, deploy


def overview(ask: Asker, key: str | None = None) -> dict[str, Any]:
    """The document as the page gets it."""
    headers = {"x-labkit-key": key or ask.azure.lab_key}
    answer = ask.call("GET", "/labkit/overview", headers=headers)
    assert answer.status == 200, answer.body
    document: dict[str, Any] = answer.json
    return document


def deployment_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """One deployment of the course's account."""
    (account,) = document["accounts"]
    return next(found for found in account["deployments"] if found["name"] == name)


def test_overview_needs_a_key(ask: Asker) -> None:
    """Like everything under /labkit; it says whose key came, and holds none."""
    assert ask.call("GET", "/labkit/overview").error == (401, "KeyMissing")
    assert overview(ask)["caller"] == "lab"
    document = overview(ask, ask.azure.admin_secret)
    assert document["caller"] == "admin"
    for secret in (ask.azure.admin_secret, ask.azure.lab_key, *ask.key.values(), ask.azure.identity.header_secret):
        assert secret not in str(document)


def test_gauges_show_what_a_minute_has_left(ask: Asker, clock: ManualClock) -> None:
    """Tokens as the limiter estimates them, requests as they were let in; both slide out after a minute."""
    ask.chat("Hello", max_tokens=100)
    ask.chat("Hello", max_tokens=100)
    limiter = ask.azure.limits.of(ask.azure.resources.deployments(ask.azure.resources.accounts()[0])[0])
    found = deployment_of(overview(ask), BIG)
    assert found["tpm"] == {"used": limiter.tpm - limiter.remaining_tokens, "limit": 1_000_000}
    assert found["tpm"]["used"] > 200
    assert found["rpm"] == {"used": 2, "limit": int(1_000 * model(BIG).rpm_per_ktpm)}
    clock.advance(61)
    found = deployment_of(overview(ask), BIG)
    assert (found["tpm"]["used"], found["rpm"]["used"]) == (0, 0)


def test_looking_at_a_gauge_changes_no_limit(ask: Asker, clock: ManualClock) -> None:
    """What the limiter says remains is the same before and after, at any later time."""
    ask.chat("Hello", max_tokens=100)
    limiter = ask.azure.limits.of(ask.azure.resources.deployments(ask.azure.resources.accounts()[0])[0])
    before = limiter.remaining_tokens
    assert [limiter.used_tokens(clock.now() + later_s) > 0 for later_s in (0, 59, 60, 1e6)] == [
        True,
        True,
        False,
        False,
    ]
    assert limiter.remaining_tokens == before


def test_throttled_requests_do_not_count_as_let_in(ask: Asker) -> None:
    """The gauge of requests stands still when a call was answered 429."""
    deploy(ask.azure, SMALL, capacity_ktpm=1)
    answers = [ask.chat("Hello", deployment=SMALL, max_tokens=900).status for _ in range(3)]
    assert answers == [200, 429, 429]
    document = overview(ask)
    assert deployment_of(document, SMALL)["rpm"]["used"] == 1
    (step,) = document["recent"]
    assert (step["answered"], step["throttled"], step["failed"]) == (1, 2, 0)
    assert document["last_minute"] == {"requests": 3, "p95_ms": step["p95_ms"]}


def test_usage_adds_up(ask: Asker) -> None:
    """By deployment and in all, with the catalogue's prices; a name nobody deployed has its line, too."""
    ask.chat("Hello", max_tokens=50)
    ask.embed("Hello")
    ask.chat("Hello", deployment="missing")
    usage = overview(ask)["usage"]
    lines = {line["deployment"]: line for line in usage["deployments"]}
    assert lines.keys() == {BIG, EMBEDDING, "missing"}
    used = lines[BIG]
    assert used["cost_usd"] == pytest.approx(
        model(BIG).price.cost_usd(used["prompt_tokens"], used["completion_tokens"])
    )
    assert (lines["missing"]["failed"], lines["missing"]["mean_ms"]) == (1, None)
    for name in ("requests", "failed", "prompt_tokens", "completion_tokens", "cost_usd"):
        assert usage["total"][name] == usage["today"][name] == pytest.approx(sum(line[name] for line in lines.values()))


def test_today_ends_at_midnight(ask: Asker, clock: ManualClock) -> None:
    """The sums of the day begin anew (UTC), those of all time go on."""
    ask.chat("Hello")
    clock.advance(86_400)
    ask.chat("Hello")
    usage = overview(ask)["usage"]
    assert (usage["total"]["requests"], usage["today"]["requests"]) == (2, 1)


def test_quota_is_shown_where_some_is_used(ask: Asker) -> None:
    """A row for each region, SKU and model with a deployment, in thousands of tokens per minute."""
    quota = next(found for found in overview(ask)["quotas"] if found["model"] == BIG)
    assert quota == {
        "location": "swedencentral",
        "sku": "Standard",
        "model": BIG,
        "used_ktpm": 1_000,
        "limit_ktpm": model(BIG).quota_ktpm,
    }


def entry(at_s: float, status: int = 200, simulated_ms: float = 0.0) -> Entry:
    """A chat completion."""
    return Entry(at_s, "inference", "POST", "/", "chat.completions", status, deployment="d", simulated_ms=simulated_ms)


def test_latencies_are_percentiles_of_the_answered() -> None:
    """Of 1 to 100 ms the 50th and the 95th percentile; an error's latency is none."""
    journal, recent = Journal(), Recent()
    for took_ms in range(100, 0, -1):
        journal.add(entry(1_000.0, simulated_ms=float(took_ms)))
    journal.add(entry(1_000.0, 500, simulated_ms=9e9))
    recent.read(journal, 1_000.0)
    (step,) = recent.series()
    assert (step["p50_ms"], step["p95_ms"]) == (51.0, 95.0)
    assert (step["answered"], step["failed"]) == (100, 1)


def test_journal_is_read_once_and_forgotten_in_time() -> None:
    """Reading twice counts once; after ten minutes nothing is left; a cleared journal loses nothing already seen."""
    journal, recent = Journal(), Recent()
    journal.add(entry(1_000.0))
    recent.read(journal, 1_001.0)
    journal.clear()
    recent.read(journal, 1_001.0)
    journal.add(entry(1_002.0))
    recent.read(journal, 1_002.0)
    assert sum(step["answered"] for step in recent.series()) == 2
    recent.read(journal, 1_010.0 + SPAN_S)
    assert recent.series() == []


def test_a_busy_step_keeps_a_bounded_sample() -> None:
    """However many calls a step has, its percentiles come from the last 500."""
    journal, recent = Journal(capacity=2_000), Recent()
    for number in range(1_500):
        journal.add(entry(1_000.0, simulated_ms=1.0 if number < 1_000 else 7.0))
    recent.read(journal, 1_000.0)
    (step,) = recent.series()
    assert (step["answered"], step["p50_ms"], step["p95_ms"]) == (1_500, 7.0, 7.0)
