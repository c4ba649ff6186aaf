"""The local Azure beside a real account: the same requests to both, and what comes back in another shape.

Opt-in, as it needs an account and costs about a cent. It runs when these variables are set:

- ``AZURE_OPENAI_ENDPOINT``: the account's endpoint, ``https://….openai.azure.com/``
- ``AZURE_OPENAI_DEPLOYMENT``: the name of a deployment of a chat model
- ``AZURE_OPENAI_EMBEDDING_DEPLOYMENT`` (optional): the name of a deployment of an embedding model
- ``AZURE_OPENAI_API_KEY`` (optional): without it DefaultAzureCredential signs in
"""

import os

import pytest
from azure.identity import DefaultAzureCredential

from labkit.catalog import MODELS
from labkit.localazure.clock import ManualClock
from labkit.localazure.state import Azure
from tests.localazure.asking import EMBEDDING, OMNI, account_of, deploy
from tests.localazure.conformance.probes import answers, over_http, to_local
from tests.localazure.conformance.sent import INFERENCE
from tests.localazure.conformance.shapes import differences, shape_of, unexpected
from tests.localazure.conftest import Answer, Caller

# Read before any test clears them.
ENDPOINT, KEY, DEPLOYMENT, EMBEDDING_DEPLOYMENT = (
    os.environ.get(f"AZURE_OPENAI_{name}", "") for name in ("ENDPOINT", "API_KEY", "DEPLOYMENT", "EMBEDDING_DEPLOYMENT")
)
IS_REAL = ENDPOINT.startswith("https://") and bool(DEPLOYMENT)
# What may differ, and why.
KNOWN = {
    r"^header (date|server|connection|content-length|transfer-encoding|vary|via|set-cookie|request-context): ": (
        "transport, and the gateways between"
    ),
    r"^header (strict-transport-security|x-content-type-options|x-ms-rai-invoked|x-envoy-.*|x-aml-.*): missing": (
        "security and infrastructure that nothing on a loopback address has"
    ),
    r"content_filter_results\.(protected_material|indirect_attack|profanity|custom_)": "the account's policy",
    r"\.(obfuscation|safety_identifier|service_tier|prompt_cache_\w+): ": "comes and goes with the model's version",
    r"^events: .*reasoning": "depends on the model",
}


@pytest.fixture(scope="module")
def real() -> dict[str, Answer]:
    """What the real account answers to every probe."""
    names = {"deployment": DEPLOYMENT} | ({"embedding": EMBEDDING_DEPLOYMENT} if EMBEDDING_DEPLOYMENT else {})
    if KEY:
        return answers(over_http(ENDPOINT), {"api-key": KEY}, names)
    with DefaultAzureCredential() as credential:
        token = credential.get_token(f"{INFERENCE}/.default").token
    return answers(over_http(ENDPOINT), {"Authorization": f"Bearer {token}"}, names)


@pytest.mark.slow
@pytest.mark.skipif(not IS_REAL, reason="needs a real account: set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT")
def test_local_azure_has_the_shapes_of_the_real_one(real: dict[str, Answer], clock: ManualClock) -> None:
    """Key paths and types of bodies, names of headers, order of events; every difference is reported at once."""
    call = Caller(Azure(clock))
    snapshot = real["chat"].json.get("model", "")
    model = next((model.name for model in MODELS.values() if model.snapshot == snapshot), OMNI)
    deploy(call.azure, model, EMBEDDING)
    names = {"deployment": model} | ({"embedding": EMBEDDING} if EMBEDDING_DEPLOYMENT else {})
    local = answers(to_local(call), {"api-key": account_of(call.azure).keys[0]}, names)
    found = [
        f"{name}: {line}"
        for name, answer in real.items()
        for line in unexpected(differences(shape_of(answer), shape_of(local[name])), KNOWN)
    ]
    assert not found, f"{len(found)} differences:\n" + "\n".join(found)
