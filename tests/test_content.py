"""What was said stays out of telemetry, and is written as the conventions say for those who ask for it."""

import json
import logging

import pytest

from labkit.retry import RetryPolicy
from labkit.service import ProductionLLMService
from labkit.telemetry.content import CAPTURE, asked_for, input_messages, output_messages
from tests.recorded import Recorded
from tests.scripted import Sleeper, answered, ask, completion, filtered_prompt, optimizer, refused, service

CANARY = "canary-7f3a"
REPLIES = {
    "answer": [answered(f"An answer with {CANARY}.")],
    "error": [refused(400, "invalid", message=f"your prompt {CANARY!r} is bad")],
    "error with a talkative code": [refused(400, f"you said {CANARY} here")],
    "retried": [refused(503, message=CANARY), answered(CANARY)],
    "filtered prompt": [filtered_prompt()],
    "filtered answer": [answered(CANARY, finish_reason="content_filter")],
    "cut answer": [answered(CANARY, finish_reason="length")],
    "broken connection": [OSError(CANARY)],
}


async def everything_said(replies, caplog, **recording):
    """All spans, metrics and log lines of the session's two classes asked with the canary in the prompt."""
    caplog.set_level(logging.DEBUG, "labkit")
    recorded = Recorded(**recording)
    params = {"temperature": 0, "stop": [CANARY], "user": CANARY, "metadata": {"note": CANARY}}
    retry, sleep = RetryPolicy(jitter=0, max_retries=1), Sleeper()
    for caller in (
        optimizer(service(*replies), telemetry=recorded.telemetry, retry=retry).optimized_completion,
        ProductionLLMService(
            "main", client=service(*replies).client(), retry=retry, telemetry=recorded.telemetry, sleep=sleep
        ).safe_completion,
    ):
        try:
            await caller(ask(f"Tell me about {CANARY}."), **params)
        except Exception as error:
            logging.getLogger("labkit").debug("the test saw %s", type(error).__name__)
    assert len(recorded.spans) == 2
    own = [record for record in caplog.records if record.name.startswith("labkit")]
    lines = [f"{record.getMessage()} {record.exc_text or ''} {vars(record)}" for record in own]
    return recorded.everything() + "\n".join(lines)


@pytest.mark.parametrize("replies", REPLIES.values(), ids=REPLIES)
async def test_no_word_of_prompt_or_answer_is_in_telemetry(replies, caplog, monkeypatch):
    """Not in spans, their events, metrics or log lines, however the call ends."""
    monkeypatch.delenv(CAPTURE, raising=False)
    said = await everything_said(replies, caplog)
    assert "gen_ai.client.operation.duration" in said
    assert CANARY not in said


async def test_content_is_there_for_who_asks_for_it(caplog):
    """So the test above would see it."""
    assert CANARY in await everything_said(REPLIES["answer"], caplog, capture_content=True)


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (None, False),
        ("", False),
        ("false", False),
        ("NO_CONTENT", False),
        ("EVENT_ONLY", False),
        ("yes, please", False),
        ("true", True),
        ("True ", True),
        ("span_only", True),
        ("SPAN_AND_EVENT", True),
    ],
)
def test_the_conventions_environment_variable_asks_for_content(value, asked, monkeypatch):
    """Read at each call, so it may be set in a cell; what is unknown asks for nothing."""
    monkeypatch.delenv(CAPTURE, raising=False)
    recorded = Recorded()
    if value is not None:
        monkeypatch.setenv(CAPTURE, value)
    with recorded.telemetry.chat("big", {}, messages=ask(CANARY)) as operation:
        operation.answer = completion(CANARY)
    assert asked_for() is asked
    assert ({"gen_ai.input.messages", "gen_ai.output.messages"} <= set(recorded.span.attributes)) is asked
    assert (CANARY in recorded.everything()) is asked


def test_the_argument_wins_over_the_environment(monkeypatch):
    """False is False even where the environment asks for content."""
    monkeypatch.setenv(CAPTURE, "true")
    recorded = Recorded(capture_content=False)
    with recorded.telemetry.chat("big", {}, messages=ask(CANARY)) as operation:
        operation.answer = completion(CANARY)
    assert CANARY not in recorded.everything()


def test_a_chat_is_written_as_the_conventions_say():
    """Roles with parts: text, pictures by address or as data, tool calls and their results."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Łódź"}'}}
    broken = {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"city'}}
    pictures = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
        {"type": "input_audio", "input_audio": {"format": "wav"}},
    ]
    chat = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": pictures, "name": "anna"},
        {"role": "assistant", "content": None, "tool_calls": [call, broken]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    written = input_messages(chat)
    assert "Łódź" in written
    assert json.loads(written) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be short."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is this?"},
                {"type": "uri", "modality": "image", "uri": "https://example.com/cat.png"},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBORw0="},
                {"type": "input_audio", "input_audio": {"format": "wav"}},
            ],
            "name": "anna",
        },
        {
            "role": "assistant",
            "parts": [
                {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Łódź"}},
                {"type": "tool_call", "id": "call_2", "name": "weather", "arguments": '{"city'},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "rain"}]},
    ]


def test_an_answer_is_a_message_for_each_choice_with_its_end():
    """The reason it ended, and a refusal as a part of its own."""
    assert json.loads(output_messages(completion("Warsaw."))) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Warsaw."}], "finish_reason": "stop"}
    ]
    (refusal,) = json.loads(output_messages(completion(None, message={"refusal": "I cannot."})))
    assert refusal["parts"] == [{"type": "refusal", "content": "I cannot."}]
