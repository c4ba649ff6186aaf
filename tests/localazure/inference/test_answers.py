"""The inference face through real clients, and the shape of what it answers."""

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential, get_bearer_token_provider
from openai import (
    APIConnectionError,
    AsyncAzureOpenAI,
    AuthenticationError,
    AzureOpenAI,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)

from labkit import bank, tokens
from labkit.catalog import MODELS
from labkit.localazure import LocalAzure
from labkit.localazure.faults import Fault
from labkit.localazure.journal import Entry
from labkit.localazure.state import Azure
from tests.localazure.asking import (
    BIG,
    CHAT,
    EMBEDDING,
    HELLO,
    REASONING,
    SMALL,
    VERSION,
    Asker,
    account_of,
)


@pytest.fixture
def v1(served: LocalAzure) -> Iterator[OpenAI]:
    """The real client of the v1 surface, which sends the key as a bearer token."""
    key = account_of(served.azure).keys[1]
    with OpenAI(base_url=f"{served.url}/openai/v1/", api_key=key, max_retries=0) as made:
        yield made


def last(azure: Azure) -> Entry:
    """The newest journal entry."""
    return azure.journal.after()[-1]


def test_completion_has_the_services_body(ask: Asker) -> None:
    """Every field that clients were seen to need, and the sums add up."""
    answer = ask.chat("What is the capital of France? Answer in one word.")
    body = answer.json
    (choice,) = body["choices"]
    assert choice["message"] == {"annotations": [], "content": "Paris", "refusal": None, "role": "assistant"}
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert body["created"] == int(ask.azure.clock.now())
    assert body["model"] == "gpt-4-turbo-2024-04-09"
    assert body["system_fingerprint"].startswith("fp_")
    usage = body["usage"]
    messages = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    assert usage["prompt_tokens"] == tokens.chat_prompt_tokens(messages, "cl100k_base")
    assert usage["completion_tokens"] == tokens.count("Paris", "cl100k_base")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0


def test_answer_has_the_services_headers(ask: Asker) -> None:
    """All that the real service was seen to send; the processing time is the simulated one, unscaled."""
    headers = ask.chat().headers
    for name in ("apim-request-id", "x-request-id", "x-ms-client-request-id", "azureml-model-session"):
        assert headers[name]
    assert headers["x-ms-region"] == "Sweden Central"
    assert headers["x-ms-deployment-name"] == BIG
    assert headers["content-type"] == "application/json"
    assert int(headers["openai-processing-ms"]) == int(last(ask.azure).simulated_ms) > 700


def test_ids_are_never_repeated(ask: Asker) -> None:
    """The same answer, cached or not, is a new completion each time."""
    answers = [ask.chat(temperature=0) for _ in range(5)]
    assert len({answer.json["id"] for answer in answers}) == 5
    assert len({answer.headers["x-request-id"] for answer in answers}) == 5
    assert len({answer.json["choices"][0]["message"]["content"] for answer in answers}) == 1


def test_client_request_id_is_echoed(ask: Asker) -> None:
    """The client's own id comes back and is in the journal."""
    headers = {**ask.key, "x-ms-client-request-id": "my-id"}
    answer = ask.post(CHAT, {"messages": HELLO}, headers=headers)
    assert answer.headers["x-ms-client-request-id"] == "my-id"
    assert last(ask.azure).client_request_id == "my-id"


@pytest.mark.parametrize("model", [None, "", "gpt-9", 17], ids=repr)
def test_model_in_the_body_is_ignored_where_the_address_names_one(ask: Asker, model: object) -> None:
    """Clients send null, nothing, or another model's name on deployment addresses."""
    assert ask.chat(model=model).json["model"] == "gpt-4-turbo-2024-04-09"


@pytest.mark.parametrize("prefix", ["", "/aoai-session13", "/some/proxy", "/"], ids=repr)
def test_prefix_and_trailing_slash_of_the_endpoint_work(ask: Asker, prefix: str) -> None:
    """Gateways put a path before ``/openai``; endpoints often end with a slash."""
    query = {"api-version": VERSION}
    answer = ask.call("POST", f"{prefix}/openai/{CHAT}", {"messages": HELLO}, headers=ask.key, **query)
    assert answer.status == 200


def test_deployment_names_do_not_mind_case(ask: Asker) -> None:
    """As resource names in Azure."""
    assert ask.chat(deployment=BIG.upper()).status == 200
    assert last(ask.azure).deployment == BIG


def test_real_client_with_a_key(client: AzureOpenAI, served: LocalAzure) -> None:
    """A completion and embeddings with the openai package, nothing patched."""
    answer = client.chat.completions.create(model=SMALL, messages=[{"role": "user", "content": "What is 17 + 25?"}])
    assert "42" in (answer.choices[0].message.content or "")
    assert answer.model == "gpt-35-turbo-0125"
    vectors = client.embeddings.create(model=EMBEDDING, input=["one", "two"])
    assert [len(item.embedding) for item in vectors.data] == [1536, 1536]
    assert [(e.operation, e.auth, e.status) for e in served.azure.journal.after()] == [
        ("chat.completions", "key", 200),
        ("embeddings", "key", 200),
    ]


