"""Application Insights' ingestion: takes what telemetry exporters send and keeps it in tables."""

import zlib
from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from labkit.localazure.errors import AzureError, no_such_path, too_large
from labkit.localazure.telemetry.envelopes import TABLES, BadEnvelope, Row, rows
from labkit.localazure.wire import MIB, Reply, Request, json_reply

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_BODY_LIMIT = 16 * MIB
_ROWS_PER_TABLE = 20_000
_BYTES_PER_TABLE = 32 * MIB


class _Table:
    """The last rows of one table, kept as JSON: smaller than Python objects, and its size is known."""

    def __init__(self, capacity: int, capacity_bytes: int) -> None:
        self.count = 0
        self._rows: deque[bytes] = deque()
        self._bytes = 0
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes

    def add(self, row: Row) -> None:
        """Keep ``row``, and let the oldest rows go when there is no room."""
        written = orjson.dumps(row)
        self._rows.append(written)
        self._bytes += len(written)
        self.count += 1
        while len(self._rows) > self._capacity or self._bytes > self._capacity_bytes:
            self._bytes -= len(self._rows.popleft())

    def after(self, number: int) -> list[bytes]:
        """The rows after the first ``number`` there ever were, oldest first."""
        kept = list(self._rows)
        return kept[max(0, number - (self.count - len(kept))) :]


class Telemetry:
    """The tables of every Application Insights component, and the instrumentation keys that may write to them.

    Each table keeps its last ``capacity`` rows, and no more than ``capacity_bytes`` of them.
    """

    def __init__(self, capacity: int = _ROWS_PER_TABLE, capacity_bytes: int = _BYTES_PER_TABLE) -> None:
        self._components: dict[str, dict[str, str]] = {}
        self._tables = {table: _Table(capacity, capacity_bytes) for table in TABLES}

    def allow(self, instrumentation_key: str, app_id: str, app_name: str) -> None:
        """Accept telemetry that carries ``instrumentation_key``, for the component ``app_name``."""
        self._components[instrumentation_key.lower()] = {"appId": app_id, "appName": app_name}

    def refuse(self, instrumentation_key: str) -> None:
        """Accept no more telemetry with ``instrumentation_key``; what came before stays."""
        self._components.pop(instrumentation_key.lower(), None)

    def add(self, envelope: object) -> None:
        """Store the rows in ``envelope``; ``BadEnvelope`` says why it is refused."""
        key = envelope.get("iKey") if isinstance(envelope, dict) else None
        component = self._components.get(key.lower()) if isinstance(key, str) else None
        if component is None:
            # dmolokanov/appinsights-rs#221 (2021-10).
            raise BadEnvelope("Invalid instrumentation key")
        for name, row in rows(envelope):
            table = self._tables[name]
            item = uuid5(NAMESPACE_URL, f"{name}#{table.count + 1}")
            table.add({**row, **component, "iKey": key, "itemId": str(item)})

    def rows(self, table: str, *, after: int = 0) -> list[Row]:
        """The rows of ``table`` after its first ``after`` ones, oldest first; KeyError when there is no such table."""
        return [orjson.loads(row) for row in self._tables[table].after(after)]

    def rows_json(self, table: str, *, after: int = 0) -> bytes:
        """The same rows as a JSON array."""
        return b"[" + b",".join(self._tables[table].after(after)) + b"]"

    def count(self, table: str) -> int:
        """How many rows ``table`` has ever had; pass it as ``after`` to get only what is new."""
        return self._tables[table].count


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
    if b"gzip" in request.headers.get(b"content-encoding", b""):
        body = _unzip(body)
    return _track(azure.telemetry, _items(body))


def _track(telemetry: Telemetry, items: list[Any]) -> Reply:
    errors = []
    for index, item in enumerate(items):
        try:
            telemetry.add(item)
        except BadEnvelope as reason:
            errors.append({"index": index, "statusCode": 400, "message": str(reason)})
    accepted = len(items) - len(errors)
    # All refused is 400, some refused 206: dmolokanov/appinsights-rs#221 (2021-10) and FACTS of the exporters.
    status = 200 if not errors else 206 if accepted else 400
    return json_reply({"itemsReceived": len(items), "itemsAccepted": accepted, "errors": errors}, status)


def _items(body: bytes) -> list[Any]:
    """The items in a JSON array, or in one JSON document a line (``application/x-json-stream``)."""
    try:
        if body.lstrip()[:1] == b"[":
            items: list[Any] = orjson.loads(body)
            return items
        return [orjson.loads(line) for line in body.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        raise AzureError(400, "400", "Invalid JSON: send an array of items, or one item a line.") from None


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
