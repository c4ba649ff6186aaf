"""The addresses of the inference face: ``/openai/deployments/{name}/…?api-version=`` and ``/openai/v1/…``.

Responses have no deployment in their address on either surface (openai/openai-python#2184, 2025-03).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from labkit.localazure.errors import no_such_path
from labkit.localazure.wire import Request

CHAT = "chat.completions"
EMBEDDINGS = "embeddings"
MODELS = "models.list"
MODEL = "models.get"
RESPONSES = "responses"
RESPONSE = "responses.get"
RESPONSE_DELETE = "responses.delete"
RESPONSE_INPUT = "responses.input_items"
# Known to the service, but not to any simulated model.
COMPLETIONS = "completions"

_DEPLOYED = {"chat/completions": CHAT, "embeddings": EMBEDDINGS, "completions": COMPLETIONS}
# What else the service has: named in a refusal rather than said not to exist.
_ELSEWHERE = frozenset(
    ("assistants", "audio", "batches", "containers", "evals", "extensions", "files", "fine_tuning", "images")
    + ("realtime", "threads", "uploads", "vector_stores", "videos")
)
_DATED = re.compile(r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-preview)?")
_FIRST_VERSION = "2022-12-01"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: ``prefix`` stands before ``/openai/``, ``name`` is that of a deployment.

    It is a model's in ``MODEL``, and the id of a stored response in ``RESPONSE`` and its like. Where the deployment is
    named in the body, on the ``v1`` surface and for ``RESPONSES``, ``name`` is None. ``simulated`` is false for what
    only the real service does; ``operation`` is then the first part of the address.
    """

    prefix: str
    v1: bool
    operation: str
    name: str | None = None
    simulated: bool = True


def find(request: Request) -> Route:
    """The route of ``request``; ``AzureError`` 404 for a path or a method that leads nowhere."""
    route = _parse(request.method, request.path)
    if route is None:
        raise no_such_path()
    return route


def api_version(request: Request, route: Route) -> str:
    """The API version asked for, ``v1`` on that surface; ``AzureError`` 404 when a dated address has none.

    MicrosoftDocs/azure-docs#114602 (2023-09).
    """
    if route.v1:
        return "v1"
    version = request.query.get("api-version", "")
    if not _is_version(version):
        raise no_such_path()
    return version


@lru_cache(maxsize=64)
def _is_version(version: str) -> bool:
    return version >= _FIRST_VERSION and _DATED.fullmatch(version) is not None


@lru_cache(maxsize=256)
def _parse(method: str, path: str) -> Route | None:
    start = path.lower().find("/openai/")
    if start < 0:
        return None
    prefix, rest = path[:start], path[start + len("/openai/") :].lstrip("/")
    return _route(method, prefix, rest) or _elsewhere(prefix, rest)


def _elsewhere(prefix: str, rest: str) -> Route | None:
    """The route to something that the service knows and the local Azure does not do, by any method."""
    parts = rest.split("/")
    v1 = parts[0] == "v1"
    depth = 1 if v1 else 2 if parts[0] == "deployments" else 0
    named = parts[depth] if len(parts) > depth else ""
    return Route(prefix, v1, named, simulated=False) if named in _ELSEWHERE else None


def _route(method: str, prefix: str, rest: str) -> Route | None:
    first, _, after = rest.partition("/")
    if first == "v1":
        return _unnamed(method, prefix, after, v1=True)
    if first != "deployments":
        return _unnamed(method, prefix, rest, v1=False)
    name, _, operation = after.partition("/")
    known = _DEPLOYED.get(operation) if method == "POST" else None
    return Route(prefix, False, known, name) if name and known else None


def _unnamed(method: str, prefix: str, rest: str, *, v1: bool) -> Route | None:
    if method == "POST":
        operation = RESPONSES if rest == "responses" else _DEPLOYED.get(rest) if v1 else None
        return Route(prefix, v1, operation) if operation else None
    collection, _, name = rest.partition("/")
    if collection == "models" and method == "GET":
        return Route(prefix, v1, MODEL, name) if name else Route(prefix, v1, MODELS)
    if collection == "responses" and name:
        return _stored(method, prefix, name, v1=v1)
    return None


def _stored(method: str, prefix: str, rest: str, *, v1: bool) -> Route | None:
    """The route to a stored response, or to a part of it."""
    id, _, part = rest.partition("/")
    operation = {
        ("GET", ""): RESPONSE,
        ("DELETE", ""): RESPONSE_DELETE,
        ("GET", "input_items"): RESPONSE_INPUT,
    }.get((method, part))
    return Route(prefix, v1, operation, id) if operation else None
