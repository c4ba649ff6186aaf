"""The state file: what a local Azure keeps when it ends, in the duckdb file that also holds its telemetry.

Resources and telemetry are in it before their request is acknowledged, so that a crash loses neither; usage, alerts and
the clock's lead follow within a second or two. The journal, faults and stored responses are not kept.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from labkit import __version__
from labkit.errors import LabkitError
from labkit.localazure.database import Database
from labkit.localazure.errors import AzureError
from labkit.localazure.files import PRIVATE
from labkit.localazure.management.providers import TYPES
from labkit.localazure.resources import Resource, ResourceStore
from labkit.localazure.secrets import Secrets
from labkit.localazure.usage import Cell, Key, Usage

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

# Counts the changes to what the tables (telemetry's included) hold that an older release could not read.
_FORMAT = "1"
_SUMS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "total_ms", "min_ms", "max_ms")
_TABLES = (
    "CREATE TABLE labkit_facts (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)",
    "CREATE TABLE labkit_resources (id VARCHAR PRIMARY KEY, place BIGINT NOT NULL, record VARCHAR NOT NULL)",
    "CREATE TABLE labkit_usage (key VARCHAR PRIMARY KEY, requests BIGINT, prompt_tokens BIGINT, cached_tokens BIGINT, "
    "completion_tokens BIGINT, total_ms DOUBLE, min_ms DOUBLE, max_ms DOUBLE)",
)


class StateFileError(LabkitError):
    """The file is not one that this release can go on from."""


class StateFile:
    """The state file at ``path``, made when it is not there; only its owner can read it.

    ``database`` and ``secrets`` are for the ``Azure`` to be made, which ``attach`` then fills. The database's journal
    (``path`` and ``.wal``) gets the mode that this process gives new files: commands set their umask first.

    ``DatabaseInUseError`` (an ``OSError``) when the file is in use, ``OSError`` when it is no database, and
    ``StateFileError`` when it is another program's or of another format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.database = Database(path)
        try:
            path.chmod(PRIVATE)
            self._prepare()
            # One whose maker was killed before it had written what every local Azure begins with is new, too.
            self._is_new = "began" not in self._facts()
            self.secrets = Secrets(**orjson.loads(self._facts()["secrets"]))
        except BaseException:
            self.database.close()
            raise
        self._last_place: int = self.database.execute("SELECT coalesce(max(place), 0) FROM labkit_resources")[0][0]
        self._counted: dict[Key, int] = {}
        self._written: dict[str, str] = {}

    def attach(self, azure: "Azure") -> None:
        """Give ``azure``, which is new, what the file holds; from then on the file keeps what it does."""
        if not self._is_new:
            self._restore_resources(azure)
            self._restore_usage(azure.usage)
            self._restore_progress(azure)
        azure.resources.changed = {resource.id.lower() for resource in azure.resources} if self._is_new else set()
        azure.state_file = self
        if self._is_new:
            azure.commit()
            self._put_fact("began", "true")

    def close(self, azure: "Azure") -> None:
        """Write everything there is to write and let go of the file. What a full disk refuses is said on stderr."""
        with suppress(AzureError):
            azure.commit()
        self.save_progress(azure)
        self.database.close()

    # -- a new file, or one of an earlier run ----------------------------------------------------------------------

    def _prepare(self) -> None:
        """Make the tables when there are none, else check that they are ours."""
        tables = {name for (name,) in self.database.execute("SELECT table_name FROM information_schema.tables")}
        if not tables:
            self._create()
        elif "labkit_facts" not in tables:
            raise StateFileError(
                f"{self._path} is a database, but no local Azure's. Name a file that a local Azure made, or a new one."
            )
        facts = self._facts()
        if facts.get("format") != _FORMAT:
            made_by = facts.get("labkit", "(of an unknown release)")
            raise StateFileError(
                f"{self._path} was made by labkit {made_by}; labkit {__version__} cannot go on from it. "
                f"Start it with labkit {made_by}, or name a new file."
            )

    def _create(self) -> None:
        secrets = orjson.dumps(asdict(Secrets.fresh())).decode()
        with self.database.transaction():
            for statement in _TABLES:
                self.database.execute(statement)
            for name, value in (("format", _FORMAT), ("labkit", __version__), ("secrets", secrets)):
                self._put_fact(name, value)

    def _facts(self) -> dict[str, str]:
        return dict(self.database.execute("SELECT name, value FROM labkit_facts"))

    def _put_fact(self, name: str, value: str) -> None:
        self.database.execute("INSERT OR REPLACE INTO labkit_facts VALUES (?, ?)", (name, value))

    # -- resources: before the answer leaves -----------------------------------------------------------------------

    def save_resources(self, store: ResourceStore) -> None:
        """Write the resources that changed since the last time; ``AzureError`` 503 when the disk refuses."""
        if not store.changed:
            return
        ids = tuple(store.changed)
        if not self._write(lambda: self._write_resources(ids, store)):
            # The code and its wording are ours.
            raise AzureError(
                503, "StateNotSaved", "The local Azure cannot write its state file; its terminal says why. Try again."
            )
        store.changed.difference_update(ids)

    def _write_resources(self, ids: Iterable[str], store: ResourceStore) -> None:
        for id in ids:
            self._write_resource(id, store.get(id))

    def _write_resource(self, id: str, resource: Resource | None) -> None:
        if resource is None:
            self.database.execute("DELETE FROM labkit_resources WHERE id = ?", (id,))
            return
        self._last_place += 1
        self.database.execute(
            "INSERT INTO labkit_resources VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            (id, self._last_place, orjson.dumps(asdict(resource)).decode()),
        )

    def _restore_resources(self, azure: "Azure") -> None:
        for resource in azure.resources:  # the account that every new one begins with, which may have been deleted
            for gone in azure.resources.delete(resource.id):
                TYPES[gone.type.lower()].removed(azure, gone)
        for (record,) in self.database.execute("SELECT record FROM labkit_resources ORDER BY place"):
            resource = Resource(**orjson.loads(record))
            azure.resources.put(resource)
            TYPES[resource.type.lower()].saved(azure, resource)

    # -- usage, alerts, clock: every other second ------------------------------------------------------------------

    def save_progress(self, azure: "Azure") -> None:
        """Write what was used, what fired and how far the clock is ahead, as far as it has changed.

        When the disk refuses, that is said on stderr, and the next call tries again.
        """
        counted = {key: cell for key, cell in azure.usage.days().items() if cell.requests != self._counted.get(key)}
        facts = {name: value for name, value in _progress(azure) if value != self._written.get(name)}
        if not counted and not facts:
            return
        if self._write(lambda: self._write_progress(counted, facts)):
            self._counted.update((key, cell.requests) for key, cell in counted.items())
            self._written.update(facts)

    def _write_progress(self, counted: Mapping[Key, Cell], facts: Mapping[str, str]) -> None:
        for key, cell in counted.items():
            sums = [getattr(cell, name) for name in _SUMS]
            self.database.execute(
                "INSERT OR REPLACE INTO labkit_usage VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (orjson.dumps(list(key)).decode(), *sums),
            )
        for name, value in facts.items():
            self._put_fact(name, value)

    def _write(self, statements: Callable[[], None]) -> bool:
        """Execute ``statements`` as a whole; False, and a line on stderr, when the disk refuses."""
        import duckdb

        try:
            with self.database.transaction():
                statements()
        except (duckdb.Error, OSError) as failure:
            print(f"labkit local Azure: {self._path} cannot be written: {failure}", file=sys.stderr)
            return False
        return True

    def _restore_usage(self, usage: Usage) -> None:
        for key, *sums in self.database.execute(f"SELECT key, {', '.join(_SUMS)} FROM labkit_usage"):
            cell = Cell()
            for name, value in zip(_SUMS, sums, strict=True):
                setattr(cell, name, value)
            usage.restore(Key(*orjson.loads(key)), cell)

    def _restore_progress(self, azure: "Azure") -> None:
        facts = self._facts()
        azure.advance(orjson.loads(facts.get("ahead_s", "0")))
        if "alerts" in facts:
            azure.monitor.load(orjson.loads(facts["alerts"]))


def _progress(azure: "Azure") -> Iterator[tuple[str, str]]:
    yield "ahead_s", orjson.dumps(azure.ahead_s).decode()
    yield "alerts", orjson.dumps(azure.monitor.dump()).decode()
