"""The SDKs' own clients for a connection: keyless, shared, and closed when nobody needs them any more.

``openai`` clients do not retry by themselves (the SDK would, twice and silently): the course counts calls and teaches
retries. Everything else is as the SDKs come.
"""

import asyncio
import atexit
import os
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from labkit.connection import Connection, current

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.pipeline import PipelineRequest
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient
    from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
    from azure.mgmt.consumption import ConsumptionManagementClient
    from azure.mgmt.monitor import MonitorManagementClient
    from azure.monitor.query import LogsQueryClient
    from openai import AsyncAzureOpenAI, AzureOpenAI

# The last dated version of the inference API; GPT-5 models need it or the undated v1 path. Microsoft Learn, "Azure
# OpenAI API version lifecycle", and aaif-goose/goose#6213, read 2026-11-22. OPENAI_API_VERSION replaces it.
API_VERSION = "2025-04-01-preview"

_INFERENCE_SCOPE = "https://cognitiveservices.azure.com/.default"
_MANAGEMENT_SCOPE = "https://management.azure.com/.default"
_LOGS_SCOPE = "https://api.loganalytics.io/.default"

_Client = TypeVar("_Client")
_shared: dict[tuple[type, Connection], Any] = {}
_sharing = RLock()  # worker threads share, too; making a client shares a credential
_Lease = AsyncGenerator[None, None]
_async_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Connection, tuple["AsyncAzureOpenAI", _Lease]]] = (
    WeakKeyDictionary()
)


def credential(connection: Connection | None = None) -> "TokenCredential":
    """Whoever is signed in on this machine; on a local Azure its managed identity."""
    from azure.identity import DefaultAzureCredential

    return _share(DefaultAzureCredential, connection, lambda _: DefaultAzureCredential())


def openai(connection: Connection | None = None) -> "AzureOpenAI":
    """The client of the inference face; the same one every time."""
    from openai import AzureOpenAI

    return _share(AzureOpenAI, connection, _new_sync_openai)


def async_openai(connection: Connection | None = None) -> "AsyncAzureOpenAI":
    """The asynchronous client of the inference face: one for each running event loop, closed with the loop.

    Where no loop is running there is nothing to tie it to: a new client comes back, which the caller closes.
    """
    connection = connection or current()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _new_async_openai(connection)
    of_loop = _async_shared.setdefault(loop, {})
    if connection not in of_loop or of_loop[connection][0].is_closed():
        client = _new_async_openai(connection)
        of_loop[connection] = client, _closed_with_loop(client)
    return of_loop[connection][0]


def cognitive_services(connection: Connection | None = None) -> "CognitiveServicesManagementClient":
    """The client of the control plane for accounts and deployments; the same one every time, like those below."""
    from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient

    return _share(CognitiveServicesManagementClient, connection, _management(CognitiveServicesManagementClient))


def monitor(connection: Connection | None = None) -> "MonitorManagementClient":
    """The client of the control plane for metric alerts and action groups."""
    from azure.mgmt.monitor import MonitorManagementClient

    return _share(MonitorManagementClient, connection, _management(MonitorManagementClient))


def consumption(connection: Connection | None = None) -> "ConsumptionManagementClient":
    """The client of the control plane for budgets."""
    from azure.mgmt.consumption import ConsumptionManagementClient

    return _share(ConsumptionManagementClient, connection, _management(ConsumptionManagementClient))


def application_insights(connection: Connection | None = None) -> "ApplicationInsightsManagementClient":
    """The client of the control plane for Application Insights components."""
    from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient

    return _share(ApplicationInsightsManagementClient, connection, _management(ApplicationInsightsManagementClient))


def logs(connection: Connection | None = None) -> "LogsQueryClient":
    """The client that queries telemetry in KQL: of a component by its resource id, or of a whole workspace."""
    from azure.monitor.query import LogsQueryClient

    return _share(LogsQueryClient, connection, _new_logs)


def close() -> None:
    """Closes every shared synchronous client; the next call opens new ones."""
    while _shared:
        _, client = _shared.popitem()
        client.close()


atexit.register(close)


def _share(kind: type, connection: Connection | None, make: Callable[[Connection], _Client]) -> _Client:
    """The client of this ``kind`` for ``connection``, made when there is none or somebody has closed it."""
    key = kind, connection or current()
    with _sharing:
        if key not in _shared or _is_closed(_shared[key]):
            _shared[key] = make(key[1])
        client: _Client = _shared[key]
    return client


