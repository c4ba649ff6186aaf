"""``/labkit/telemetry``: the telemetry that has arrived, table by table."""

from labkit.localazure.admin.asked import Asked
from labkit.localazure.errors import AzureError
from labkit.localazure.state import Azure
from labkit.localazure.telemetry.columns import TABLES
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
