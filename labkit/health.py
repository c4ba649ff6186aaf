"""What a health check reports: a status an orchestrator can act on, and the reason in words for whoever reads it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labkit.retry import is_rate_limit
from labkit.telemetry import error_kind

if TYPE_CHECKING:
    from labkit.calls.caller import Completed


def health_of(probes: "Mapping[str, Completed | Exception]", *, now: datetime | None = None) -> dict[str, Any]:
    """The report on what each deployment said, the primary one first.

    ``healthy``: it answers. ``degraded``: calls are served, but not as planned: only a fallback answers, or the
    deployment works and has no room at the moment. ``unhealthy``: nothing answers.
    """
    (deployment, first), *_ = probes.items()
    answers = {name: said for name, said in probes.items() if not isinstance(said, Exception)}
    name, answer = next(iter(answers.items()), (None, None))
    status = "healthy" if name == deployment else "degraded" if answer or _has_no_room(first) else "unhealthy"
    report: dict[str, Any] = {"status": status, "deployment": deployment}
    if answer is not None:
        report["response_time_ms"] = round(answer.latency_s * 1000)
    if isinstance(first, Exception):
        report["error"] = " ".join([str(first), *getattr(first, "__notes__", ())])
    if status == "degraded" and name is not None:
        report["answered_by"] = name
    report["reason"] = "; ".join(_told(each, said) for each, said in probes.items())
    report["checked_at"] = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    return report


def draining(deployment: str) -> dict[str, Any]:
    """The report of a service that is shut down: no traffic, and no call to find out."""
    reason = "the service is being drained and takes no more calls"
    return {
        "status": "unhealthy",
        "deployment": deployment,
        "error": reason,
        "reason": reason,
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _has_no_room(said: object) -> bool:
    return isinstance(said, Exception) and is_rate_limit(said)


def _told(deployment: str, said: "Completed | Exception") -> str:
    if not isinstance(said, Exception):
        return f"{deployment} answers in {said.latency_s * 1000:,.0f} ms"
    if is_rate_limit(said):
        return f"{deployment} works and has no room now ({error_kind(said)})"
    return f"{deployment} does not answer ({error_kind(said)})"
