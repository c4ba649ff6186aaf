"""Requests as the tables have them, and the headers that many answers share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.localazure.inference.contentfilter import CATEGORIES
from labkit.localazure.resources import GROUP_ID
from tests.localazure.asking import BIG, EMBEDDING, OMNI, VERSION

INFERENCE = "https://cognitiveservices.azure.com"
MANAGEMENT = "https://management.azure.com"
NO_PATH = {"error": {"code": "404", "message": "Resource not found"}}
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
NUMBER = re.compile(r"^\d+$")
VERDICT = {"filtered": bool, "severity": re.compile("safe|low|medium|high")}
VERDICTS = {**dict.fromkeys(CATEGORIES, VERDICT), "jailbreak": {"filtered": bool, "detected": bool}}
ANSWERED = {
    "content-type": "application/json",
    "apim-request-id": UUID,
    "x-request-id": UUID,
    "x-ms-client-request-id": UUID,
    "x-ms-region": "Sweden Central",
    "x-ms-deployment-name": OMNI,
    "azureml-model-session": re.compile(r"^d\d+-"),
    "x-ratelimit-limit-requests": NUMBER,
    "x-ratelimit-limit-tokens": NUMBER,
    "x-ratelimit-remaining-requests": NUMBER,
    "x-ratelimit-remaining-tokens": NUMBER,
    "openai-processing-ms": NUMBER,
}
LIMITED = {
    "retry-after": NUMBER,
    "retry-after-ms": NUMBER,
    "x-ratelimit-limit-requests": NUMBER,
    "x-ratelimit-limit-tokens": NUMBER,
    "x-ratelimit-remaining-requests": NUMBER,
    "x-ratelimit-remaining-tokens": NUMBER,
}


@dataclass(frozen=True)
class Sent:
    """A request. ``auth`` is ``key``, ``identity`` (the header of App Service's endpoint), ``none``, the audience of a
    token, or ``expired`` (such a token for the control plane); other headers come on top.
    """

    method: str
    path: str
    document: object = None
    body: bytes = b""
    auth: str = "none"
    headers: Mapping[str, str] = field(default_factory=dict)


def chat(said: object = "Hello", deployment: str = BIG, *, auth: str = "key", **parameters: Any) -> Sent:
    """A chat completion on the dated surface."""
    version = parameters.pop("version", VERSION)
    messages = said if isinstance(said, list) else [{"role": "user", "content": said}]
    path = f"/openai/deployments/{deployment}/chat/completions?api-version={version}"
    return Sent("POST", path, {"messages": messages, **parameters}, auth=auth)


def embed(input: object, deployment: str = EMBEDDING, **parameters: Any) -> Sent:
    """Embeddings on the dated surface."""
    path = f"/openai/deployments/{deployment}/embeddings?api-version={VERSION}"
    return Sent("POST", path, {"input": input, **parameters}, auth="key")


def respond(given: object = "Hello", deployment: str = OMNI, **parameters: Any) -> Sent:
    """A response on the v1 surface."""
    return Sent("POST", "/openai/v1/responses", {"model": deployment, "input": given, **parameters}, auth="key")


def arm(method: str, path: str, document: object = None, *, version: str = "2025-09-01", **others: Any) -> Sent:
    """A request to the control plane; a path without a slash is one in the resource group."""
    path = path if path.startswith("/") else f"{GROUP_ID}/providers/{path}"
    mark = "&" if "?" in path else "?"
    return Sent(method, f"{path}{mark}api-version={version}" if version else path, document, auth=MANAGEMENT, **others)
