"""A running server evaluates alerts on its own, though nobody asks for them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labkit.localazure import LocalAzure
from labkit.localazure.classserver import ClassServer
from labkit.localazure.state import Azure
from tests.localazure.conftest import Caller
from tests.localazure.costs.spending import use
from tests.localazure.monitor.conftest import GROUP, GROUP_PATH, action_group
from tests.localazure.monitor.receiver import Receiver

BUDGET = "Microsoft.Consumption/budgets/b"


@contextmanager
def one_server(folder: Path) -> Iterator[Azure]:
    """The local Azure of a server of one's own."""
    with LocalAzure() as server:
        yield server.azure


@contextmanager
def class_server(folder: Path) -> Iterator[Azure]:
    """The local Azure of a student in a class."""
    roster = folder / "roster.csv"
    roster.write_text("student\nala\n")
    with ClassServer(roster) as server:
        yield server.classroom.azure("ala")


@pytest.mark.parametrize("running", [one_server, class_server])
def test_budget_is_told_without_anybody_looking(
    running: Callable[[Path], AbstractContextManager[Azure]], tmp_path: Path
) -> None:
    """Within a second or two of the clock's next minute."""
    with Receiver() as receiver, running(tmp_path) as azure:
        _put(azure, GROUP, action_group(receiver.url))
        _put(azure, BUDGET, _budget(datetime.fromtimestamp(azure.clock.now(), UTC)))
        use(azure)
        azure.advance(60)
        assert receiver.called.wait(30.0)
    assert receiver.bodies[0]["data"]["essentials"]["monitoringService"] == "CostAlerts"


def _put(azure: Azure, path: str, body: dict[str, object]) -> None:
    token = azure.identity.issue("https://management.azure.com")["access_token"]
    id = f"{GROUP_PATH.partition('/providers/')[0]}/providers/{path}?api-version=2025-09-01"
    assert Caller(azure)("PUT", id, body, headers={"Authorization": f"Bearer {token}"}).status in (200, 201)


def _budget(now: datetime) -> dict[str, object]:
    """More than a dollar a month tells the group."""
    alarm = {"enabled": True, "operator": "GreaterThan", "threshold": 100, "contactGroups": [GROUP_PATH]}
    return {
        "properties": {
            "category": "Cost",
            "amount": 1,
            "timeGrain": "Monthly",
            "timePeriod": {"startDate": f"{now:%Y-%m}-01T00:00:00Z"},
            "notifications": {"alarm": alarm},
        }
    }
