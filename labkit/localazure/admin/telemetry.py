"""``/labkit/telemetry`` and ``/labkit/query``: the telemetry that has arrived, table by table and through KQL."""

import asyncio

from labkit.localazure.admin.asked import Asked, bad, only
from labkit.localazure.errors import AzureError
from labkit.localazure.state import Azure
from labkit.localazure.telemetry.columns import TABLES
from labkit.localazure.telemetry.kqlerrors import QueryError, QueryLimitError
from labkit.localazure.timespan import interval_s
from labkit.localazure.wire import Reply, json_reply


async def tables(azure: Azure, asked: Asked) -> Reply:
    """How many rows each table has."""
    return json_reply({"tables": {name: azure.telemetry.count(name) for name in TABLES}})


async def rows(azure: Azure, asked: Asked) -> Reply:
    """The rows of one table, the first ``after`` left out."""
    if asked.name not in TABLES:
        known = ", ".join(TABLES)
        raise AzureError(404, "NotFound", f"There is no telemetry table {asked.name[:100]!r}. There are: {known}.")
    found = azure.telemetry.rows_json(asked.name, after=asked.whole("after", 0))
    return Reply(200, b'{"rows":%b,"last":%d}' % (found, azure.telemetry.count(asked.name)))


async def query(azure: Azure, asked: Asked) -> Reply:
    """The columns and rows that ``kql`` gives over every component's telemetry, within ``timespan`` if there is one.

    ``timespan`` is a duration up to now, or an interval: ``PT1H``, ``2026-11-25T12:00:00Z/PT5M``. A mistake is a 400
    with its place in the query.
    """
    given = only(await asked.document("A query"), ("kql", "timespan"), "A query")
    kql, timespan = given.get("kql"), given.get("timespan")
    if not isinstance(kql, str) or not isinstance(timespan, str | None):
        raise bad("kql is the text of a query, and timespan an ISO 8601 duration or interval, or left out.")
    try:
        start_s, end_s = interval_s(timespan, azure.clock.now()) if timespan else (None, None)
        found = await asyncio.to_thread(azure.telemetry.query, kql, start_s=start_s, end_s=end_s)
    except (ValueError, QueryLimitError) as reason:
        raise bad(str(reason)) from None
    except QueryError as failure:
        return json_reply({"error": {"code": failure.kind, "message": failure.message, **_place(failure)}}, 400)
    columns = [{"name": name, "type": type} for name, type in found.columns]
    render = found.visualization or None
    return json_reply({"columns": columns, "rows": found.rows, "is_partial": found.is_partial, "render": render})


def _place(failure: QueryError) -> dict[str, object]:
    place = failure.place
    return {} if place is None else {"line": place.line, "position": place.position, "token": place.token}