def test_real_client_with_a_managed_identity(served: LocalAzure) -> None:
    """Keyless, as the course teaches it: DefaultAzureCredential gets the token from the local identity endpoint."""
    with DefaultAzureCredential() as credential:
        provider = get_bearer_token_provider(credential, "https://cognitiveservices.azure.com/.default")
        with AzureOpenAI(
            azure_endpoint=served.url, azure_ad_token_provider=provider, api_version=VERSION, max_retries=0
        ) as client:
            answer = client.chat.completions.create(model=SMALL, messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content
    assert last(served.azure).auth == "entra"


async def test_real_async_client_many_at_once(served: LocalAzure) -> None:
    """A hundred calls side by side, each with its own answer; run again they are the same."""
    key = account_of(served.azure).keys[0]

    async def run() -> list[str | None]:
        async with AsyncAzureOpenAI(
            azure_endpoint=served.url, api_key=key, api_version=VERSION, max_retries=0
        ) as client:
            calls = [
                client.chat.completions.create(
                    model=SMALL, messages=[{"role": "user", "content": f"Plan project {n} for us"}], temperature=0
                )
                for n in range(100)
            ]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    first = await run()
    assert all(f"project {number} " in (text or "") for number, text in enumerate(first))
    served.azure.limits = type(served.azure.limits)()
    assert await run() == first


def test_real_client_of_the_v1_surface(v1: OpenAI, served: LocalAzure) -> None:
    """The deployment is named in the body; there is no api-version."""
    answer = v1.chat.completions.create(model=REASONING, messages=[{"role": "user", "content": "What is 9 × 8?"}])
    assert "72" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens
    assert v1.embeddings.create(model=EMBEDDING, input="one").data[0].index == 0
    assert {e.path for e in served.azure.journal.after()} == {"/openai/v1/chat/completions", "/openai/v1/embeddings"}


def test_real_clients_list_models(client: AzureOpenAI, v1: OpenAI) -> None:
    """Both surfaces list every model of the catalogue under its snapshot, and know each one."""
    snapshots = {model.snapshot for model in MODELS.values()}
    assert {model.id for model in client.models.list()} == snapshots
    assert {model.id for model in v1.models.list()} == snapshots
    assert v1.models.retrieve("gpt-4o-2024-08-06").object == "model"
    with pytest.raises(NotFoundError, match="There are: gpt-4-turbo-2024-04-09"):
        v1.models.retrieve("gpt-9")


def test_real_client_raises_the_right_exceptions(client: AzureOpenAI, v1: OpenAI, served: LocalAzure) -> None:
    """Each refusal arrives as the exception class that code is written for."""

    def create(model: str = BIG, **parameters: Any) -> None:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}], **parameters)

    with pytest.raises(NotFoundError) as missing:
        create(model="nope")
    assert missing.value.code == "DeploymentNotFound"
    assert missing.value.request_id
    with pytest.raises(BadRequestError) as bad:
        create(temperature=3)
    assert (bad.value.code, bad.value.param) == ("decimal_above_max_value", "temperature")
    with pytest.raises(AuthenticationError) as denied:
        create(extra_headers={"api-key": "wrong"})
    assert denied.value.code == "401"
    served.azure.faults.add(Fault(kind="status", status=429, retry_after_s=7))
    with pytest.raises(RateLimitError) as limited:
        create()
    assert limited.value.response.headers["retry-after"] == "7"
    served.azure.faults.add(Fault(kind="status", status=503))
    with pytest.raises(InternalServerError):
        create()
    served.azure.faults.add(Fault(kind="drop"))
    with pytest.raises(APIConnectionError):
        create()
    with pytest.raises(NotFoundError):
        v1.chat.completions.create(model="nope", messages=[{"role": "user", "content": "Hello"}])


def test_real_client_retries_by_itself_and_is_counted(served: LocalAzure) -> None:
    """The SDK's own retries arrive with their number: what exercises about retries look at."""
    key = account_of(served.azure).keys[0]
    served.azure.faults.add(Fault(kind="status", status=500, times=2, retry_after_s=0))
    with AzureOpenAI(azure_endpoint=served.url, api_key=key, api_version=VERSION, max_retries=2) as client:
        client.chat.completions.create(model=BIG, messages=[{"role": "user", "content": "Hello"}])
    assert [(e.status, e.retry_count) for e in served.azure.journal.after()] == [(500, 0), (500, 1), (200, 2)]


def test_disabled_keys_are_refused(served: LocalAzure, client: AzureOpenAI) -> None:
    """An account that takes Entra tokens only says so."""
    azure = served.azure
    azure.resources.set_account(dataclasses.replace(account_of(azure), local_auth_disabled=True))
    with pytest.raises(PermissionDeniedError) as refused:
        client.chat.completions.create(model=BIG, messages=[{"role": "user", "content": "Hello"}])
    assert refused.value.code == "AuthenticationTypeDisabled"


def test_journal_says_whether_a_question_of_the_bank_was_answered_rightly(ask: Asker) -> None:
    """Right answers are counted by what was served: a weak model errs on some, and an answer cut short is wrong."""
    for question in bank.QUESTIONS[:60]:
        ask.chat(question.text, SMALL, temperature=0)
    shares = {entry.right for entry in ask.azure.journal}
    assert shares == {True, False}
    ask.chat(bank.QUESTIONS[0].text, BIG, temperature=0)
    ask.chat(bank.QUESTIONS[0].text, BIG, temperature=0, max_tokens=1)
    ask.chat("Tell me about trains.", BIG, temperature=0)
    assert [entry.right for entry in ask.azure.journal][-3:] == [True, False, None]
