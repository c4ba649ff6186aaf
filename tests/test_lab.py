"""What only the local Azure can do, and what happens when there is none."""

from datetime import timedelta
from typing import Any

import pytest
from openai import APIConnectionError, InternalServerError, RateLimitError

from labkit import clients, lab
from labkit.connection import connect
from labkit.errors import InvalidRequestError, NoConnectionError, NotLocalError
from labkit.localazure import LocalAzure
from labkit.manager import AzureOpenAIManager


@pytest.fixture
def chat(local: LocalAzure) -> str:
    """The name of a deployed chat model."""
    AzureOpenAIManager().deploy_language_model("gpt-4o-mini", "chat", 50)
    return "chat"


def ask(deployment: str, text: str = "What is 17 + 25?") -> Any:
    """One chat call with the shared client."""
    return clients.openai().chat.completions.create(
        model=deployment, messages=[{"role": "user", "content": text}], max_tokens=40, temperature=0
    )


def test_the_journal_shows_what_was_asked(chat: str) -> None:
    """A call's deployment, model, tokens, parameters and prompt, as the local Azure saw them."""
    answer = ask(chat)
    (call,) = lab.calls()
    assert (call.operation, call.deployment, call.model, call.status) == ("chat.completions", chat, "gpt-4o-mini", 200)
    assert (call.prompt_tokens, call.completion_tokens) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert call.prompt == "What is 17 + 25?"
    assert call.params["max_tokens"] == 40
    assert call.simulated_ms > 0


def test_the_journal_can_be_narrowed_down(chat: str) -> None:
    """By place, operation, deployment, face and number; calls() leaves the control plane out."""
    before = lab.last_id()
    ask(chat)
    ask(chat, "Translate 'cat' into Polish.")
    everything = lab.journal()
    assert {call.face for call in everything} >= {"identity", "management", "inference"}
    assert [call.id for call in lab.journal(after=before)][-1] == everything[-1].id
    assert len(lab.journal(operation="chat.completions")) == 2
    assert lab.journal(deployment="other") == []
    assert len(lab.journal(face="inference", limit=1)) == 1
    assert lab.calls(after=lab.last_id()) == []
    assert len(lab.calls(chat)) == 2


def test_a_watch_sees_the_calls_of_its_block(chat: str) -> None:
    """Not those before, not those after; inside the block it shows what has come so far."""
    ask(chat)
    with lab.watch() as service:
        assert service.calls == []
        ask(chat, "What is 9 × 8?")
        assert [call.prompt for call in service.calls] == ["What is 9 × 8?"]
    ask(chat)
    assert [call.prompt for call in service.calls] == ["What is 9 × 8?"]


def test_a_watch_keeps_what_it_saw_when_its_block_fails(chat: str) -> None:
    """The failed call is what one wants to look at."""
    lab.fault(chat, status=500)
    with pytest.raises(InternalServerError), lab.watch() as service:
        ask(chat)
    assert [call.status for call in service.calls] == [500]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param({"retry_after_s": 3}, RateLimitError, id="rate-limit"),
        pytest.param({"status": 503}, InternalServerError, id="unavailable"),
        pytest.param({"kind": "drop"}, APIConnectionError, id="cut-off"),
    ],
)
def test_a_fault_hits_the_next_call_and_no_other(chat: str, fault: dict[str, Any], error: type[Exception]) -> None:
    """The first call after it fails as asked; the one after that is answered."""
    lab.fault(chat, **fault)
    with pytest.raises(error):
        ask(chat)
    assert ask(chat).choices
    first, second = lab.calls()
    assert first.fault is not None
    assert second.fault is None
    assert first.retry_after_s == fault.get("retry_after_s")


def test_a_fault_waits_for_its_text(chat: str) -> None:
    """``contains`` picks the call by its prompt; what still waits can be listed and taken back."""
    lab.fault(chat, contains="Poland", times=2)
    assert ask(chat).choices
    with pytest.raises(RateLimitError):
        ask(chat, "What is the capital of Poland?")
    assert [(fault["contains"], fault["times_left"]) for fault in lab.faults()] == [("Poland", 1)]
    assert lab.clear_faults() == 1
    assert ask(chat, "What is the capital of Poland?").choices


