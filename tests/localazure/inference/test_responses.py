"""Responses: what clients get, that it is what chat completions say, and that both surfaces have them."""

import asyncio
from collections.abc import Iterator

import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, BadRequestError, NotFoundError, OpenAI
from openai.types.responses import Response

from labkit import tokens
from labkit.localazure import LocalAzure
from labkit.localazure.faults import Fault
from labkit.localazure.inference.contentfilter import CATEGORIES
from tests.localazure.asking import (
    OMNI,
    REASONING,
    RESPONSES_VERSION,
    SAFE,
    SMALL,
    Asker,
    account_of,
    deploy,
    error_of,
)
from tests.localazure.pictures import png, url

SAID = "Explain how a cache saves money, please."


@pytest.fixture(params=["dated", "v1"])
def client(request: pytest.FixtureRequest, served: LocalAzure) -> Iterator[OpenAI]:
    """The real client of each surface."""
    key = account_of(served.azure).keys[0]
    if request.param == "v1":
        made = OpenAI(base_url=f"{served.url}/openai/v1/", api_key=key, max_retries=0)
    else:
        made = AzureOpenAI(azure_endpoint=served.url, api_key=key, api_version=RESPONSES_VERSION, max_retries=0)
    with made:
        yield made


def test_response_has_the_services_body(ask: Asker) -> None:
    """Every field that the openai package declares as required, with the values that the request asked for."""
    body = ask.respond("What is the capital of France? Answer in one word.", metadata={"team": "a"}, user="u").json
    assert Response.model_validate(body, strict=True).output_text == "Paris"
    (item,) = body.pop("output")
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Paris"}],
    }
    assert body.pop("id").startswith("resp_")
    results = dict.fromkeys(CATEGORIES, SAFE)
    prompt = {**results, "jailbreak": {"filtered": False, "detected": False}}
    usage, now = body.pop("usage"), int(ask.azure.clock.now())
    assert body == {
        "object": "response",
        "created_at": now,
        "completed_at": now,
        "status": "completed",
        "background": False,
        "content_filters": [
            {"blocked": False, "source_type": "prompt", "content_filter_results": prompt},
            {"blocked": False, "source_type": "completion", "content_filter_results": results},
        ],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "gpt-4o-2024-08-06",
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": "u",
        "metadata": {"team": "a"},
    }
    assert usage["output_tokens"] == tokens.count("Paris", "o200k_base")
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens_details"]["cached_tokens"] == usage["output_tokens_details"]["reasoning_tokens"] == 0


