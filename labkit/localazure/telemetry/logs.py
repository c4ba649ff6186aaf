"""The query face: what ``api.loganalytics.io`` and ``api.applicationinsights.io`` answer under ``/v1``."""

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from labkit.localazure.errors import AzureError
from labkit.localazure.identity import InvalidToken
from labkit.localazure.telemetry import scopes
from labkit.localazure.telemetry.kqlerrors import QueryError, QueryLimitError
from labkit.localazure.telemetry.logsreply import Preferences, bad_argument, refused, result
from labkit.localazure.telemetry.scopes import Asked
from labkit.localazure.timespan import interval_s
from labkit.localazure.wire import Reply, Request, json_reply, parse_object

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_BODY_LIMIT = 256 * 1024
_MAX_BATCH = 100
_AUDIENCES = ("https://api.loganalytics.io", "https://api.loganalytics.azure.com", "https://api.applicationinsights.io")


def is_query(path: str) -> bool:
    """True for the paths of this face: under ``/v1`` clients of OpenAI look for theirs as well."""
    return path.rstrip("/").lower().endswith(("/query", "/$batch"))


async def answer(azure: "Azure", request: Request) -> Reply:
    """The answer to a request for ``/v1/…``: a query on a workspace, an application or a resource, or a batch."""
    parts = [part for part in request.path.split("/") if part][1:]
    request.operation = "query"
    _authorize(azure, request)
    if parts == ["$batch"]:
        request.operation = "query.batch"
        return await _batch(azure, request)
    asked = _asked(azure, parts)
    body = await _body(request)
    status, document = await asyncio.to_thread(_answered, azure, asked, body, request.text(b"prefer"))
    return json_reply(document, status)


def error_body(error: AzureError) -> bytes:
    """A refusal in the query APIs' shape: an inner error besides code and message."""
    return orjson.dumps({"error": {"message": error.message, "code": error.code, **(error.extra or {})}})


def _authorize(azure: "Azure", request: Request) -> None:
    """``AzureError`` 401 without a token, 403 with a bad one.

    403: Microsoft Learn, azure-monitor/logs/api/batch-queries ("Example errors"), read 2026-11-25; the words of 401 are
    ours.
    """
    if not request.headers.get(b"authorization"):
        message = f"Valid authentication was not provided. Send a bearer token for {_AUDIENCES[0]}."
        raise AzureError(401, "AuthorizationRequiredError", message, headers=((b"www-authenticate", b"Bearer"),))
    try:
        azure.identity.bearer_for(request, _AUDIENCES)
    except InvalidToken:
        raise AzureError(
            403,
            "InvalidTokenError",
            "The provided authentication is not valid for this resource",
            extra={"innererror": {"code": "SignatureVerificationFailed", "message": "Could not validate the request"}},
        ) from None


def _asked(azure: "Azure", parts: list[str]) -> Asked:
    """The scope that a path asks; ``AzureError`` 404 for another path, 400 for a scope that is not there.

    PathNotFoundError and FailedToResolveResource: azure-monitor/logs/api/batch-queries, read 2026-11-25.
    """
    if len(parts) < 2 or parts[-1].lower() != "query":
        raise _no_path()
    kind, inner = parts[0].lower(), parts[:-1]
    if kind == "workspaces" and len(parts) == 3:
        found = scopes.workspace(azure, parts[1])
    elif kind == "apps" and len(parts) == 3:
        found = scopes.application(azure, parts[1])
    elif kind == "subscriptions":
        found = scopes.resource(azure, "/" + "/".join(inner))
    else:
        raise _no_path()
    if found is None:
        raise AzureError(400, "FailedToResolveResource", "Resource identity could not be resolved")
    return found


def _no_path() -> AzureError:
    return AzureError(404, "PathNotFoundError", "The requested path does not exist")


