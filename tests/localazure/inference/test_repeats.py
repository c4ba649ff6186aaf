"""Calls that come again are answered from what is known of them, and nothing but their speed shows it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from labkit.catalog import model
from labkit.localazure.app import App
from labkit.localazure.begun import Begun
from labkit.localazure.clock import ManualClock
from labkit.localazure.faults import Fault
from labkit.localazure.inference import chat_reply
from labkit.localazure.inference.chat_reply import Exchange
from labkit.localazure.inference.contentfilter import SAFE
from labkit.localazure.inference.latency import Latency
from labkit.localazure.inference.prompt import prompt_of
from labkit.localazure.inference.simulation import Answer
from labkit.localazure.resources import Account
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, Request
from tests.localazure.asking import BIG, SMALL, account_of, deploy

PATH = f"/openai/deployments/{BIG}/chat/completions"
BODY = b'{"messages":[{"role":"user","content":"What is 2 + 2?"}],"temperature":0,"max_tokens":50}'
Send = Callable[..., Reply]


@pytest.fixture
def azure() -> Azure:
    """A local Azure on a clock moved by hand, with deployments."""
    made = Azure(ManualClock(time.time()))
    deploy(made)
    return made


@pytest.fixture
def send(azure: Azure) -> Send:
    """Sends a small call as a connection hands it over, its body whole."""
    app = App(azure)

    def send(body: bytes = BODY, path: str = PATH, headers: Mapping[bytes, bytes] | None = None) -> Reply:
        scope = {
            "method": "POST",
            "path": path,
            "query_string": b"api-version=2024-10-21",
            "headers": headers if headers is not None else {b"api-key": account_of(azure).keys[0].encode()},
        }
        begun: Any = Begun(app.reply(Request(scope, None, body)))
        assert begun.is_done
        return begun.result  # type: ignore[no-any-return]

    return send


def told(reply: Reply) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Status, body and headers, without what every call has of its own."""
    own = {b"x-request-id", b"apim-request-id", b"x-ms-client-request-id"}
    left = {b"x-ratelimit-remaining-requests", b"x-ratelimit-remaining-tokens"}
    headers = {name: value for name, value in reply.headers if name not in own | left}
    id = dict(reply.headers)[b"x-request-id"].replace(b"-", b"")
    return reply.status, reply.body.replace(id, b"?"), headers


@pytest.mark.parametrize("body", [BODY, BODY[:-1] + b',"stream":true}'], ids=["plain", "streamed"])
def test_a_repetition_is_a_call_like_the_first(azure: Azure, send: Send, body: bytes) -> None:
    """The same answer and headers, an id and a journal entry of its own, counted against the limits."""
    replies = [send(body) for _ in range(5)]
    assert azure.repeats._kept, "nothing was kept: this test would test nothing"
    assert len({str(told(reply)) for reply in replies}) == 1
    assert len({dict(reply.headers)[b"x-request-id"] for reply in replies}) == 5
    left = [int(dict(reply.headers)[b"x-ratelimit-remaining-tokens"]) for reply in replies]
    assert len({before - after for before, after in zip(left, left[1:], strict=False)}) == 1
    entries = [entry.as_dict() for entry in azure.journal]
    assert [entry.pop("id") for entry in entries] == [1, 2, 3, 4, 5]
    assert all(entry.pop("duration_ms") >= 0 for entry in entries)
    assert entries.count(entries[0]) == 5
    (cell,) = azure.usage.days().values()
    assert (cell.requests, cell.prompt_tokens) == (5, 5 * entries[0]["prompt_tokens"])


def test_a_fault_still_hits_a_repetition(azure: Azure, send: Send) -> None:
    """Faults are looked at first, and when they are over the quick way is taken again."""
    for _ in range(3):
        send()
    azure.faults.add(Fault(status=503))
    assert [send().status for _ in range(3)] == [503, 200, 200]