def test_answer_is_that_of_chat(ask: Asker) -> None:
    """The same messages get the same text, tokens and latency from both, and the same headers."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAID}]
    chat = ask.chat(messages, OMNI, temperature=0)
    response = ask.respond(SAID, instructions="Be brief.", temperature=0)
    assert response.json["output"][0]["content"][0]["text"] == chat.json["choices"][0]["message"]["content"]
    usage = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens", "total_tokens": "total_tokens"}
    assert all(response.json["usage"][mine] == chat.json["usage"][chats] for mine, chats in usage.items())
    assert response.headers.keys() == chat.headers.keys()
    assert response.headers["openai-processing-ms"] == chat.headers["openai-processing-ms"]
    first, second = ask.azure.journal.after()
    assert (first.prompt_digest, first.answer_digest) == (second.prompt_digest, second.answer_digest)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([{"role": "user", "content": SAID}], id="message without a type"),
        pytest.param([{"type": "message", "role": "user", "content": SAID}], id="message"),
        pytest.param([{"role": "user", "content": [{"type": "input_text", "text": SAID}]}], id="part"),
        pytest.param([{"id": "msg_1", "status": "completed", "role": "user", "content": SAID}], id="with id"),
    ],
)
def test_ways_to_say_the_same(ask: Asker, given: object) -> None:
    """A text is a message of the user."""
    ask.respond(SAID)
    ask.respond(given)
    first, second = ask.azure.journal.after()
    assert first.prompt_digest == second.prompt_digest


def test_items_of_a_conversation_kept_by_the_client(ask: Asker) -> None:
    """Answers are sent back as they came, or as plain messages of the assistant."""
    output = ask.respond(SAID, temperature=0).json["output"]
    said = output[0]["content"][0]["text"]
    asked, more = {"role": "user", "content": SAID}, {"role": "user", "content": "Thanks!"}
    ask.respond([asked, *output, more])
    ask.respond([asked, {"role": "assistant", "content": said}, more])
    ask.respond([asked, {"type": "item_reference", "id": output[0]["id"]}, more])
    ask.respond([asked, {"id": output[0]["id"]}, more])
    _, *entries = ask.azure.journal.after()
    assert len({entry.prompt_digest for entry in entries}) == 1


def test_picture(ask: Asker) -> None:
    """A picture is read by a model that sees, and refused for another one in the names of responses."""
    deploy(ask.azure, "o3-mini")
    given = [{"role": "user", "content": [{"type": "input_image", "image_url": url(png(100, 100))}]}]
    alone = ask.respond([{"role": "user", "content": [{"type": "input_text", "text": ""}]}])
    seen = ask.respond(given)
    assert seen.json["usage"]["input_tokens"] > alone.json["usage"]["input_tokens"]
    error = error_of(ask.respond(["x", *given][1:], "o3-mini", instructions="Look."))
    assert error["param"] == "input[0].content[0].type"
    assert error["message"] == "Invalid content type. image_url is only supported by certain models."


def test_reasoning_is_an_item_of_its_own(ask: Asker) -> None:
    """Its tokens are counted, its text is hidden; the effort changes how many there are."""
    usual = ask.respond(SAID, REASONING).json
    reasoning, message = usual["output"]
    assert reasoning.pop("id").startswith("rs_")
    assert reasoning == {"type": "reasoning", "summary": []}
    assert message["type"] == "message"
    assert usual["reasoning"] == {"effort": "medium", "summary": None}
    high = ask.respond(SAID, REASONING, reasoning={"effort": "high", "summary": "auto"}).json
    assert high["reasoning"] == {"effort": "high", "summary": "auto"}
    hidden = [body["usage"]["output_tokens_details"]["reasoning_tokens"] for body in (usual, high)]
    assert 0 < hidden[0] < hidden[1]


def test_reasoning_can_be_carried_by_the_client(ask: Asker) -> None:
    """Unstored reasoning must bring its content along."""
    kept = {"store": False, "include": ["reasoning.encrypted_content"]}
    sealed, message = ask.respond(SAID, REASONING, **kept).json["output"]
    assert sealed["encrypted_content"]
    more = {"role": "user", "content": "Thanks!"}
    assert ask.respond([sealed, message, more], REASONING).status == 200
    bare, message = ask.respond(SAID, REASONING, store=False).json["output"]
    error = error_of(ask.respond([bare, message, more], REASONING))
    assert error["message"].startswith(f"Item with id '{bare['id']}' not found. Items are not persisted when `store`")
    bare, message = ask.respond(SAID, REASONING).json["output"]
    assert ask.respond([bare, message, more], REASONING).status == 200


@pytest.mark.parametrize("model", [OMNI, REASONING])
def test_output_that_is_cut_short_is_incomplete(ask: Asker, model: str) -> None:
    """The status and the reason say so; a reasoning model may not even come to its message."""
    body = ask.respond(SAID, model, max_output_tokens=16).json
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["completed_at"] is None
    assert body["usage"]["output_tokens"] == 16
    assert [item["type"] for item in body["output"]] == (["message"] if model == OMNI else ["reasoning"])
    assert all(item.get("status", "incomplete") == "incomplete" for item in body["output"])


def test_filtered_answer_is_incomplete(ask: Asker) -> None:
    """It comes without output, and with the verdict."""
    body = ask.respond("content filter test: answer hate high").json
    assert (body["status"], body["output"]) == ("incomplete", [])
    assert body["incomplete_details"] == {"reason": "content_filter"}
    prompt, completion = body["content_filters"]
    assert (prompt["blocked"], completion["blocked"]) == (False, True)
    assert completion["content_filter_results"]["hate"] == {"filtered": True, "severity": "high"}


def test_journal_and_metering_know_responses(ask: Asker) -> None:
    """One entry like that of a chat, under the operation's own name and with its own parameters."""
    usage = ask.respond("What is 17 + 25?", temperature=0.5, max_output_tokens=50, instructions="Hush").json["usage"]
    (entry,) = ask.azure.journal.after()
    assert (entry.face, entry.operation, entry.deployment, entry.model) == ("inference", "responses", OMNI, OMNI)
    assert (entry.status, entry.prompt, entry.auth) == (200, "What is 17 + 25?", "key")
    assert (entry.prompt_tokens, entry.completion_tokens) == (usage["input_tokens"], usage["output_tokens"])
    assert entry.params == {"model": OMNI, "temperature": 0.5, "max_output_tokens": 50}
    ((key, cell),) = ask.azure.usage.minutes(0, 2 * ask.azure.clock.now())
    assert key.operation == "responses"
    assert cell.prompt_tokens == usage["input_tokens"]


