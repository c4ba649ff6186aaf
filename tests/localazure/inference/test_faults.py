"""Scripted faults as callers meet them, and the evidence that every call leaves."""

import json

import pytest
from openai import (
    APIConnectionError,
    AzureOpenAI,
)

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.faults import Fault
from labkit.localazure.journal import Entry
from labkit.localazure.state import Azure
from tests.localazure.asking import (
    BIG,
    SMALL,
    Asker,
    account_of,
    error_of,
)
from tests.localazure.conftest import Caller

HELLO = [{"role": "user", "content": "Hello"}]


def last(azure: Azure) -> Entry:
    """The newest journal entry."""
    return azure.journal.after()[-1]


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "429"), (500, "InternalServerError"), (503, "ServiceUnavailable"), (408, "Timeout"), (418, "418")],
)
def test_status_fault(ask: Asker, status: int, code: str) -> None:
    """The next calls fail as told, with the service's words, and the journal says who planned it."""
    planned = ask.azure.faults.add(Fault(deployment=BIG, status=status, times=2, retry_after_s=2.5, by="lab"))
    for _ in range(2):
        answer = ask.chat()
        assert (answer.status, error_of(answer)["code"]) == (status, code)
        assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("3", "2500")
        assert ask.chat(deployment=SMALL).status == 200
    assert ask.chat().status == 200
    hit = [entry for entry in ask.azure.journal.after() if entry.fault]
    assert [(e.fault, e.fault_by, e.status, e.retry_after_s) for e in hit] == [(planned.id, "lab", status, 2.5)] * 2


def test_rate_limit_fault_reads_like_the_real_one(ask: Asker) -> None:
    """Code that reads the message finds what it looks for, with and without a time."""
    ask.azure.faults.add(Fault(retry_after_s=1))
    ask.azure.faults.add(Fault())
    first, second = ask.chat(), ask.chat()
    assert (
        "exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after 1 second."
        in (error_of(first)["message"])
    )
    assert "retry-after" not in second.headers
    assert "Please retry later." in error_of(second)["message"]


def test_fault_for_certain_prompts(ask: Asker) -> None:
    """``contains`` picks the calls by the last user message."""
    ask.azure.faults.add(Fault(status=500, contains="unlucky"))
    assert ask.chat("lucky").status == 200
    assert ask.chat("an unlucky one").status == 500
    assert ask.embed("an unlucky one").status == 200


def test_slow_fault(ask: Asker) -> None:
    """The delay is part of what the service says it took."""
    usual = int(ask.chat(temperature=0).headers["openai-processing-ms"])
    ask.azure.faults.add(Fault(kind="slow", delay_ms=30_000))
    assert int(ask.chat(temperature=0).headers["openai-processing-ms"]) == usual + 30_000
    ask.azure.faults.add(Fault(kind="slow", delay_ms=30_000))
    assert int(ask.embed("x").headers["openai-processing-ms"]) > 30_000


def test_bad_requests_do_not_use_up_faults(ask: Asker) -> None:
    """A fault waits for a call that would have been answered."""
    ask.azure.faults.add(Fault(status=500))
    assert ask.chat(temperature=5).status == 400
    assert ask.chat(deployment="nope").status == 404
    assert ask.chat().status == 500


def test_dropped_call_is_in_the_journal(client: AzureOpenAI, served: LocalAzure) -> None:
    """No answer left, but the evidence is there."""
    planned = served.azure.faults.add(Fault(kind="drop"))
    with pytest.raises(APIConnectionError):
        client.chat.completions.create(model=BIG, messages=[{"role": "user", "content": "Hello"}])
    entry = last(served.azure)
    assert (entry.status, entry.error_code, entry.fault) == (0, "ConnectionDropped", planned.id)


def test_journal_entry_of_a_completion(ask: Asker) -> None:
    """Everything that grading needs, and nothing secret."""
    answer = ask.chat("What is 17 + 25?", temperature=0.5, max_tokens=50, user="u" * 1_000)
    entry = last(ask.azure)
    usage = answer.json["usage"]
    assert (entry.face, entry.operation, entry.method) == ("inference", "chat.completions", "POST")
    assert (entry.deployment, entry.model, entry.status, entry.error_code) == (BIG, "gpt-4-turbo", 200, None)
    assert (entry.prompt_tokens, entry.completion_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert entry.prompt == "What is 17 + 25?"
    assert entry.params == {"temperature": 0.5, "max_tokens": 50, "user": "u" * 200}
    assert len(entry.prompt_digest) == len(entry.answer_digest) == 16
    assert entry.at_s == ask.azure.clock.now()
    assert entry.simulated_ms > 0
    assert not any(key in json.dumps(entry.as_dict()) for key in account_of(ask.azure).keys)


def test_digests_tell_prompts_and_answers_apart(ask: Asker) -> None:
    """Equal messages have equal digests, on every server; others have others."""
    ask.chat("one", temperature=0)
    ask.chat("one", temperature=0, user="x")
    ask.chat("two", temperature=0)
    first, second, third = ask.azure.journal.after()
    assert (first.prompt_digest, first.answer_digest) == (second.prompt_digest, second.answer_digest)
    assert first.prompt_digest != third.prompt_digest
    assert first.answer_digest != third.answer_digest
    assert first.prompt_digest == "ea762470aeeaa1df"


def test_entry_is_there_before_the_answer(served: LocalAzure, client: AzureOpenAI) -> None:
    """Whoever has the answer finds its entry, also of a stream's first chunk."""
    stream = client.chat.completions.create(model=SMALL, messages=[{"role": "user", "content": "Hello"}], stream=True)
    next(iter(stream))
    assert len(served.azure.journal) == 1
    stream.close()


def test_simulated_time_passes_scaled() -> None:
    """At scale 0.02 a call takes a fiftieth of what the service says it took."""

    class Recorder(ManualClock):
        slept = 0.0

        async def sleep(self, delay_s: float) -> None:
            Recorder.slept += delay_s

    ask = Asker(Caller(Azure(Recorder(), latency_scale=0.02)))
    ask.chat(temperature=0)
    assert Recorder.slept == pytest.approx(last(ask.azure).simulated_ms * 0.02 / 1000)
