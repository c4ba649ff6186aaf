"""The outbox: what was sent to whom, or would have been, and what became of it."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["pending", "retrying", "delivered", "failed", "not delivered", "not sent"]
_CAPACITY = 2_000


@dataclass(slots=True)
class Notification:
    """One message of an alert to one receiver.

    Only webhooks are really sent. For any other ``channel`` (email, sms, …) the outcome is ``not sent``, and ``to`` and
    ``subject`` say what the service would have sent. ``status`` is the HTTP status of the last attempt.
    """

    id: int
    at_s: float
    alert_id: str
    rule: str
    condition: str
    group: str
    channel: str
    receiver: str
    to: str
    subject: str
    outcome: Outcome
    detail: str = ""
    attempts: int = 0
    status: int | None = None
    finished_at_s: float | None = None


class Outbox:
    """The last ``capacity`` notifications, oldest first."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._notifications: deque[Notification] = deque(maxlen=capacity)
        self._last_id = 0

    def add(self, **fields: Any) -> Notification:
        """Keep a new notification under the next id."""
        self._last_id += 1
        notification = Notification(id=self._last_id, **fields)
        self._notifications.append(notification)
        return notification

    @property
    def last_id(self) -> int:
        """The id of the newest notification, 0 when there was none."""
        return self._last_id

    def after(self, id: int = 0) -> list[Notification]:
        """The notifications newer than ``id``."""
        return [notification for notification in tuple(self._notifications) if notification.id > id]

    def dump(self) -> list[dict[str, Any]]:
        """Everything as plain data, for a state file."""
        return [asdict(notification) for notification in tuple(self._notifications)]

    def load(self, data: list[dict[str, Any]]) -> None:
        """Take up what ``dump`` gave. What was still on its way then is no longer."""
        for fields in data:
            kept = Notification(**fields)
            if kept.outcome in ("pending", "retrying"):
                kept.outcome, kept.detail = "failed", "The local Azure was stopped before it was delivered."
            self._notifications.append(kept)
            self._last_id = max(self._last_id, kept.id)
