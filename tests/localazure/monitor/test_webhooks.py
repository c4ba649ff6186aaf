"""Webhooks: posted to this machine only, tried again as the service does, in order."""

from collections.abc import Iterator

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.monitor.outbox import Notification, Outbox
from labkit.localazure.monitor.webhooks import Webhooks, shown
from tests.localazure.monitor.receiver import Receiver

OWN = "http://127.0.0.1:9"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def webhooks(clock: ManualClock) -> Iterator[Webhooks]:
    """Webhooks of a local Azure at port 9; nothing is left under way."""
    made = Webhooks(clock.now, lambda: OWN)
    yield made
    assert made.settle(10.0)


def line(outbox: Outbox | None = None) -> Notification:
    """A line of the outbox."""
    return (outbox or Outbox()).add(
        at_s=0.0,
        alert_id="a",
        rule="r",
        condition="Fired",
        group="g",
        channel="webhook",
        receiver="w",
        to="",
        subject="",
        outcome="pending",
    )


def test_body_is_posted_as_json(webhooks: Webhooks) -> None:
    """With the credentials that stand in the URI, and the outcome in the outbox."""
    with Receiver() as receiver:
        told = line()
        webhooks.send(f"http://me:s%20cret@localhost:{receiver.port}/hook?code=1", b'{"a":1}', told)
        assert webhooks.settle(10.0)
    assert receiver.bodies == [{"a": 1}]
    seen = receiver.requests[0]
    assert seen.path == "/hook?code=1"
    assert seen.headers["content-type"].startswith("application/json")
    assert seen.headers["authorization"] == "Basic bWU6cyBjcmV0"
    assert (told.outcome, told.attempts, told.status) == ("delivered", 1, 200)


def test_messages_to_one_endpoint_arrive_in_order(webhooks: Webhooks) -> None:
    """What fired first is told first."""
    with Receiver() as receiver:
        for number in range(20):
            webhooks.send(receiver.url, str(number).encode(), line())
        assert webhooks.settle(10.0)
    assert receiver.bodies == list(range(20))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "http://127.0.0.1.example.com/hook",
        "http://127.0.0.1@example.com/hook",
        "http://10.0.0.1/hook",
        "http://169.254.169.254/metadata",
        "http://0.0.0.0:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
        "http://2130706433/",
        "http://127.1/",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http:///hook",
    ],
)
def test_nothing_leaves_the_machine(
    webhooks: Webhooks, url: str, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    """Only loopback addresses and localhost are called; no other name is even looked up."""

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError(f"called the network: {arguments}")

    monkeypatch.setattr("socket.getaddrinfo", never)
    monkeypatch.setattr("socket.create_connection", never)
    told = line()
    webhooks.send(url, b"{}", told)
    assert (told.outcome, told.attempts) == ("not delivered", 0)
    assert told.detail.startswith("Only loopback")


@pytest.mark.parametrize("url", [OWN, "http://localhost:9/labkit", "http://127.0.0.2:9/", "http://[::1]:9/"])
def test_local_azure_does_not_call_itself(webhooks: Webhooks, url: str) -> None:
    """By no name of its port."""
    told = line()
    webhooks.send(url, b"{}", told)
    assert (told.outcome, told.detail) == ("not delivered", "The local Azure does not call itself.")


def test_webhooks_can_be_switched_off(webhooks: Webhooks) -> None:
    """Then the outbox says so."""
    webhooks.enabled = False
    told = line()
    webhooks.send("http://127.0.0.1:1/", b"{}", told)
    assert (told.outcome, told.detail) == ("not delivered", "Webhooks are switched off here.")


def test_busy_endpoint_is_tried_again_on_the_clock(webhooks: Webhooks, clock: ManualClock) -> None:
    """After 5, 20, 5, 40 and 5 seconds, and not before."""
    with Receiver(503, 429, 408, 504, 503) as receiver:
        told = line()
        webhooks.send(receiver.url, b"{}", told)
        for attempts, delay_s in enumerate((5, 20, 5, 40, 5), start=1):
            assert webhooks.settle(10.0)
            assert (told.attempts, told.outcome) == (attempts, "retrying")
            clock.advance(delay_s - 1)
            webhooks.retry_due()
            assert webhooks.settle(10.0)
            assert told.attempts == attempts
            clock.advance(1)
            assert webhooks.next_retry_s == clock.now()
            webhooks.retry_due()
        assert webhooks.settle(10.0)
    assert (told.outcome, told.attempts, len(receiver.bodies)) == ("delivered", 6, 6)
    assert webhooks.next_retry_s is None


def test_dead_endpoint_is_left_alone_for_a_quarter_of_an_hour(webhooks: Webhooks, clock: ManualClock) -> None:
    """Nobody listens there: six attempts, then nothing for 15 minutes."""
    with Receiver() as gone:
        url = gone.url
    told = line()
    webhooks.send(url, b"{}", told)
    for _ in range(5):
        assert webhooks.settle(10.0)
        clock.advance(40)
        webhooks.retry_due()
    assert webhooks.settle(10.0)
    assert (told.outcome, told.attempts, told.status) == ("failed", 6, None)
    assert "Given up after 6 attempts" in told.detail
    soon, later = line(), line()
    clock.advance(15 * 60 - 1)
    webhooks.send(url, b"{}", soon)
    assert (soon.outcome, soon.attempts) == ("not delivered", 0)
    clock.advance(1)
    webhooks.send(url, b"{}", later)
    assert webhooks.settle(10.0)
    assert later.attempts == 1


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_other_refusals_are_final(webhooks: Webhooks, status: int) -> None:
    """They are not tried again, and a redirect is not followed."""
    with Receiver() as other, Receiver(status, headers={"location": other.url}) as receiver:
        told = line()
        webhooks.send(receiver.url, b"{}", told)
        assert webhooks.settle(10.0)
        assert other.bodies == []
    assert (told.outcome, told.status, told.attempts) == ("failed", status, 1)
    assert webhooks.next_retry_s is None


def test_urls_are_shown_without_their_secrets() -> None:
    """Neither credentials nor what stands behind the question mark."""
    assert shown("https://me:secret@127.0.0.1:8443/hook?code=secret#x") == "https://127.0.0.1:8443/hook"
    assert shown("http://[::1]:80/") == "http://[::1]:80/"
    assert shown("http://[") == "(not a URL)"
