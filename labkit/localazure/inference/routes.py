"""The addresses of the inference face: ``/openai/deployments/{name}/…?api-version=`` and ``/openai/v1/…``."""

import re
from dataclasses import dataclass
from functools import lru_cache

from labkit.localazure.errors import no_such_path
from labkit.localazure.wire import Request

CHAT = "chat.completions"
EMBEDDINGS = "embeddings"
MODELS = "models.list"
MODEL = "models.get"
# Known to the service, but not to any simulated model.
COMPLETIONS = "completions"
RESPONSES = "responses"

_OPERATIONS = {"chat/completions": CHAT, "embeddings": EMBEDDINGS, "completions": COMPLETIONS, "responses": RESPONSES}
_DATED = re.compile(r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-preview)?")
_FIRST_VERSION = "2022-12-01"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: ``prefix`` stands before ``/openai/``, ``name`` is a deployment's (a model's in ``MODEL``).

    On the ``v1`` surface the deployment is named in the body, and ``name`` is None.
    """

    prefix: str
    v1: bool
    operation: str
    name: str | None = None


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
    route = _route(path[:start], path[start + len("/openai/") :].lstrip("/"))
    if route is None:
        return None
    return route if method == ("GET" if route.operation in (MODELS, MODEL) else "POST") else None


def _route(prefix: str, rest: str) -> Route | None:
    first, _, after = rest.partition("/")
    if first == "v1":
        return _unnamed(prefix, after, v1=True)
    if first != "deployments":
        return _unnamed(prefix, rest, v1=False)
    name, _, operation = after.partition("/")
    known = _OPERATIONS.get(operation)
    return Route(prefix, False, known, name) if name and known else None


def _unnamed(prefix: str, rest: str, *, v1: bool) -> Route | None:
    if rest == "models":
        return Route(prefix, v1, MODELS)
    if rest.startswith("models/"):
        return Route(prefix, v1, MODEL, rest.removeprefix("models/"))
    operation = _OPERATIONS.get(rest)
    # On dated addresses only responses name their model in the body.
    return Route(prefix, v1, operation) if operation and (v1 or operation == RESPONSES) else None