def test_repetitions_meet_the_rate_limit(azure: Azure, send: Send) -> None:
    """No repetition passes a limit that a first call would not pass."""
    deploy(azure, BIG, capacity_ktpm=1)
    statuses = [send().status for _ in range(30)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    assert [entry.status for entry in azure.journal] == statuses


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(lambda azure: azure.resources.drop_deployment(account_of(azure).id, BIG), 404, id="deleted"),
        pytest.param(lambda azure: azure.resources.set_account(renewed(azure)), 401, id="key changed"),
    ],
)
def test_what_was_found_out_ends_with_a_change(
    azure: Azure, send: Send, change: Callable[[Azure], None], status: int
) -> None:
    """A deployment that is gone, a key that was changed: the next repetition is told so."""
    headers = {b"api-key": account_of(azure).keys[0].encode()}
    for _ in range(3):
        assert send(headers=headers).status == 200
    change(azure)
    assert send(headers=headers).status == status


def renewed(azure: Azure) -> Account:
    """The account with other keys."""
    old = account_of(azure)
    return Account(old.id, old.name, old.endpoint_name, old.location, ("new1", "new2"), old.local_auth_disabled)


def test_a_deployment_written_anew_answers_with_its_new_model(azure: Azure, send: Send) -> None:
    """The model behind a name may change between two repetitions."""
    for _ in range(3):
        send()
    before = [entry.model for entry in azure.journal][-1]
    old = azure.resources.deployment(account_of(azure), BIG)
    assert old is not None
    azure.resources.set_deployment(
        type(old)(old.id, old.name, old.account_id, model(SMALL), old.sku, old.capacity_ktpm, 0.0)
    )
    send()
    assert (before, [entry.model for entry in azure.journal][-1]) == (BIG, SMALL)


def test_a_token_that_expires_ends_the_quick_way(azure: Azure, send: Send) -> None:
    """An Entra token holds as long as it says, for repetitions, too."""
    token = azure.identity.issue("https://cognitiveservices.azure.com")["access_token"]
    headers = {b"authorization": b"Bearer " + token.encode()}
    assert [send(headers=headers).status for _ in range(3)] == [200] * 3
    azure.clock.advance(86_401)
    assert send(headers=headers).status == 401


def test_another_key_or_body_is_another_call(azure: Azure, send: Send) -> None:
    """What is kept answers the same bytes only."""
    for _ in range(3):
        send()
    assert send(headers={b"api-key": b"wrong"}).status == 401
    assert send(headers={}).status == 401
    assert send(BODY.replace(b"2 + 2", b"3 + 3")).body != send().body


def test_answers_that_vary_are_not_kept(azure: Azure, send: Send) -> None:
    """Above temperature 0 and without a seed every repetition is drawn anew."""
    for _ in range(4):
        send(BODY.replace(b'"temperature":0', b'"temperature":1'))
    assert not azure.repeats._kept


def test_what_is_kept_is_bounded(azure: Azure, send: Send) -> None:
    """The oldest calls go; a class that asks ten thousand questions twice does not fill the memory."""
    deploy(azure, BIG, capacity_ktpm=1_000_000)
    for number in range(600):
        for _ in range(2):
            send(BODY.replace(b"2 + 2", b"%d + 2" % number))
    assert len(azure.repeats._kept) == 512


@pytest.mark.parametrize("text", ["plain", 'a "quote" and \\ and \n', "żółw 🐢", "", "\x00", "987654301"])
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_body_from_the_template_is_the_body_written_in_full(text: str, reason: Any) -> None:
    """Whatever the text and the numbers."""
    prompt = prompt_of([{"role": "user", "content": "Hello"}], model(BIG))
    exchange = Exchange(model(BIG), prompt, [Answer(text, 17, 5, reason, Latency(1.0, 2.0))], SAFE)
    assert chat_reply.body(exchange) == chat_reply._written(exchange)
