"""Helpers for tests of the inference face: deployments made at once, requests without a server, events read."""

import json
from typing import Any

from labkit import catalog
from labkit.localazure.resources import Account, Deployment
from labkit.localazure.state import Azure
from tests.localazure.conftest import Answer, Caller

BIG, SMALL, REASONING, EMBEDDING = "gpt-4-turbo", "gpt-35-turbo", "gpt-5-mini", "text-embedding-3-small"
# Has what the older ones lack: responses and JSON schemas.
OMNI = "gpt-4o"
VERSION = "2025-01-01-preview"
RESPONSES_VERSION = "2025-04-01-preview"
HELLO = [{"role": "user", "content": "Hello"}]
CHAT = f"deployments/{BIG}/chat/completions"
SAFE = {"filtered": False, "severity": "safe"}


def account_of(azure: Azure) -> Account:
    """The account of the course."""
    account = azure.resources.account()
    assert account is not None
    return account


def deploy(azure: Azure, *models: str, capacity_ktpm: int = 1_000) -> None:
    """Deployments of catalogue models under the models' own names, ready now."""
    account = account_of(azure)
    for name in models or (BIG, SMALL, OMNI, REASONING, EMBEDDING):
        id = f"{account.id}/deployments/{name}"
        made = Deployment(id, name, account.id, catalog.model(name), "Standard", capacity_ktpm, 0.0)
        azure.resources.set_deployment(made)


class Asker:
    """Asks deployments with the account's key, on the dated surface unless told otherwise."""

    def __init__(self, call: Caller) -> None:
        self.call = call
        self.azure = call.azure
        deploy(self.azure)

    @property
    def key(self) -> dict[str, str]:
        """The header that opens the account."""
        return {"api-key": account_of(self.azure).keys[0]}

    def post(self, path: str, document: object, *, version: str | None = VERSION, **options: Any) -> Answer:
        """A POST under ``/openai/``."""
        query = {} if version is None else {"api-version": version}
        return self.call("POST", f"/openai/{path}", document, headers=options.pop("headers", self.key), **query)

    def chat(self, said: object = "Hello", deployment: str = BIG, **parameters: Any) -> Answer:
        """A chat completion for one user message (or, given a list, for messages)."""
        messages = said if isinstance(said, list) else [{"role": "user", "content": said}]
        version = parameters.pop("version", VERSION)
        document = {"messages": messages, **parameters}
        return self.post(f"deployments/{deployment}/chat/completions", document, version=version)

    def embed(self, input: object, deployment: str = EMBEDDING, **parameters: Any) -> Answer:
        """Embeddings of ``input``."""
        return self.post(f"deployments/{deployment}/embeddings", {"input": input, **parameters})

    def respond(self, said: object = "Hello", deployment: str = OMNI, **parameters: Any) -> Answer:
        """A response to ``said`` (a text or input items), on the v1 surface."""
        return self.post("v1/responses", {"model": deployment, "input": said, **parameters}, version=None)

    def stored(self, id: str, part: str = "", *, method: str = "GET", **query: object) -> Answer:
        """What is kept of a response, on the v1 surface."""
        return self.call(method, f"/openai/v1/responses/{id}{part}", headers=self.key, **query)


def error_of(answer: Answer) -> dict[str, Any]:
    """The error object of a refused request."""
    assert answer.status >= 400, answer.json
    error: dict[str, Any] = answer.json["error"]
    return error


def events_of(answer: Answer) -> list[dict[str, Any]]:
    """The chunks of a streamed answer, in order; it must end with the service's mark."""
    lines = answer.body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
