"""Telemetry's tables in the database: rows go in by the batch, and the oldest go when there is no room.

Rows live in the schema ``telemetry``; queries see the views over it (see ``views``).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from threading import RLock
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from labkit.localazure.database import Database
from labkit.localazure.telemetry.columns import TABLES, Table
from labkit.localazure.telemetry.views import create_views

Row = dict[str, Any]


class _Kept:
    """What is known of a table without asking: how many rows there ever were, and the sizes of the last ones."""

    def __init__(self, count: int, sizes: Iterable[int]) -> None:
        self.count = count
        self.sizes = deque(sizes)
        self.bytes = sum(self.sizes)
        self.dropped = 0

    @property
    def oldest(self) -> int:
        """The number of the last row that is gone."""
        return self.count - len(self.sizes)

    def add(self, sizes: Sequence[int]) -> None:
        """Count rows of these sizes."""
        self.count += len(sizes)
        self.sizes.extend(sizes)
        self.bytes += sum(sizes)

    def trim(self, capacity: int, capacity_bytes: int) -> bool:
        """Forget the oldest rows until the others fit; True when there were any."""
        before = len(self.sizes)
        while len(self.sizes) > capacity or self.bytes > capacity_bytes:
            self.bytes -= self.sizes.popleft()
        self.dropped += before - len(self.sizes)
        return len(self.sizes) < before


class Tables:
    """Every table's last ``capacity`` rows, and no more than ``capacity_bytes`` of them, counted as JSON.

    A database in memory is opened by the first row that comes.
    """

    def __init__(self, database: Database, capacity: int, capacity_bytes: int) -> None:
        self._database = database
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._lock = RLock()
        self._kept: dict[str, _Kept] | None = None

    def add(self, batch: Mapping[str, Sequence[Row]]) -> None:
        """Keep the rows of ``batch`` by table, all or none. They are on disk, if there is a file, when this returns."""
        with self._lock:
            kept = self.open()
            written = {name: _numbered(TABLES[name], kept[name].count, rows) for name, rows in batch.items() if rows}
            with self._database.transaction():
                for name, rows in written.items():
                    self._database.execute(_INSERT[name], [f"[{','.join(row for row, _ in rows)}]"])
            for name, rows in written.items():
                kept[name].add([size for _, size in rows])
                self._trim(TABLES[name], kept[name])

    def count(self, table: str) -> int:
        """How many rows ``table`` has ever had; KeyError when there is no such table."""
        with self._lock:
            return self.open()[table].count if self._is_open else _none(TABLES[table])

    def rows_json(self, table: str, after: int) -> list[str]:
        """The rows of ``table`` after its first ``after`` as JSON, oldest first; KeyError for an unknown table."""
        select = _SELECT[table]
        with self._lock:
            if not self._is_open:
                return []
            self.open()
            return [row[0] for row in self._database.execute(select, [after])]

    def open(self) -> dict[str, _Kept]:
        """Make the tables and views if need be, and count what an earlier process left."""
        with self._lock:
            if self._kept is None:
                self._database.execute(_CREATE)
                self._kept = {table.name: self._counted(table) for table in TABLES.values()}
            return self._kept

    @property
    def _is_open(self) -> bool:
        return self._kept is not None or self._database.is_open

    def _counted(self, table: Table) -> _Kept:
        found = self._database.execute(f'SELECT _number, _bytes FROM telemetry."{table.name}" ORDER BY _number')
        return _Kept(found[-1][0] if found else 0, (size for _, size in found))

    def _trim(self, table: Table, kept: _Kept) -> None:
        if not kept.trim(self._capacity, self._capacity_bytes):
            return
        self._database.execute(f'DELETE FROM telemetry."{table.name}" WHERE _number <= ?', [kept.oldest])
        if kept.dropped >= self._capacity:
            # Deleted rows keep their room until then: without it memory grows with everything that ever arrived.
            kept.dropped = 0
            self._database.reclaim()


def _none(table: Table) -> int:
    return 0


def _numbered(table: Table, count: int, rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Each row as JSON with its number among all there ever were, and its size; the first one follows ``count``."""
    written = []
    for number, row in enumerate(rows, count + 1):
        item_id = str(uuid5(NAMESPACE_URL, f"{table.name}#{number}"))  # the same in every run
        json = orjson.dumps({**row, "itemId": item_id, "itemType": table.item_type})
        written.append((f'{{"_number":{number},"_bytes":{len(json)},{json[1:].decode()}', len(json)))
    return written


def _create(table: Table) -> tuple[str, ...]:
    columns = "".join(f', "{column.name}" {column.duckdb_type}' for column in table.columns)
    create = f'CREATE TABLE IF NOT EXISTS telemetry."{table.name}" (_number BIGINT, _bytes INTEGER{columns})'
    return create, *create_views(table)


def _insert(table: Table) -> str:
    """One statement for any number of rows: duckdb reads them out of one JSON text (10,000 in a tenth of a second)."""
    types = {column.name: column.duckdb_type for column in table.columns}
    structure = orjson.dumps([{"_number": "BIGINT", "_bytes": "INTEGER", **types}]).decode()
    return f"INSERT INTO telemetry.\"{table.name}\" SELECT unnest(from_json(?, '{structure}'), max_depth := 2)"


def _select(table: Table) -> str:
    """The rows as JSON, under Application Insights' names; times as they came, in UTC."""
    values = ", ".join(
        f"'{column.name}', strftime(\"{column.name}\", '%Y-%m-%dT%H:%M:%S.%fZ')"
        if column.type == "datetime"
        else f"'{column.name}', \"{column.name}\""
        for column in table.columns
    )
    return f'SELECT json_object({values}) FROM telemetry."{table.name}" WHERE _number > ? ORDER BY _number'


_CREATE = ";".join(
    (
        "BEGIN; CREATE SCHEMA IF NOT EXISTS telemetry",
        *(part for table in TABLES.values() for part in _create(table)),
        "COMMIT",
    )
)
_INSERT = {table.name: _insert(table) for table in TABLES.values()}
_SELECT = {table.name: _select(table) for table in TABLES.values()}