def _is_closed(client: Any) -> bool:
    return hasattr(client, "is_closed") and bool(client.is_closed())


def _new_sync_openai(connection: Connection) -> "AzureOpenAI":
    from openai import AzureOpenAI, DefaultHttpxClient

    http = DefaultHttpxClient(**_straight(connection)) if connection.is_local else None
    return AzureOpenAI(http_client=http, **_inference_options(connection))


def _new_async_openai(connection: Connection) -> "AsyncAzureOpenAI":
    from openai import AsyncAzureOpenAI, DefaultAsyncHttpxClient

    http = DefaultAsyncHttpxClient(**_straight(connection)) if connection.is_local else None
    return AsyncAzureOpenAI(http_client=http, **_inference_options(connection))


def _closed_with_loop(client: "AsyncAzureOpenAI") -> _Lease:
    """A generator that closes ``client`` when the running loop shuts down.

    A loop ends the asynchronous generators started on it before it closes (``asyncio.run`` sees to it, and so does
    pytest-asyncio). One that has been started and waits is the only hook asyncio has for "before this loop closes".
    """

    async def lease() -> _Lease:
        try:
            yield
        finally:
            await client.close()

    waiting = lease()
    with suppress(StopIteration):
        waiting.__anext__().send(None)  # runs to the yield, awaiting nothing
    return waiting


def _straight(connection: Connection) -> dict[str, Any]:
    """The options of an HTTP client that goes straight to a local Azure, past any proxy."""
    if connection.management_url.startswith("https:"):
        # Trusts what SSL_CERT_FILE names: the certificate that `labkit azure --tls` wrote.
        return {"trust_env": False, "verify": ssl.create_default_context()}
    # No certificates to load (60 ms a client). Should TLS come into play all the same, this context trusts nobody.
    return {"trust_env": False, "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}


def _inference_options(connection: Connection) -> dict[str, Any]:
    return {
        "azure_endpoint": connection.endpoint,
        "api_version": os.environ.get("OPENAI_API_VERSION") or API_VERSION,
        "max_retries": 0,
        **_inference_authentication(connection),
    }


def _inference_authentication(connection: Connection) -> dict[str, Any]:
    # A key in the environment is for the real account: a local Azure neither needs nor sees it.
    key = os.environ.get("AZURE_OPENAI_API_KEY")
    if key and not connection.is_local:
        return {"api_key": key}
    from azure.identity import get_bearer_token_provider

    return {"azure_ad_token_provider": get_bearer_token_provider(credential(connection), _INFERENCE_SCOPE)}


def _management(kind: Callable[..., _Client]) -> Callable[[Connection], _Client]:
    """What makes a control plane client of ``kind`` for a connection."""

    def make(connection: Connection) -> _Client:
        signed_in = credential(connection)
        options: dict[str, Any] = {"base_url": connection.management_url}
        if connection.is_local:
            options |= _local_options(signed_in, _MANAGEMENT_SCOPE)
        return kind(signed_in, connection.subscription_id, **options)

    return make


def _new_logs(connection: Connection) -> "LogsQueryClient":
    from azure.monitor.query import LogsQueryClient

    signed_in = credential(connection)
    if not connection.is_local:
        return LogsQueryClient(signed_in)
    # The client adds the /v1. Of an endpoint that has it already it would drop a class's path (release 2.0.0).
    # A local Azure issues tokens for the service's own audience.
    return LogsQueryClient(signed_in, endpoint=connection.management_url, **_local_options(signed_in, _LOGS_SCOPE))


def _local_options(signed_in: "TokenCredential", scope: str) -> dict[str, Any]:
    """What the SDKs' clients need for a local Azure: no proxies, no .netrc, a token over http, the CA of ``--tls``."""
    options: dict[str, Any] = {
        "use_env_settings": False,
        "authentication_policy": _bearer_over_http(signed_in, scope),
    }
    if ca_file := os.environ.get("REQUESTS_CA_BUNDLE"):
        options["connection_verify"] = ca_file
    return options


def _bearer_over_http(credential: "TokenCredential", scope: str) -> "BearerTokenCredentialPolicy[Any, Any]":
    """The SDKs' own policy, allowed to send a token over http: it is one of a local Azure's and opens nothing else."""
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy

    class BearerOverHttp(BearerTokenCredentialPolicy[Any, Any]):
        def on_request(self, request: "PipelineRequest[Any]") -> None:
            request.context.options["enforce_https"] = False
            super().on_request(request)

    return BearerOverHttp(credential, scope)
