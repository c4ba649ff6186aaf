"""The last look at a query before it runs: duckdb's own reading of the SQL, in which only telemetry's views may stand.

The state file also holds resources with their keys. What is translated from KQL should never name them; this makes
sure, whatever the translation does: tables other than the views, table functions that read anything but the query
itself, and functions that look at the machine or the connection are refused.
"""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What translated queries unnest and count with; nothing else may stand where a table stands.
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
_FORBIDDEN_FUNCTIONS = frozenset(
    {"getvariable", "current_setting", "getenv", "query", "query_table", "nextval", "currval", "read_text", "read_blob"}
)


class ForbiddenSqlError(Exception):
    """SQL that would read something else than telemetry's views."""


def check(reader: "DuckDBPyConnection", sql: str, views: Collection[str]) -> None:
    """``ForbiddenSqlError`` unless ``sql`` is one SELECT over ``views`` and what it makes itself."""
    row = reader.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", [sql]).fetchone()
    read: dict[str, Any] = orjson.loads(row[0]) if row is not None else {}
    if read.get("error") or len(read.get("statements", ())) != 1:
        raise ForbiddenSqlError("It is not one SELECT statement.")
    own = {entry["key"] for node in _objects(read) for entry in _cte_entries(node)}
    if not all(name.startswith("_") for name in own):
        # The translator's own names do. Any other one could hide a table's name here and not where it is read.
        raise ForbiddenSqlError("It gives a part of itself the name of a table.")
    for node in _objects(read):
        _check_node(node, own | set(views))


def _check_node(node: dict[str, Any], tables: Collection[str]) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        path = [node.get("catalog_name"), node.get("schema_name")]
        if any(path) or node.get("table_name") not in tables:
            raise ForbiddenSqlError(f"It reads the table {node.get('table_name')!r}.")
    elif kind == "TABLE_FUNCTION":
        if node.get("function", {}).get("function_name", "").lower() not in _TABLE_FUNCTIONS:
            raise ForbiddenSqlError("It reads a table function.")
    elif kind == "FUNCTION":
        name = str(node.get("function_name", "")).lower()
        if name in _FORBIDDEN_FUNCTIONS or any(node.get(part) for part in ("catalog", "schema")):
            raise ForbiddenSqlError(f"It calls the function {name!r}.")
    elif kind in ("SHOW_REF", "COLUMN_DATA", "PIVOT", "DELIM_GET"):
        raise ForbiddenSqlError(f"It has a {kind}.")


def _cte_entries(node: dict[str, Any]) -> list[dict[str, Any]]:
    entries = node.get("cte_map", {}).get("map", []) if isinstance(node.get("cte_map"), dict) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
