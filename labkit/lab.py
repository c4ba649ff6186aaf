"""What only the local Azure can do: show every request, misbehave on demand, let time pass, give telemetry back."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from labkit import labapi
from labkit.connection import Connection, current
from labkit.errors import NoConnectionError, NotLocalError

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as the local Azure saw it.

    ``operation`` says what was asked for ("chat.completions", "embeddings", "deployments.write", …), ``face`` by which
    of its faces. ``simulated_ms`` is the simulated model's latency, before it was scaled down. ``fault`` is the id of
    the fault it ran into, several are joined by commas. ``retry_count`` is what the SDK says of itself: 0 for a first
    attempt. A ``status`` of 0 means that nothing was sent.
    """

    id: int
    at_s: float
    face: str
    method: str
    path: str
    operation: str
    status: int
    error_code: str | None
    auth: str
    deployment: str | None
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    stream: bool
    simulated_ms: float
    prompt: str
    params: dict[str, Any]
    retry_count: int
    fault: str | None
    retry_after_s: float | None


_CALL_FIELDS = tuple(field.name for field in fields(Call))


def journal(
    *,
    after: int = 0,
    operation: str | None = None,
    deployment: str | None = None,
    face: str | None = None,
    limit: int | None = None,
) -> list[Call]:
    """Every request the local Azure saw, oldest first, that is newer than the id ``after`` and matches the filters."""
    filters = {"after": after, "operation": operation, "deployment": deployment, "face": face, "limit": limit}
    entries = _ask("GET", "journal", query=filters)["entries"]
    return [Call(**{name: entry[name] for name in _CALL_FIELDS}) for entry in entries]


def calls(deployment: str | None = None, *, after: int = 0) -> list[Call]:
    """The calls of models (chat, embeddings), to one deployment or to all: the journal without the rest."""
    return journal(after=after, deployment=deployment, face="inference")


class Watch:
    """The calls of models since it began: up to now inside its ``with`` block, up to the block's end afterwards."""

    def __init__(self) -> None:
        self._began = last_id()
        self._seen: list[Call] | None = None

    @property
    def calls(self) -> list[Call]:
        """What the local Azure saw, failed attempts included, oldest first."""
        return calls(after=self._began) if self._seen is None else self._seen

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._seen = self.calls


def watch() -> Watch:
    """Watches the calls of models: ``with lab.watch() as service: …``, then ``service.calls``."""
    return Watch()


def last_id() -> int:
    """The id of the newest request in the journal: what to give as ``after`` to see only what comes next."""
    newest: int = _ask("GET", "journal", query={"limit": 0})["last_id"]
    return newest


def fault(
    deployment: str | None = None,
    *,
    kind: Literal["status", "slow", "first_byte", "slow_stream", "latency", "cut", "reset", "drop"] = "status",
    status: int = 429,
    times: int | None = None,
    retry_after_s: float | None = None,
    delay_ms: int = 0,
    contains: str | None = None,
    operation: Literal["chat", "embeddings", "responses"] | None = None,
    every: int | None = None,
    share: float | None = None,
    after_s: float = 0.0,
    for_s: float | None = None,
    factor: float | None = None,
    after_chunks: int | None = None,
    after_bytes: int | None = None,
    real: bool = False,
) -> None:
    """Makes the next call of ``deployment`` (None: of any) go wrong, or the calls that the other parameters pick.

    ``kind`` says how. "status" answers with ``status`` and says to retry after ``retry_after_s``. "slow" takes
    ``delay_ms`` longer, "first_byte" does before it sends anything. "slow_stream" takes ``factor`` times as long for
    each token, or ``delay_ms``; "latency" is ``factor`` times as slow. "cut" ends the connection in the middle of the
    answer: after ``after_chunks`` events of a stream, after ``after_bytes``, or half-way. "reset" and "drop" end it
    without an answer. Delays are simulated time and scaled like it; with ``real`` they are really waited for.

    Which calls: the next ``times``; each ``every``-th; a ``share`` of them (0 to 1); those ``after_s`` from now and
    ``for_s`` long on the local Azure's clock; those of an ``operation``, or whose last user message contains
    ``contains``. ``lab.fault("big", status=503, for_s=120)`` is an outage of two minutes. ``InvalidRequestError`` says
    which value cannot be.
    """
    asked = dict(locals())  # the parameters, and nothing else yet
    _ask("POST", "faults", body=asked)


