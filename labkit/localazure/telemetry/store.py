"""Telemetry as the other parts of the local Azure see it: who may send it, what arrived, and queries over it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from labkit.localazure.clock import Clock
from labkit.localazure.database import Database
from labkit.localazure.telemetry.columns import TABLES
from labkit.localazure.telemetry.envelopes import BadEnvelope, rows
from labkit.localazure.telemetry.queries import TIME_LIMIT_S, QueryResult, Scope, run
from labkit.localazure.telemetry.tables import Row, Tables
from labkit.localazure.telemetry.views import columns_of
from labkit.localazure.wire import MIB

_CLASSIC = {table.name: columns_of(table, workspace=False) for table in TABLES.values()}
_WORKSPACE = {table.workspace_name: columns_of(table, workspace=True) for table in TABLES.values()}
# The last moment that Python and duckdb both know.
_NEVER_S = 253_402_300_799.0
_ROWS_PER_TABLE = 20_000
_BYTES_PER_TABLE = 32 * MIB


@dataclass(frozen=True, slots=True)
class Component:
    """An Application Insights component that telemetry may be sent to."""

    instrumentation_key: str
    app_id: str
    name: str
    resource_id: str

    def columns(self) -> Row:
        """What each of its rows says about it."""
        return {
            "appId": self.app_id,
            "appName": self.name,
            "iKey": self.instrumentation_key,
            "_ResourceId": self.resource_id.lower(),
        }


class Telemetry:
    """The tables of every Application Insights component, and the instrumentation keys that may write to them.

    Each table keeps its last ``capacity`` rows, and no more than ``capacity_bytes`` of them.
    """

    def __init__(
        self,
        clock: Clock,
        database: Database,
        *,
        capacity: int = _ROWS_PER_TABLE,
        capacity_bytes: int = _BYTES_PER_TABLE,
    ) -> None:
        self._clock = clock
        self._database = database
        self._components: dict[str, Component] = {}
        self._tables = Tables(database, capacity, capacity_bytes)
        self._ahead_s = 0.0

    def advance(self, delay_s: float) -> None:
        """Follow a clock that is moved forward by hand: clients date what they send by the machine's clock.

        What they send from now on is dated later by as much, or alerts would find nothing in their windows.
        """
        self._ahead_s += delay_s

    def allow(self, instrumentation_key: str, app_id: str, app_name: str, resource_id: str = "") -> None:
        """Accept telemetry that carries ``instrumentation_key``, for the component ``app_name``."""
        key = instrumentation_key.lower()
        self._components[key] = Component(instrumentation_key, app_id, app_name, resource_id)

    def refuse(self, instrumentation_key: str) -> None:
        """Accept no more telemetry with ``instrumentation_key``; what came before stays."""
        self._components.pop(instrumentation_key.lower(), None)

    def add(self, envelope: object) -> None:
        """Store the rows in ``envelope``; ``BadEnvelope`` says why it is refused."""
        for refusal in self.add_all([envelope]).values():
            raise refusal

    def add_all(self, envelopes: Iterable[object]) -> dict[int, BadEnvelope]:
        """Store the rows in ``envelopes``, in one go; returns why some are refused, by their place in the list."""
        batch: dict[str, list[Row]] = {}
        refused: dict[int, BadEnvelope] = {}
        for place, envelope in enumerate(envelopes):
            try:
                component = self._component(envelope)
                for table, row in rows(envelope):
                    batch.setdefault(table, []).append(self._on_clock(row) | component.columns())
            except BadEnvelope as reason:
                refused[place] = reason
        if batch:
            self._tables.add(batch)
        return refused

    def _on_clock(self, row: Row) -> Row:
        if not self._ahead_s:
            return row
        try:
            later = datetime.fromisoformat(row["timestamp"]) + timedelta(seconds=self._ahead_s)
        except OverflowError:  # at the very end of time
            return row
        return row | {"timestamp": later.isoformat()}

    def _component(self, envelope: object) -> Component:
        key = envelope.get("iKey") if isinstance(envelope, dict) else None
        component = self._components.get(key.lower()) if isinstance(key, str) else None
        if component is None:
            # dmolokanov/appinsights-rs#221 (2021-10).
            raise BadEnvelope("Invalid instrumentation key")
        return component

    def rows(self, table: str, *, after: int = 0) -> list[Row]:
        """The rows of ``table`` after its first ``after`` ones, oldest first; KeyError when there is no such table."""
        return [orjson.loads(row) for row in self._tables.rows_json(table, after)]

    def rows_json(self, table: str, *, after: int = 0) -> bytes:
        """The same rows as a JSON array."""
        return f"[{','.join(self._tables.rows_json(table, after))}]".encode()

    def count(self, table: str) -> int:
        """How many rows ``table`` has ever had; pass it as ``after`` to get only what is new."""
        return self._tables.count(table)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows that the local Azure's own ``sql`` gives over the tables in the schema ``telemetry``."""
        self._tables.open()
        return self._database.execute(sql, parameters)

    def query(
        self,
        kql: str,
        *,
        component: str | Sequence[str] | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        workspace: bool = False,
        limit_s: float = TIME_LIMIT_S,
        now_s: float | None = None,
    ) -> QueryResult:
        """What ``kql`` gives over the rows from ``start_s`` to ``end_s`` (both included; None: no bound) on the clock.

        ``component`` is the resource id of the Application Insights component to ask, or several (None: all). Their
        tables have two names each (``requests`` and ``AppRequests``); a ``workspace`` has the second ones only.
        ``QueryError`` says what is wrong with the query and where; ``QueryLimitError``, that it took too much.
        """
        self._tables.open()
        tables = _WORKSPACE if workspace else _named(kql)
        components = [component] if isinstance(component, str) else component
        scope = Scope(
            tables, components, start_s if start_s is not None else 0.0, end_s if end_s is not None else _NEVER_S
        )
        return run(self._database, kql, scope, now_s=self._clock.now() if now_s is None else now_s, limit_s=limit_s)


def _named(kql: str) -> dict[str, list[str]]:
    """The tables of a component: those that ``union *`` finds, and those that are asked for by their other name."""
    return _CLASSIC | {name: columns for name, columns in _WORKSPACE.items() if name in kql}
