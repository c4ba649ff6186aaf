"""Asks one deployment after the other until one answers, and says which of their errors is the one to raise."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from labkit.breaker import AllCircuitsOpenError, CircuitOpenError
from labkit.deadline import Deadline, DeadlineExceededError
from labkit.retry import WaitTooLongError, is_transient
from labkit.telemetry import error_kind

T = TypeVar("T")


async def first_answer(
    deployments: Sequence[str],
    ask: Callable[[str], Awaitable[T]],
    *,
    deadline: Deadline | None = None,
    on_failure: Callable[[str, Exception], object] = lambda deployment, error: None,
) -> T:
    """What ``ask`` gives for the first of ``deployments`` that answers, in their order, while there is time.

    Otherwise the error of the last one that was asked, with a note of what the others said; ``AllCircuitsOpenError``
    when none was. An error that the next deployment would repeat is raised at once. ``on_failure`` is told of each
    deployment that is given up for the next.
    """
    failures: list[tuple[str, Exception]] = []
    for place, deployment in enumerate(deployments, 1):
        try:
            return await ask(deployment)
        except Exception as error:
            failures.append((deployment, error))
            if place == len(deployments) or not another_may_answer(error, deadline):
                break
            on_failure(deployment, error)
    raise _verdict(failures)


def another_may_answer(error: Exception, deadline: Deadline | None = None) -> bool:
    """True when ``error`` is about the deployment that was asked, not about the request or the time left."""
    if isinstance(error, DeadlineExceededError):
        return deadline is None or not deadline.is_over  # a wait that was not begun leaves time for another
    if isinstance(error, WaitTooLongError | CircuitOpenError) or is_transient(error):
        return True
    # 404: the deployment is gone, retired perhaps. A 429 that lasts is a quota, of one account or model.
    return getattr(error, "status_code", None) in (404, 429)


def _verdict(failures: list[tuple[str, Exception]]) -> Exception:
    unasked = [error for _, error in failures if isinstance(error, CircuitOpenError)]
    if len(unasked) == len(failures) > 1:
        return AllCircuitsOpenError(unasked)
    asked = [error for _, error in failures if not isinstance(error, CircuitOpenError)]
    verdict = (asked or unasked)[-1]
    if len(failures) > 1:
        told = "; ".join(f"{deployment}: {error_kind(error)}" for deployment, error in failures)
        verdict.add_note(f"No deployment answered. {told}.")
    return verdict