async def _body(request: Request) -> dict[str, Any]:
    """The query with its options: a JSON object, or the parameters of a GET."""
    if request.method == "GET":
        return dict(request.query)
    if request.method != "POST":
        raise _no_path()
    return parse_object(await request.body(_BODY_LIMIT), bad_argument("InvalidJsonBody", "A JSON object was expected."))


# -- one query --------------------------------------------------------------------------------------------------


def _answered(azure: "Azure", asked: Asked, body: dict[str, Any], prefer: str) -> tuple[int, dict[str, Any]]:
    """Status and document for one query; its mistakes are answers, too, so that a batch goes on."""
    try:
        return 200, _run(azure, asked, body, Preferences.read(prefer))
    except AzureError as error:
        document: dict[str, Any] = orjson.loads(error_body(error))
        return error.status, document


def _run(azure: "Azure", asked: Asked, body: dict[str, Any], preferences: Preferences) -> dict[str, Any]:
    kql = body.get("query")
    if not isinstance(kql, str):
        raise bad_argument("QueryValidationError", "'query' is required, and is a string.")
    start_s, end_s = _span(body.get("timespan"), azure.clock.now())
    asked = _with_others(azure, asked, body.get("workspaces"))
    try:
        found = azure.telemetry.query(
            kql,
            component=asked.components,
            start_s=start_s,
            end_s=end_s,
            workspace=asked.workspace,
            limit_s=preferences.wait_s,
        )
    except (QueryError, QueryLimitError) as failure:
        raise refused(failure) from None
    return result(found, preferences)


def _span(given: object, now_s: float) -> tuple[float | None, float | None]:
    if given is None or given == "":
        return None, None
    try:
        if not isinstance(given, str):
            raise ValueError("'timespan' is a string.")
        return interval_s(given, now_s)
    except ValueError as reason:
        raise bad_argument("InvalidTimespan", str(reason)) from None


def _with_others(azure: "Azure", asked: Asked, given: object) -> Asked:
    """The scope with the workspaces that a query adds to it."""
    if not given:
        return asked
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given) or len(given) > _MAX_BATCH:
        raise bad_argument("QueryValidationError", "'workspaces' is a list of workspaces.")
    found = [scopes.workspace(azure, name) for name in given]
    if None in found:
        raise AzureError(400, "FailedToResolveResource", "Resource identity could not be resolved")
    others = [id for other in found if other is not None for id in other.components]
    return Asked(tuple(dict.fromkeys((*asked.components, *others))), asked.workspace)


# -- batches ----------------------------------------------------------------------------------------------------


async def _batch(azure: "Azure", request: Request) -> Reply:
    body = await _body(request)
    given = body.get("requests")
    if request.method != "POST" or not isinstance(given, list) or len(given) > _MAX_BATCH:
        raise bad_argument("QueryValidationError", f"'requests' is a list of at most {_MAX_BATCH} queries.")
    ids = [one.get("id") if isinstance(one, dict) else None for one in given]
    if not all(isinstance(id, str) for id in ids) or len(set(ids)) < len(ids):
        raise bad_argument("QueryValidationError", "Every request of a batch has an 'id' of its own.")
    return json_reply({"responses": [await asyncio.to_thread(_batched, azure, one) for one in given]})


def _batched(azure: "Azure", one: dict[str, Any]) -> dict[str, Any]:
    """The response to one request of a batch."""
    headers = one.get("headers") if isinstance(one.get("headers"), dict) else {}
    prefer = next((str(value) for name, value in (headers or {}).items() if str(name).lower() == "prefer"), "")
    try:
        if str(one.get("method")).upper() != "POST" or one.get("path") != "/query":
            raise _no_path()
        asked = _asked(azure, ["workspaces", str(one.get("workspace")), "query"])
        body = one.get("body")
        status, document = _answered(azure, asked, body if isinstance(body, dict) else {}, prefer)
    except AzureError as error:
        status, document = error.status, orjson.loads(error_body(error))
    return {"id": one["id"], "status": status, "body": document}
