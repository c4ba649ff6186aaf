"""Webhooks: really posted, to this machine only, in threads of their own, with the service's retries.

Microsoft Learn, action-groups, "Webhook retry behavior" (2026-07-21), read 2026-11-25: 408, 429, 503, 504 and failed
connections are tried again, up to five times, after 5, 20, 5, 40 and 5 seconds; after that the endpoint is left alone
for 15 minutes. The waiting is done on the local Azure's clock. Redirects are not followed. An https endpoint needs a
certificate that this machine trusts.
"""

import base64
import http.client
import ipaddress
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from labkit.localazure.monitor.outbox import Notification, Outcome

_RETRY_DELAYS_S = (5, 20, 5, 40, 5)
_RETRYABLE = (408, 429, 503, 504)
_QUIET_S = 15 * 60
_TIMEOUT_S = 5.0
_LANES = 8
_WAITING = 500
_ENDPOINTS = 1_000


@dataclass(slots=True, eq=False)
class _Message:
    """A body on its way to ``url``; ``due_s`` is when the next attempt may be made."""

    url: SplitResult
    body: bytes
    notification: Notification
    due_s: float


class Webhooks:
    """Posts messages one after the other to each endpoint, up to eight endpoints at a time.

    ``now`` is the clock. ``own_url`` says where the local Azure itself listens: it is never called. ``enabled`` False
    posts nothing at all, and says so in the outbox.
    """

    def __init__(self, now: Callable[[], float], own_url: Callable[[], str]) -> None:
        self.enabled = True
        self._now = now
        self._own_url = own_url
        self._lanes: dict[str, deque[_Message]] = {}
        self._running: set[str] = set()
        self._retries: list[_Message] = []
        self._quiet_until_s: dict[str, float] = {}
        self._changed = threading.Condition()

    def send(self, url: str, body: bytes, notification: Notification) -> None:
        """Start posting ``body`` to ``url``; the notification's outcome tells how it went."""
        parts, refusal = _parsed(url), ""
        if not self.enabled:
            refusal = "Webhooks are switched off here."
        elif parts is None or not _is_loopback(parts):
            refusal = "Only loopback: the local Azure posts to 127.0.0.0/8, [::1] and localhost, and nowhere else."
        elif _port(parts) == _port(urlsplit(self._own_url())):
            refusal = "The local Azure does not call itself."
        elif self._quiet_until_s.get(parts.geturl(), 0.0) > self._now():
            refusal = "Its endpoint failed six times; nothing is sent to it for 15 minutes."
        if parts is None or refusal:
            notification.outcome, notification.detail = "not delivered", refusal
            return
        self._enqueue(_Message(parts, body, notification, self._now()))

    def retry_due(self) -> None:
        """Start the attempts that have waited long enough."""
        with self._changed:
            due = [message for message in self._retries if message.due_s <= self._now()]
            self._retries = [message for message in self._retries if message not in due]
        for message in due:
            self._enqueue(message)

    @property
    def next_retry_s(self) -> float | None:
        """When the next attempt is due on the clock; None when nothing waits."""
        return min((message.due_s for message in tuple(self._retries)), default=None)

    @property
    def is_posting(self) -> bool:
        """True while an attempt is under way."""
        return bool(self._running)

    def settle(self, timeout_s: float) -> bool:
        """Wait until no attempt is under way, ``timeout_s`` of real time at most; True when that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout_s)

    # -- lanes: one endpoint, one thread, first come first served ------------------------------------------------

    def _enqueue(self, message: _Message) -> None:
        with self._changed:
            if sum(map(len, self._lanes.values())) >= _WAITING:
                _finish(message, "failed", f"More than {_WAITING} messages wait to be posted.", self._now())
                return
            self._lanes.setdefault(message.url.geturl(), deque()).append(message)
            self._start_lanes()

    def _start_lanes(self) -> None:
        """Give every lane that has none a thread, while there are threads left. Called with the lock held."""
        for endpoint in self._lanes:
            if len(self._running) >= _LANES:
                return
            if endpoint not in self._running:
                self._running.add(endpoint)
                # Daemons: an endpoint that hangs must not keep the process from ending.
                threading.Thread(target=self._drive, args=(endpoint,), name="labkit-webhook", daemon=True).start()

    def _drive(self, endpoint: str) -> None:
        while True:
            with self._changed:
                if not self._lanes[endpoint]:
                    del self._lanes[endpoint]
                    self._running.discard(endpoint)
                    self._start_lanes()
                    self._changed.notify_all()
                    return
                message = self._lanes[endpoint].popleft()
            self._attempt(endpoint, message)

    def _attempt(self, endpoint: str, message: _Message) -> None:
        notification = message.notification
        notification.attempts += 1
        status, problem = _post(message)
        notification.status = status
        if status is not None and 200 <= status < 300:
            _finish(message, "delivered", "", self._now())
        elif status is not None and status not in _RETRYABLE:
            _finish(message, "failed", f"The endpoint answered {status}, which is not tried again.", self._now())
        elif notification.attempts > len(_RETRY_DELAYS_S):
            self._leave_alone(endpoint)
            _finish(message, "failed", f"{problem} Given up after {notification.attempts} attempts.", self._now())
        else:
            self._retry_later(message, problem)

    def _retry_later(self, message: _Message, problem: str) -> None:
        delay_s = _RETRY_DELAYS_S[message.notification.attempts - 1]
        message.due_s = self._now() + delay_s
        message.notification.outcome = "retrying"
        message.notification.detail = f"{problem} Tried again after {delay_s} s."
        with self._changed:
            self._retries.append(message)
            oldest = self._retries.pop(0) if len(self._retries) > _WAITING else None
        if oldest is not None:
            _finish(oldest, "failed", f"More than {_WAITING} messages wait to be tried again.", self._now())

    def _leave_alone(self, endpoint: str) -> None:
        with self._changed:
            self._quiet_until_s[endpoint] = self._now() + _QUIET_S
            if len(self._quiet_until_s) > _ENDPOINTS:
                del self._quiet_until_s[next(iter(self._quiet_until_s))]


def shown(url: str) -> str:
    """``url`` without what may be secret in it: credentials, query and fragment."""
    parts = _parsed(url)
    if parts is None or parts.hostname is None:
        return "(not a URL)"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"[:500]


def _parsed(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no port
    except ValueError:
        return None
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _is_loopback(parts: SplitResult) -> bool:
    """True for an address of this machine written as such. No name but localhost is looked up, not even to refuse."""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    if parts.hostname == "localhost":
        return True
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return False
    return address.is_loopback and getattr(address, "ipv4_mapped", None) is None


def _post(message: _Message) -> tuple[int | None, str]:
    """The status of one attempt, or None, and what went wrong."""
    parts = message.url
    # "localhost" could be made to mean another machine; the address cannot.
    host = "127.0.0.1" if parts.hostname == "localhost" else str(parts.hostname)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", _path(parts), message.body, _headers(parts))
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as failure:
        return None, f"The endpoint could not be called ({type(failure).__name__})."
    finally:
        connection.close()
    return status, f"The endpoint answered {status}."


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _headers(parts: SplitResult) -> dict[str, str]:
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "labkit-local-azure"}
    if parts.username is not None:  # credentials may stand in the URI: Learn, action-groups, "Webhook"
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return headers


def _finish(message: _Message, outcome: Outcome, detail: str, at_s: float) -> None:
    notification = message.notification
    notification.outcome, notification.detail, notification.finished_at_s = outcome, detail, at_s