def test_a_slow_call_says_so(chat: str) -> None:
    """ "slow" adds to the simulated latency, which the journal keeps unscaled."""
    ask(chat)
    lab.fault(chat, kind="slow", delay_ms=5_000)
    ask(chat)
    usual, slow = lab.calls()
    assert slow.simulated_ms == pytest.approx(usual.simulated_ms + 5_000, abs=1_000)


def test_faults_come_by_number_and_by_time(chat: str) -> None:
    """Each second call is cut; then an outage, which ends when the local Azure's clock says so."""
    lab.fault(chat, kind="cut", every=2, times=1)
    assert ask(chat).choices
    with pytest.raises(APIConnectionError):
        ask(chat)
    lab.fault(chat, status=503, for_s=120)
    for _ in range(2):
        with pytest.raises(InternalServerError):
            ask(chat)
    lab.advance(minutes=2)
    assert ask(chat).choices
    assert [(call.status, call.error_code) for call in lab.calls()][1] == (200, "AnswerCut")


def test_faults_follow_a_script(chat: str) -> None:
    """Set and cleared in seconds from now."""
    lab.fault_script([{"at_s": 60, "fault": {"status": 429, "share": 1}}, {"at_s": 180, "clear": True}])
    (waiting,) = lab.faults()
    assert (waiting["times_left"], waiting["ends_in_s"] - waiting["starts_in_s"]) == (None, pytest.approx(120))
    assert ask(chat).choices
    lab.advance(minutes=1)
    with pytest.raises(RateLimitError):
        ask(chat)
    lab.advance(minutes=2)
    assert ask(chat).choices
    with pytest.raises(InvalidRequestError, match="Event 1 of the script"):
        lab.fault_script([{"at_s": 0, "fault": {"status": 200}}])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"status": 200}, "400 to 599", id="status"),
        pytest.param({"times": 0}, "times", id="times"),
        pytest.param({"kind": "explode"}, "status, slow, first_byte", id="kind"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(local: LocalAzure, wrong: dict[str, Any], said: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InvalidRequestError, match=said):
        lab.fault("chat", **wrong)


def test_time_passes_when_it_is_told_to(chat: str) -> None:
    """The local Azure's clock moves at once, the calls after it are dated so, and the journal says who moved it."""
    before = lab.now()
    assert before + timedelta(days=1, minutes=5) <= lab.advance(days=1, minutes=5) <= lab.now()
    ask(chat)
    (moved,) = lab.journal(face="lab")
    assert (moved.operation, moved.params) == ("clock.advance", {"advance_s": 86_700.0})
    assert moved.at_s <= lab.calls()[-1].at_s
    with pytest.raises(InvalidRequestError, match="31 days"):
        lab.advance(days=32)


def test_telemetry_tables_have_names(local: LocalAzure) -> None:
    """A table without rows is empty; an unknown one lists those there are."""
    assert lab.telemetry("dependencies") == []
    with pytest.raises(InvalidRequestError, match="customMetrics"):
        lab.telemetry("metrics")


def test_real_azure_has_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """NotLocalError, which a check shows as skipped; nothing is sent."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://contoso.openai.azure.com")
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "s")
    monkeypatch.setenv("AZURE_RESOURCE_GROUP", "g")
    connect()
    for ask_lab in (
        lab.journal,
        lab.calls,
        lab.faults,
        lab.clear_faults,
        lab.fault,
        lab.watch,
        lab.now,
        lab.advance,
        lab.alerts,
        lab.costs,
    ):
        with pytest.raises(NotLocalError, match="Unset AZURE_OPENAI_ENDPOINT"):
            ask_lab()
    for ask_lab in (lab.telemetry, lab.fault_script):
        with pytest.raises(NotLocalError):
            ask_lab("requests")


def test_without_the_lab_key_nothing_is_shown(local: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing variable is named; a wrong key is refused by the local Azure."""
    monkeypatch.setenv("LABKIT_LAB_KEY", "wrong")
    with pytest.raises(InvalidRequestError, match="lab key"):
        lab.journal()
    monkeypatch.delenv("LABKIT_LAB_KEY")
    with pytest.raises(NoConnectionError, match="LABKIT_LAB_KEY is not set"):
        lab.journal()


def test_a_local_azure_that_is_gone_is_named(local: LocalAzure) -> None:
    """Instead of a traceback of urllib: connect again."""
    local.stop()
    with pytest.raises(NoConnectionError, match=r"does not answer .*run labkit\.connect\(\) again"):
        lab.journal()
