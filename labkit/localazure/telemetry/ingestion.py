"""Application Insights' ingestion endpoints: take what telemetry exporters send."""

import asyncio
import zlib
from typing import TYPE_CHECKING, Any

import orjson

from labkit.localazure.errors import AzureError, no_such_path, too_large
from labkit.localazure.telemetry.store import Telemetry
from labkit.localazure.wire import MIB, Reply, Request, json_reply

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_BODY_LIMIT = 16 * MIB
# Far more than exporters send at once; a small body could otherwise hold millions of empty items.
_MAX_ITEMS = 10_000


async def answer(azure: "Azure", request: Request) -> Reply:
    """The ingestion endpoints: ``track`` takes telemetry, the live-metrics ``ping`` is told that nobody watches."""
    path = request.path.lower()
    if path.endswith("/ping"):
        request.operation = "livemetrics.ping"
        return json_reply({}, headers=((b"x-ms-qps-subscribed", b"false"),))
    if not path.endswith("/track"):
        raise no_such_path()
    request.operation = "track"
    if request.method != "POST":
        raise AzureError(405, "405", f"Method {request.method} is not allowed; use POST.")
    body = await request.body(_BODY_LIMIT)
    if b"gzip" in request.headers.get(b"content-encoding", b"").lower():
        body = _unzip(body)
    # Reading and storing a large batch takes a while, and the first one loads duckdb: other requests go on meanwhile.
    return await asyncio.to_thread(_track, azure.telemetry, body)


def _track(telemetry: Telemetry, body: bytes) -> Reply:
    items = _items(body)
    refused = telemetry.add_all(items)
    errors = [{"index": index, "statusCode": 400, "message": str(reason)} for index, reason in refused.items()]
    accepted = len(items) - len(errors)
    # All refused is 400, some refused 206: dmolokanov/appinsights-rs#221 (2021-10) and FACTS of the exporters.
    status = 200 if not errors else 206 if accepted else 400
    return json_reply({"itemsReceived": len(items), "itemsAccepted": accepted, "errors": errors}, status)


def _items(body: bytes) -> list[Any]:
    """The items in a JSON array, or in one JSON document a line (``application/x-json-stream``)."""
    try:
        if body.lstrip()[:1] == b"[":
            items: list[Any] = orjson.loads(body)
        else:
            _check_count(body.count(b"\n"))
            items = [orjson.loads(line) for line in body.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        raise AzureError(400, "400", "Invalid JSON: send an array of items, or one item a line.") from None
    _check_count(len(items))
    return items


def _check_count(count: int) -> None:
    if count > _MAX_ITEMS:
        raise AzureError(
            413, "RequestContentTooLarge", f"{count} items are too many at once; send at most {_MAX_ITEMS}."
        )


def _unzip(body: bytes) -> bytes:
    """The unzipped body; 413 when it would be too large, so that a small body cannot fill the memory."""
    unzipper = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        data = unzipper.decompress(body, _BODY_LIMIT)
    except zlib.error:
        raise AzureError(400, "400", "The body says gzip and is not.") from None
    if not unzipper.eof:
        raise (
            too_large(_BODY_LIMIT) if len(data) >= _BODY_LIMIT else AzureError(400, "400", "The gzip body is cut off.")
        )
    return data


def error_body(error: AzureError) -> bytes:
    """A refusal of the whole request in the ingestion's shape."""
    problem = {"index": 0, "statusCode": error.status, "message": error.message}
    return orjson.dumps({"itemsReceived": 0, "itemsAccepted": 0, "errors": [problem]})
