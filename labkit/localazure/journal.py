"""The record of every request: the evidence that grading, checks and curious students read."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Face = Literal["inference", "management", "identity", "telemetry", "lab"]

_CAPACITY = 10_000


@dataclass(slots=True)
class Entry:
    """One request and how it was answered. Never holds a key or a token.

    ``simulated_ms`` is the unscaled latency of the simulated model; ``duration_ms`` is real time on this machine and
    the only field that two runs with the same seed may disagree on (besides ``at_s``). ``right`` says whether a
    question of the bank was answered rightly, None for any other prompt. ``fault`` names the faults it ran into,
    joined by commas, ``fault_by`` who set the first. An answer that was cut has status 200 and an ``error_code``;
    status 0 means that nothing was sent.
    """

    at_s: float
    face: Face
    method: str
    path: str
    operation: str
    status: int
    error_code: str | None = None
    auth: str = "none"
    account: str | None = None
    deployment: str | None = None
    model: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    stream: bool = False
    simulated_ms: float = 0.0
    duration_ms: float = 0.0
    prompt: str = ""
    prompt_digest: str = ""
    answer_digest: str = ""
    right: bool | None = None
    params: dict[str, Any] = field(default_factory=dict)
    retry_count: int = 0
    fault: str | None = None
    fault_by: str | None = None
    retry_after_s: float | None = None
    client_request_id: str | None = None
    user_agent: str = ""
    id: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain data for JSON, its id first."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "id"}
        return {"id": self.id, **fields}


class Journal:
    """The last ``capacity`` entries in the order the requests were answered; ``dropped`` counts the older ones."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._last_id = 0

    def add(self, entry: Entry) -> Entry:
        """Give ``entry`` the next id and keep it."""
        self._last_id += 1
        entry.id = self._last_id
        self._entries.append(entry)
        return entry

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        # A copy in one step: readers in other threads must not see the deque change under them.
        return iter(tuple(self._entries))

    @property
    def last_id(self) -> int:
        """The id of the newest entry ever added, 0 when there was none."""
        return self._last_id

    @property
    def dropped(self) -> int:
        """How many entries no longer fit or were cleared."""
        return self._last_id - len(self._entries)

    def after(
        self, id: int = 0, *, operation: str | None = None, deployment: str | None = None, face: str | None = None
    ) -> list[Entry]:
        """The entries newer than ``id``, oldest first, that match every filter given."""
        wanted = {"operation": operation, "deployment": deployment, "face": face}
        filters = [(name, value) for name, value in wanted.items() if value is not None]
        kept = tuple(self)
        # Ids follow each other without a gap, so the newer ones are found without looking at the older.
        newer = kept[max(0, id + 1 - kept[0].id) :] if kept else ()
        return [entry for entry in newer if all(getattr(entry, name) == value for name, value in filters)]

    def clear(self) -> None:
        """Forget every entry; ids go on counting."""
        self._entries.clear()
