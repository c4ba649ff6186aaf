"""What a rubric scores from: what the local Azure saw, and the values that probes brought back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from labkit.grading.probe import ProbeResult
from labkit.localazure.journal import Entry
from labkit.localazure.management.documents import document
from labkit.localazure.management.providers import TYPES
from labkit.localazure.server import LocalAzure

# A submission may call without end; what a rubric looks at comes early.
MAX_ENTRIES = 20_000
T = TypeVar("T")
TABLES = ("requests", "dependencies", "traces", "exceptions", "customEvents", "customMetrics")


@dataclass(frozen=True, slots=True)
class Phase:
    """The journal ids of what was asked while one cell ran: after ``first``, up to and including ``last``."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything known of one attempt at one task. Plain data; all of it may be what a hostile student wants it to be,
    except ``journal``, ``resources`` and ``telemetry``, which the local Azure wrote outside the student's process.

    ``cells`` says for each grade id of the release: ``"ran"``, ``"error: …"`` or ``"missing"``; ``untouched`` names the
    answers that are still the released stub; ``answers`` holds the text of each answer. ``secret`` is the student's own
    (the one ``probes`` got). ``problems`` are the sentences the report will show.
    """

    task: str
    secret: str = field(repr=False)
    journal: Sequence[Entry] = ()
    phases: Mapping[str, Phase] = field(default_factory=dict)
    resources: Sequence[Mapping[str, Any]] = ()
    telemetry: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    probes: Mapping[str, ProbeResult] = field(default_factory=dict)
    cells: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    untouched: frozenset[str] = frozenset()
    problems: Sequence[str] = ()

    def calls(
        self,
        *,
        cell: str | None = None,
        probe: str | None = None,
        operation: str | None = None,
        deployment: str | None = None,
    ) -> list[Entry]:
        """The requests made while the cell of that grade id (or that probe) ran; without either, while any cell ran.

        ``operation`` is the journal's, such as ``"chat.completions"`` or ``"deployments.write"``.
        """
        phase = self._phase(cell, probe)
        return [
            entry
            for entry in self.journal
            if phase.first < entry.id <= phase.last
            and operation in (None, entry.operation)
            and deployment in (None, entry.deployment)
        ]

    def _phase(self, cell: str | None, probe: str | None) -> Phase:
        if cell is None and probe is None:
            return self.phases.get("run", Phase(0, MAX_ENTRIES))
        key = cell_phase(cell) if cell is not None else probe_phase(str(probe))
        return self.phases.get(key, Phase(0, 0))

    def probe(self, id: str) -> ProbeResult:
        """What the probe ``id`` brought back; one that was never asked has an error instead of a value."""
        return self.probes.get(id, ProbeResult(error="it was not asked"))

    def value(self, id: str, kind: type[T], *path: str | int) -> T:
        """The value the probe ``id`` brought back (or what is at ``path`` in it), an empty ``kind`` if it is no such.

        Values come from the student's process and may have any shape, so they are never used unread.
        """
        return self.probe(id).get(*path, kind=kind, default=kind())

    def resource(self, type: str, name: str) -> Mapping[str, Any] | None:
        """The ARM document of that type (``Microsoft.Insights/components``) and name, any case; None when absent."""
        return next((found for found in self.resources_of(type) if str(found["name"]).lower() == name.lower()), None)

    def resources_of(self, type: str) -> list[Mapping[str, Any]]:
        """The ARM documents of that type, in the order they were made."""
        return [found for found in self.resources if str(found["type"]).lower() == type.lower()]


def cell_phase(grade_id: str) -> str:
    """The name of the phase in which the cell ``grade_id`` ran."""
    return f"cell {grade_id}"


def probe_phase(id: str) -> str:
    """The name of the phase in which the probe ``id`` ran."""
    return f"probe {id}"


class Recorder:
    """Notes what a local Azure sees, cell by cell. Lives in the grader's process, where no submission reaches it."""

    def __init__(self, local: LocalAzure) -> None:
        self._azure = local.azure
        self._open: tuple[str, int] | None = None
        self._run_ended: int | None = None
        self.entries: list[Entry] = []
        self.phases: dict[str, Phase] = {}

    def begin(self, phase: str | None) -> None:
        """A cell starts; ``phase`` names it, or is None for a cell no rubric asks about."""
        self._close()
        if phase is not None:
            if phase.startswith("probe ") and self._run_ended is None:
                self._run_ended = self._last_id
            self._open = (phase, self._last_id)

    def end(self) -> None:
        """The last cell has ended."""
        self._close()
        self.phases["run"] = Phase(0, self._last_id if self._run_ended is None else self._run_ended)

    def _close(self) -> None:
        self._collect()
        if self._open is not None:
            name, first = self._open
            self.phases.setdefault(name, Phase(first, self._last_id))
        self._open = None

    def _collect(self) -> None:
        """Copy what is new, since the journal itself forgets its oldest entries."""
        seen = self.entries[-1].id if self.entries else 0
        room = MAX_ENTRIES - len(self.entries)
        self.entries += self._azure.journal.after(seen)[:room]

    @property
    def _last_id(self) -> int:
        return self._azure.journal.last_id

    @property
    def is_complete(self) -> bool:
        """False when there were more requests than were kept."""
        return len(self.entries) == self._last_id

    def resources(self) -> list[dict[str, Any]]:
        """What exists now, as a GET would answer it."""
        return [document(self._azure, TYPES[one.type.lower()], one) for one in self._azure.resources]

    def telemetry(self) -> dict[str, list[dict[str, Any]]]:
        """What arrived, by table."""
        return {table: list(self._azure.telemetry.rows(table)) for table in TABLES}
