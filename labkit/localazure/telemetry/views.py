"""What a query sees of telemetry's tables: one view under Application Insights' name, one under Log Analytics'.

A view shows some components' rows from one time to another. Which, it reads from variables of the connection that
asks, so that nothing in a query's text can widen it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labkit.localazure.telemetry.columns import Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SHOWN = (
    "(getvariable('shown_of') IS NULL OR list_contains(getvariable('shown_of'), lower(\"_ResourceId\"))) "
    "AND \"timestamp\" BETWEEN getvariable('shown_from') AND getvariable('shown_until')"
)


def create_views(table: Table) -> tuple[str, str]:
    """The statements that make both views of ``table``."""
    classic = ", ".join(f'"{column.name}"' for column in table.columns)
    renamed = [f'"{column.name}" AS "{column.workspace_name}"' for column in table.columns if column.workspace_name]
    workspace = ", ".join((*renamed, f"'{table.workspace_name}' AS \"Type\""))
    return _view(table.name, classic, table), _view(table.workspace_name, workspace, table)


def _view(name: str, columns: str, table: Table) -> str:
    return f'CREATE OR REPLACE VIEW main."{name}" AS SELECT {columns} FROM telemetry."{table.name}" WHERE {_SHOWN}'


def columns_of(table: Table, *, workspace: bool) -> list[str]:
    """The names of a view's columns, in order."""
    if not workspace:
        return [column.name for column in table.columns]
    return [column.workspace_name for column in table.columns if column.workspace_name] + ["Type"]


def show(reader: "DuckDBPyConnection", components: Sequence[str] | None, start_s: float, end_s: float) -> None:
    """Let the views of ``reader`` show rows of ``components`` (resource ids; None: all) in that time, ends included."""
    wanted = None if components is None else [id.lower() for id in components]
    reader.execute("SET VARIABLE shown_of = CAST(? AS VARCHAR[])", [wanted])
    reader.execute("SET VARIABLE shown_from = CAST(? AS TIMESTAMP)", [_moment(start_s)])
    reader.execute("SET VARIABLE shown_until = CAST(? AS TIMESTAMP)", [_moment(end_s)])


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