def fault_script(events: Sequence[Row]) -> None:
    """Sets and clears faults by the local Azure's clock, in seconds from now.

    ``[{"at_s": 60, "fault": {"deployment": "big", "status": 503}}, {"at_s": 180, "clear": True}]``; a fault's fields
    are the parameters of ``fault``. ``InvalidRequestError`` says which event cannot be.
    """
    _ask("POST", "faults/script", body={"events": list(events)})


def faults() -> list[Row]:
    """The faults that still wait, with ``times_left`` (None: any number), ``starts_in_s`` and ``ends_in_s``."""
    waiting: list[Row] = _ask("GET", "faults")["faults"]
    return waiting


def clear_faults() -> int:
    """Takes back the faults that still wait; returns how many there were."""
    removed: int = _ask("DELETE", "faults")["removed"]
    return removed


def now() -> datetime:
    """The time on the local Azure's clock: the machine's, and what ``advance`` has moved it by."""
    return _moment(_ask("GET", "clock"))


def advance(*, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
    """Lets time pass on the local Azure at once, 31 days at most; returns its time afterwards.

    Rate limits, alerts and budgets find that the time has passed. Nothing waits, and this machine's clock stays.
    ``InvalidRequestError`` for a step back or too far.
    """
    passed = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return _moment(_ask("POST", "clock", body={"advance_s": passed.total_seconds()}))


def _moment(clock: Row) -> datetime:
    return datetime.fromtimestamp(clock["now_s"], UTC)


def telemetry(table: str, *, after: int = 0) -> list[Row]:
    """The rows of a telemetry table that have arrived, the first ``after`` left out.

    Tables and columns are Application Insights': requests, dependencies, traces, exceptions, customMetrics,
    customEvents.
    """
    rows: list[Row] = _ask("GET", f"telemetry/{table}", query={"after": after})["rows"]
    return rows


def alerts() -> list[Row]:
    """Every alert that has fired, oldest first: its ``rule``, ``severity``, ``condition`` (Fired or Resolved), why.

    What is due on the local Azure's clock is evaluated first. Budgets' alerts are among them (``service`` CostAlerts).
    """
    fired: list[Row] = _ask("GET", "alerts")["alerts"]
    return fired


def notifications(*, after: int = 0) -> list[Row]:
    """Whom alerts told, oldest first, newer than the id ``after``: ``channel``, ``receiver``, ``outcome``.

    Webhooks on this machine are really posted; what would have gone out as mail, SMS and so on has the outcome
    "not sent".
    """
    told: list[Row] = _ask("GET", "alerts", query={"after": after})["notifications"]
    return told


def costs() -> list[Row]:
    """What each deployment has cost on each day (UTC), with ``model``, ``tokens`` and ``cost_usd``.

    Days begin at ``day_s``, in seconds since 1970.
    """
    spent: list[Row] = _ask("GET", "costs")["costs"]
    return spent


def _ask(method: str, path: str, *, query: Row | None = None, body: Row | None = None) -> Any:
    """What the own API of the local Azure that labkit is connected to answers."""
    connection = current()
    return labapi.ask(
        connection.management_url,
        _lab_key(connection),
        method,
        path,
        query=query,
        body=body,
        advice=": run labkit.connect() again.",
    )


def _lab_key(connection: Connection) -> str:
    if not connection.is_local:
        raise NotLocalError(
            "Real Azure has no journal, no faults on demand, no clock to move and no telemetry to read back this way. "
            "Unset AZURE_OPENAI_ENDPOINT and run labkit.connect() again to use the local Azure."
        )
    key = os.environ.get("LABKIT_LAB_KEY")
    if not key:
        raise NoConnectionError(
            "LABKIT_LAB_KEY is not set, and the local Azure shows its journal to nobody without it. "
            "Set all the variables it was started with, or unset LABKIT_AZURE_URL and run labkit.connect() again."
        )
    return key