def test_limits_and_faults_hold(ask: Asker) -> None:
    """A minute's tokens are shared with chat, and a scripted fault meets whichever comes first."""
    deploy(ask.azure, OMNI, capacity_ktpm=10)
    assert ask.respond("x", max_output_tokens=9_900).status == 200
    refused = ask.respond("x", max_output_tokens=9_900)
    assert (refused.status, refused.headers["policy-id"]) == (429, "DeploymentRatelimit-Token")
    message = error_of(refused)["message"]
    assert message.startswith("Requests to the Responses_Create Operation under Azure OpenAI API version v1 have")
    assert ask.chat("x", OMNI, max_tokens=9_900).status == 429
    ask.azure.faults.add(Fault(status=503, deployment=REASONING))
    assert error_of(ask.respond("x", REASONING))["code"] == "ServiceUnavailable"
    assert ask.chat("x", REASONING).status == 200


def test_too_long_a_conversation_can_be_shortened(ask: Asker) -> None:
    """With ``truncation`` the oldest messages are left out, never the instructions; without it the call fails."""
    deploy(ask.azure, OMNI, capacity_ktpm=10_000)
    old = [{"role": "user", "content": "word " * 60_000}, {"role": "assistant", "content": "word " * 60_000}]
    given = [*old, {"role": "system", "content": "Stay."}, {"role": "user", "content": "word " * 60_000}]
    assert error_of(ask.respond(given))["code"] == "context_length_exceeded"
    answered = ask.respond(given, truncation="auto", instructions="Be brief.")
    assert 120_000 < answered.json["usage"]["input_tokens"] < 120_100
    assert ask.respond(given, truncation="auto", max_output_tokens=10_000).json["usage"]["input_tokens"] < 60_100
    assert ask.respond("word " * 200_000, truncation="auto").status == 400


def test_real_client(client: OpenAI, served: LocalAzure) -> None:
    """Create, continue, list what was said, retrieve and delete with the openai package, nothing patched."""
    first = client.responses.create(model=OMNI, input="What is the capital of France? Answer in one word.")
    assert first.output_text == "Paris"
    assert first.usage is not None
    second = client.responses.create(model=REASONING, input="And of Poland?", previous_response_id=first.id)
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    listed = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    assert [(item.type, getattr(item, "role", None)) for item in listed] == [
        ("message", "user"),
        ("message", "assistant"),
        ("message", "user"),
    ]
    assert client.responses.retrieve(second.id) == second
    client.responses.delete(second.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(second.id)
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model=SMALL, input="Hello")
    assert "not supported by Responses API" in refused.value.message
    assert {entry.operation for entry in served.azure.journal.after()} == {
        "responses",
        "responses.get",
        "responses.delete",
        "responses.input_items",
    }


async def test_real_async_clients_side_by_side(served: LocalAzure) -> None:
    """Fifty responses at once, each with an id and an answer of its own."""
    key = account_of(served.azure).keys[0]
    async with AsyncAzureOpenAI(
        azure_endpoint=served.url, api_key=key, api_version=RESPONSES_VERSION, max_retries=0
    ) as client:
        calls = [client.responses.create(model=OMNI, input=f"Plan project {number} for us") for number in range(50)]
        answers = await asyncio.gather(*calls)
    assert all(f"project {number} " in answer.output_text for number, answer in enumerate(answers))
    assert len({answer.id for answer in answers}) == 50
