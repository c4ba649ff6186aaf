"""The SDKs' clients against a running local Azure: signed in, shared, and closed without a trace."""

import asyncio
import gc
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from openai import AsyncAzureOpenAI, AzureOpenAI, RateLimitError

from labkit import clients, lab
from labkit.connection import Connection, connect, current
from labkit.errors import NoConnectionError
from labkit.localazure import LocalAzure

REAL = Connection(
    endpoint="https://contoso.openai.azure.com/",
    management_url="https://management.azure.com",
    subscription_id="11111111-2222-4333-8444-555555555555",
    resource_group="rg-contoso",
    account="contoso",
    is_local=False,
)
QUESTION: list[Any] = [{"role": "user", "content": "What is 17 + 25?"}]


@pytest.fixture
def chat(local: LocalAzure) -> str:
    """The name of a deployed chat model."""
    from labkit.manager import AzureOpenAIManager

    AzureOpenAIManager().deploy_language_model("gpt-4o-mini", "chat", 50)
    return "chat"


def test_without_a_connection_there_is_no_client() -> None:
    """The error says to connect first."""
    with pytest.raises(NoConnectionError, match="connect"):
        clients.openai()


@pytest.mark.parametrize(
    "make",
    [
        clients.openai,
        clients.cognitive_services,
        clients.monitor,
        clients.consumption,
        clients.application_insights,
        clients.logs,
    ],
    ids=lambda make: make.__name__,
)
def test_a_client_is_shared_until_it_is_closed(local: LocalAzure, make: Any) -> None:
    """The same connection gets the same client; after close() a new one."""
    first = make()
    assert make() is first
    assert make(current()) is first
    clients.close()
    assert make() is not first


def test_a_client_that_somebody_closed_is_replaced(chat: str) -> None:
    """``with clients.openai() as client`` closes the shared one; the next call is not left with it."""
    with clients.openai() as client:
        client.chat.completions.create(model=chat, messages=QUESTION)
    assert clients.openai().chat.completions.create(model=chat, messages=QUESTION).choices


def test_calls_are_keyless(chat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of the managed identity is sent, even when a key for some real account lies in the environment."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-key-for-elsewhere")
    clients.openai().chat.completions.create(model=chat, messages=QUESTION)
    assert [call.auth for call in lab.calls()] == ["entra"]


def test_the_environments_key_is_for_real_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """On real Azure a key that the user has set is used; without one, tokens are."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-key")
    with clients._new_sync_openai(REAL) as with_key:
        assert with_key.api_key == "a-key"
    monkeypatch.delenv("AZURE_OPENAI_API_KEY")
    with clients._new_sync_openai(REAL) as keyless:
        assert keyless.api_key != "a-key"
        assert keyless._azure_ad_token_provider is not None


def test_a_refused_call_is_not_repeated_behind_the_readers_back(chat: str) -> None:
    """One 429 is one error: retrying is the course's subject."""
    lab.fault(chat, status=429, retry_after_s=0)
    with pytest.raises(RateLimitError):
        clients.openai().chat.completions.create(model=chat, messages=QUESTION)
    assert [call.status for call in lab.calls()] == [429]


def test_the_api_version_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last dated version, unless OPENAI_API_VERSION names another."""
    with clients._new_sync_openai(REAL) as client:
        assert client._api_version == "2025-04-01-preview"
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    with clients._new_sync_openai(REAL) as client:
        assert client._api_version == "2024-10-21"


def test_proxies_of_the_machine_are_not_asked(local: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not work, and an empty NO_PROXY set after connecting, do not matter."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    connect()
    account = clients.cognitive_services().accounts.get(current().resource_group, current().account)
    assert account.location == "swedencentral"
    assert clients.openai().models.list()


def test_control_plane_clients_speak_to_the_connection(local: LocalAzure) -> None:
    """Each is signed in and gets an answer about this subscription."""
    group = current().resource_group
    assert [each.name for each in clients.cognitive_services().accounts.list_by_resource_group(group)] == [
        "aoai-session13"
    ]
    assert list(clients.monitor().action_groups.list_by_resource_group(group)) == []
    assert list(clients.consumption().budgets.list(current().resource_group_id)) == []
    with pytest.raises(ResourceNotFoundError):
        clients.application_insights().components.get(group, "appi-session13")


def test_telemetry_is_queried_through_the_connection(local: LocalAzure) -> None:
    """Of a workspace by its id; on real Azure the client is the SDK's own, as it comes."""
    from datetime import timedelta

    from labkit.localazure.management.providers.components import DEFAULT_WORKSPACE
    from labkit.localazure.telemetry.scopes import customer_id

    found = clients.logs().query_workspace(customer_id(DEFAULT_WORKSPACE), "AppRequests | count", timespan=timedelta(1))
    assert [list(row) for row in found.tables[0].rows] == [[0]]
    assert clients.logs(REAL)._endpoint == "https://api.loganalytics.io"


def test_one_async_client_serves_a_loop(chat: str) -> None:
    """Within a loop it is shared; another loop, even a later one, has its own, and both work."""

    async def twice() -> AsyncAzureOpenAI:
        client = clients.async_openai()
        assert clients.async_openai() is client
        answer = await client.chat.completions.create(model=chat, messages=QUESTION)
        assert answer.choices
        return client

    first, second = asyncio.run(twice()), asyncio.run(twice())
    assert first is not second
    assert first.is_closed()
    assert second.is_closed()


def test_closing_leaves_nothing_open(chat: str) -> None:
    """Many calls at once, then the loop ends: no socket is left for the garbage collector to complain about."""

    async def many() -> None:
        client = clients.async_openai()
        await asyncio.gather(*(client.chat.completions.create(model=chat, messages=QUESTION) for _ in range(20)))

    asyncio.run(many())
    clients.openai().chat.completions.create(model=chat, messages=QUESTION)
    clients.close()
    gc.collect()  # an unclosed socket would warn here, and warnings are errors


def test_a_closed_async_client_is_replaced(chat: str) -> None:
    """``async with clients.async_openai() as client`` closes the shared one; the next call gets a new one."""

    async def both() -> None:
        async with clients.async_openai() as first:
            pass
        second = clients.async_openai()
        assert second is not first
        await second.chat.completions.create(model=chat, messages=QUESTION)

    asyncio.run(both())


def test_without_a_loop_the_caller_closes(chat: str) -> None:
    """Outside a loop there is nothing to share it by: every call makes a client, which the caller closes."""
    first, second = clients.async_openai(), clients.async_openai()
    assert first is not second

    async def close() -> None:
        await first.close()
        await second.close()

    asyncio.run(close())


def test_no_repr_shows_a_secret(local: LocalAzure) -> None:
    """Neither client nor credential shows the identity header or a token."""
    shown = repr([clients.openai(), clients.credential(), clients.cognitive_services()])
    assert local.environment()["IDENTITY_HEADER"] not in shown
    assert isinstance(clients.openai(), AzureOpenAI)
