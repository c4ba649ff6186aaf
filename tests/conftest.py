"""What all tests share: an environment without our variables, and a running local Azure."""

import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from labkit.localazure import LocalAzure

# No assertion is timed, on whatever machine; and what passes once passes again.
settings.register_profile("labkit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labkit")

# Every environment variable that labkit, or an SDK on its behalf, reads.
OURS = (
    "LABKIT_ADMIN_SECRET",
    "LABKIT_AZURE_URL",
    "LABKIT_LAB_KEY",
    "LABKIT_LATENCY_SCALE",
    "LABKIT_SEED",
    "LABKIT_STRICT",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_OPENAI_ACCOUNT",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_RESOURCE_GROUP",
    "AZURE_SUBSCRIPTION_ID",
    "AZURE_TOKEN_CREDENTIALS",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "OPENAI_API_VERSION",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
    "OTEL_SDK_DISABLED",
)

# A shell starts background jobs with Ctrl-C switched off, and what they start inherits that. Tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Starts every test without our variables and without a connection, and leaves none behind."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    yield
    if "labkit.connection" in sys.modules:
        sys.modules["labkit.connection"].disconnect()


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> "Iterator[LocalAzure]":
    """A running local Azure that answers at once; the environment names it and labkit is connected to it."""
    # Imported here, so that tests which need no server do not pay for one.
    from labkit.connection import connect
    from labkit.localazure import LocalAzure

    with LocalAzure() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        connect()
        yield server
