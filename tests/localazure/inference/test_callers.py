"""Who may call the inference face, and at which addresses."""

import json

import pytest

from labkit.localazure.journal import Entry
from labkit.localazure.state import Azure
from tests.localazure.asking import (
    BIG,
    VERSION,
    Asker,
    account_of,
)

HELLO = [{"role": "user", "content": "Hello"}]
CHAT = f"deployments/{BIG}/chat/completions"


def last(azure: Azure) -> Entry:
    """The newest journal entry."""
    return azure.journal.after()[-1]


def bearer(azure: Azure, audience: str) -> dict[str, str]:
    """The header with an Entra token for ``audience``."""
    return {"Authorization": f"Bearer {azure.identity.issue(audience)['access_token']}"}


@pytest.mark.parametrize("audience", ["https://cognitiveservices.azure.com", "https://ai.azure.com/"])
def test_entra_token_opens_both_surfaces(ask: Asker, audience: str) -> None:
    """With the audience of Cognitive Services or of AI Foundry."""
    headers = bearer(ask.azure, audience)
    assert ask.post(CHAT, {"messages": HELLO}, headers=headers).status == 200
    on_v1 = {"messages": HELLO, "model": BIG}
    assert ask.post("v1/chat/completions", on_v1, version=None, headers=headers).status == 200
    assert {e.auth for e in ask.azure.journal.after()} == {"entra"}


def test_key_opens_both_surfaces_in_either_header(ask: Asker) -> None:
    """``api-key`` and ``Authorization: Bearer``; of both together one that is right is enough."""
    key = ask.key["api-key"]
    for headers in (
        {"api-key": key},
        {"Authorization": f"Bearer {key}"},
        {"api-key": key, "Authorization": "Bearer not.a.token"},
        {"api-key": "placeholder", **bearer(ask.azure, "https://cognitiveservices.azure.com")},
    ):
        assert ask.post(CHAT, {"messages": HELLO}, headers=headers).status == 200
        on_v1 = {"messages": HELLO, "model": BIG}
        assert ask.post("v1/chat/completions", on_v1, version=None, headers=headers).status == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}, {"api-key": "x" * 32}, {"api-key": ""}])
def test_nobody_else_gets_in(ask: Asker, headers: dict[str, str]) -> None:
    """No credential, a forged token, a wrong key: 401, and the journal says so without them."""
    assert ask.post(CHAT, {"messages": HELLO}, headers=headers).status == 401
    entry = last(ask.azure)
    assert (entry.status, entry.auth) == (401, "none")
    assert "x" * 32 not in json.dumps(entry.as_dict())


def test_token_for_another_audience_does_not_open(ask: Asker) -> None:
    """A management token is not an inference token."""
    headers = bearer(ask.azure, "https://management.azure.com")
    assert ask.post(CHAT, {"messages": HELLO}, headers=headers).status == 401


def test_token_expires(ask: Asker) -> None:
    """On the local Azure's clock."""
    headers = bearer(ask.azure, "https://cognitiveservices.azure.com")
    ask.azure.clock.advance(86_401)  # type: ignore[attr-defined]
    assert ask.post(CHAT, {"messages": HELLO}, headers=headers).status == 401


@pytest.mark.parametrize(
    ("method", "path", "version"),
    [
        pytest.param("POST", CHAT, None, id="no api-version"),
        pytest.param("POST", CHAT, "latest", id="not a date"),
        pytest.param("POST", CHAT, "2024-13-01", id="not a month"),
        pytest.param("POST", CHAT, "2020-01-01", id="before the service"),
        pytest.param("GET", CHAT, VERSION, id="wrong method"),
        pytest.param("POST", "chat/completions", VERSION, id="no deployment"),
        pytest.param("POST", "deployments//chat/completions", VERSION, id="empty deployment"),
        pytest.param("POST", f"deployments/{BIG}/chat", VERSION, id="half an operation"),
        pytest.param("POST", f"deployments/{BIG}/pictures/generations", VERSION, id="another operation"),
        pytest.param("POST", "v1/nothing", None, id="v1"),
        pytest.param("DELETE", "models", VERSION, id="models"),
    ],
)
def test_wrong_addresses_are_not_found(ask: Asker, method: str, path: str, version: str | None) -> None:
    """The answer is the gateway's, as for any wrong path."""
    query = {} if version is None else {"api-version": version}
    answer = ask.call(method, f"/openai/{path}", {"messages": HELLO}, headers=ask.key, **query)
    assert answer.status == 404
    assert answer.json == {"error": {"code": "404", "message": "Resource not found"}}
    assert last(ask.azure).status == 404


@pytest.mark.parametrize("version", ["2024-02-01", "2024-10-21", "2023-05-15", "2025-04-01-preview"])
def test_dated_versions_are_taken(ask: Asker, version: str) -> None:
    """Old and new, also the one that the session's text uses."""
    assert ask.chat(version=version).status == 200


def test_account_that_was_deleted_is_not_found(ask: Asker) -> None:
    """Without its account there is no endpoint."""
    key = ask.key
    ask.azure.resources.drop_account(account_of(ask.azure).id)
    assert (
        ask.call("POST", f"/openai/{CHAT}", {"messages": HELLO}, headers=key, **{"api-version": VERSION}).status == 404
    )


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", f"deployments/{BIG}/images/generations", "images"),
        ("POST", f"deployments/{BIG}/audio/transcriptions", "audio"),
        ("GET", "files", "files"),
        ("POST", "assistants", "assistants"),
        ("POST", "v1/batches", "batches"),
        ("DELETE", "v1/vector_stores/vs_1", "vector_stores"),
        ("POST", "v1/fine_tuning/jobs", "fine_tuning"),
    ],
)
def test_what_only_the_real_service_does(ask: Asker, method: str, path: str, operation: str) -> None:
    """Said in the service's shape, to callers with a key; the refusal names what there is."""
    query = {} if path.startswith("v1") else {"api-version": VERSION}
    answer = ask.call(method, f"/openai/{path}", {}, headers=ask.key, **query)
    assert answer.error == (400, "OperationNotSupported")
    assert answer.json["error"]["message"] == (
        f"The {operation} operation is not supported by the local Azure. It answers chat/completions, responses, "
        "embeddings and models."
    )
    assert ask.azure.journal.after()[-1].operation == operation
    assert ask.call(method, f"/openai/{path}", {}, headers={}, **query).status == 401
