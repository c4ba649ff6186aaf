"""A running local Azure, one with a clock moved by hand, and one without a server that is called directly."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.identity import DefaultAzureCredential
from openai import AzureOpenAI

from labkit.localazure import LocalAzure
from labkit.localazure.app import App
from labkit.localazure.clock import ManualClock
from labkit.localazure.resources import ACCOUNT, GROUP_ID, RESOURCE_GROUP, SUBSCRIPTION_ID
from labkit.localazure.state import Azure

if TYPE_CHECKING:
    from tests.localazure.asking import Asker

ACCOUNT_ID = f"{GROUP_ID}/providers/Microsoft.CognitiveServices/accounts/{ACCOUNT}"
MANAGEMENT_SCOPE = "https://management.azure.com/.default"


@pytest.fixture
def azure() -> Iterator[LocalAzure]:
    """A running local Azure on the machine's clock."""
    with LocalAzure() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at the present until a test moves it (Azure's own SDKs look at the machine's)."""
    return ManualClock(time.time())


@pytest.fixture
def azure_by_hand(clock: ManualClock) -> Iterator[LocalAzure]:
    """A running local Azure on ``clock``, where a deployment takes 60 seconds."""
    with LocalAzure(clock=clock, provisioning_s=60.0) as running:
        yield running


@pytest.fixture
def client_environment(azure: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> LocalAzure:
    """The variables that a client's process gets, set in this one; the local Azure they point to."""
    for name, value in azure.environment().items():
        monkeypatch.setenv(name, value)
    return azure


class HttpBearerPolicy(BearerTokenCredentialPolicy):
    """The SDK's own policy, allowed on http as on the loopback address."""

    def on_request(self, request: Any) -> None:
        request.context.options.setdefault("enforce_https", False)
        super().on_request(request)


@pytest.fixture
def sdk(client_environment: LocalAzure) -> Iterator[Callable[..., Any]]:
    """Makes real management clients: ``sdk(MonitorManagementClient)``; some take no ``subscription``."""
    clients: list[Any] = []
    credential = DefaultAzureCredential()

    def make(kind: type, *arguments: str, subscription: bool = True) -> Any:
        client = kind(
            credential,
            *(arguments or ((SUBSCRIPTION_ID,) if subscription else ())),
            base_url=client_environment.url,
            authentication_policy=HttpBearerPolicy(credential, MANAGEMENT_SCOPE),
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
    credential.close()


@dataclass(frozen=True)
class Answer:
    """What came back from the application."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and error code."""
        return self.status, self.json["error"]["code"]


class Caller:
    """Calls the application without a server in between."""

    def __init__(self, azure: Azure) -> None:
        self.azure = azure
        self._app = App(azure)

    def __call__(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **query: object,
    ) -> Answer:
        """One request and its answer."""
        path, _, given = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": "&".join(filter(None, (given, urlencode(query)))).encode(),
            "headers": [(b"host", b"127.0.0.1:1")]
            + [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        return asyncio.run(self._call(scope, body if document is None else json.dumps(document).encode()))

    async def _call(self, scope: dict[str, Any], body: bytes) -> Answer:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *pieces = sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(piece.get("body", b"") for piece in pieces))


@pytest.fixture
def call(clock: ManualClock) -> Caller:
    """A local Azure on ``clock``, called directly; its state is ``call.azure``."""
    return Caller(Azure(clock))


@pytest.fixture
def ask(call: Caller) -> "Asker":
    """Asks a local Azure on a clock moved by hand."""
    from tests.localazure.asking import Asker  # which builds on this module

    return Asker(call)


@pytest.fixture
def served(client_environment: LocalAzure) -> LocalAzure:
    """A running local Azure with deployments, named by the environment."""
    from tests.localazure.asking import deploy

    deploy(client_environment.azure)
    return client_environment


@pytest.fixture
def client(served: LocalAzure) -> Iterator[AzureOpenAI]:
    """The real client with the account's key."""
    from tests.localazure.asking import VERSION, account_of

    key = account_of(served.azure).keys[0]
    with AzureOpenAI(azure_endpoint=served.url, api_key=key, api_version=VERSION, max_retries=0) as made:
        yield made


@pytest.fixture
def arm(call: Caller) -> Callable[..., Answer]:
    """Calls the control plane with a token and an api-version; a path without a slash is one in the resource group."""

    def request(method: str, path: str, document: object = None, **options: Any) -> Answer:
        token = call.azure.identity.issue("https://management.azure.com")["access_token"]
        options = {"api-version": "2025-09-01", **options}
        path = path if path.startswith("/") else f"{GROUP_ID}/providers/{path}"
        return call(method, path, document, headers={"Authorization": f"Bearer {token}"}, **options)

    return request


@pytest.fixture
def group() -> str:
    """The resource group that the course works in."""
    return RESOURCE_GROUP


def deployment(model: str = "gpt-4", version: str | None = "turbo-2024-04-09", capacity: object = 10) -> dict[str, Any]:
    """The body of a deployment's PUT."""
    asked = {"format": "OpenAI", "name": model, "version": version}
    return {"sku": {"name": "Standard", "capacity": capacity}, "properties": {"model": asked}}
