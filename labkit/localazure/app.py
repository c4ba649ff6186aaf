"""The local Azure as one ASGI application: sends each request to its face, and each answer to the client."""

import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from labkit.localazure import identity
from labkit.localazure.admin import face as admin
from labkit.localazure.console import face as console
from labkit.localazure.errors import AzureError, internal, no_such_path
from labkit.localazure.hangup import hang_up
from labkit.localazure.inference import face as inference
from labkit.localazure.journal import Entry, Face
from labkit.localazure.management import arm, cloud
from labkit.localazure.metrics import face as metrics
from labkit.localazure.state import Azure
from labkit.localazure.telemetry import ingestion as telemetry
from labkit.localazure.telemetry import logs
from labkit.localazure.wire import JSON, ClientGone, Dropped, Receive, Reply, Request, Scope, Send, StreamReply

Answer = Callable[[Azure, Request], Awaitable[Reply | StreamReply]]


@dataclass(frozen=True, slots=True)
class _Face:
    """How a face answers and words its errors. ``journal`` is None when it keeps no journal, or keeps it itself."""

    answer: Answer
    error_body: Callable[[AzureError], bytes]
    journal: Face | None


async def _identity(azure: Azure, request: Request) -> Reply:
    return await identity.answer(azure.identity, request)


async def _nowhere(azure: Azure, request: Request) -> Reply:
    raise no_such_path()


_INFERENCE = _Face(inference.answer, AzureError.openai_body, None)
_MANAGEMENT = _Face(arm.answer, AzureError.arm_body, "management")
_IDENTITY = _Face(_identity, identity.error_body, "identity")
_TELEMETRY = _Face(telemetry.answer, telemetry.error_body, "telemetry")
_LOGS = _Face(logs.answer, logs.error_body, "telemetry")
_METRICS = _Face(metrics.batch, AzureError.arm_body, "management")
_ADMIN = _Face(admin.answer, AzureError.arm_body, None)
_CONSOLE = _Face(console.answer, AzureError.openai_body, None)
_NOWHERE = _Face(_nowhere, AzureError.openai_body, None)

_BY_FIRST_PART = {
    "openai": _INFERENCE,
    "subscriptions": _MANAGEMENT,
    "providers": _MANAGEMENT,
    "tenants": _MANAGEMENT,
    "msi": _IDENTITY,
    "metadata": _IDENTITY,
    "v1": _LOGS,
    "v2": _TELEMETRY,
    "v2.1": _TELEMETRY,
    "quickpulseservice.svc": _TELEMETRY,
    "labkit": _ADMIN,
    "console": _CONSOLE,
    "": _CONSOLE,
}
_IDENTITY_PATHS = ("/msi/token", "/metadata/identity/oauth2/token")


class App:
    """The ASGI application over one ``Azure``."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Never raises: what goes wrong becomes an answer or a closed connection."""
        if scope["type"] != "http":
            raise RuntimeError(f"The local Azure speaks http only, not {scope['type']}.")
        await self.deliver(self.reply(Request(scope, receive)), receive, send)

    async def deliver(self, coming: Awaitable[Reply | StreamReply], receive: Receive, send: Send) -> None:
        """Send what is ``coming`` from ``reply``, or cut the connection when that is what it comes to."""
        try:
            reply = await coming
            if isinstance(reply, Reply):
                await send_reply(send, reply)
            else:
                await _stream(send, reply)
        except Dropped as dropped:
            await _cut(send, receive, dropped)
        except ClientGone:
            return

    async def reply(self, request: Request) -> Reply | StreamReply:
        """The answer to ``request``, an error in the words of its face included; ``Dropped`` when there is none."""
        face = _INFERENCE if request.path.startswith("/openai/") else _face(request.path)
        started = time.perf_counter()
        error: AzureError | None = None
        try:
            reply = await face.answer(self._azure, request)
        except AzureError as refused:
            error = refused
            reply = Reply(error.status, face.error_body(error), (JSON, *error.headers))
        except (Dropped, ClientGone):
            raise
        except Exception:
            _log_failure(request)
            error = internal()
            reply = Reply(error.status, face.error_body(error))
        if face.journal is not None:
            entry = self._azure.journal.add(self._entry(face.journal, request, reply.status, error, started))
            reply.headers = (*reply.headers, (b"x-ms-request-id", _request_id(entry)))
        return reply

    def _entry(self, face: Face, request: Request, status: int, error: AzureError | None, started: float) -> Entry:
        return Entry(
            at_s=self._azure.clock.now(),
            face=face,
            method=request.method,
            path=request.path[:500],
            operation=request.operation,
            status=status,
            error_code=error.code if error is not None else None,
            auth=request.auth,
            deployment=request.deployment and request.deployment[:100],
            model=request.model,
            duration_ms=(time.perf_counter() - started) * 1_000,
            client_request_id=request.text(b"x-ms-client-request-id")[:100] or None,
            user_agent=request.text(b"user-agent")[:200],
        )


def _request_id(entry: Entry) -> bytes:
    """A unique id for the answer, the same in every run (azure-resource-manager-rpc v1.0, common-api-details)."""
    return str(uuid5(NAMESPACE_URL, f"request#{entry.id}")).encode()


def _face(path: str) -> _Face:
    """The face that ``path`` belongs to; the inference face also answers behind any prefix."""
    first = path.lstrip("/").partition("/")[0].lower()
    face = _BY_FIRST_PART.get(first)
    if face is _IDENTITY and path.rstrip("/").lower() not in _IDENTITY_PATHS:
        face = _MANAGEMENT if path.rstrip("/").lower() == cloud.PATH else None
    if face is _MANAGEMENT and metrics.is_batch(path):
        return _METRICS
    if face is _LOGS and not logs.is_query(path):
        face = None
    if face is None and "/openai/" in path.lower():
        return _INFERENCE
    return face or _NOWHERE


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a whole answer."""
    headers = list(reply.headers)
    if reply.status != 204:  # RFC 9110, section 8.6: no content, no content length
        headers.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _stream(send: Send, reply: StreamReply) -> None:
    """Send the pieces as they come; stop, and close the iterator, when the client has hung up."""
    chunks = reply.chunks
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
        async for chunk in chunks:
            if _gone(send):
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except Dropped:
        raise
    except Exception:
        # The status line is out, so there is no answer left to give but to cut the stream.
        traceback.print_exc(file=sys.stderr)
        raise Dropped from None
    finally:
        await chunks.aclose()


def _cycle(send: Send) -> Any:
    """Uvicorn's request, whose bound method ``send`` is; None under another server (an ASGI test client)."""
    return getattr(send, "__self__", None)


def _gone(send: Send) -> bool:
    """True when the client has hung up: uvicorn then drops what is sent without a word."""
    return getattr(_cycle(send), "disconnected", False) is True


async def _cut(send: Send, receive: Receive, dropped: Dropped) -> None:
    """Close or reset the connection under the client, without an answer or in the middle of one.

    ASGI has no message for that, so this reaches for uvicorn's transport. Waiting for the disconnect keeps uvicorn
    from answering 500 for an application that returned without a response.
    """
    transport = getattr(_cycle(send), "transport", None)
    if transport is None:
        raise RuntimeError("A connection can only be cut under uvicorn.")
    hang_up(transport, dropped)
    while (await receive())["type"] != "http.disconnect":
        pass


def _log_failure(request: Request) -> None:
    """Say on stderr what broke. Method and path only: headers hold keys."""
    print(f"labkit local Azure: {request.method} {request.path} failed", file=sys.stderr)
    traceback.print_exc(file=sys.stderr)
