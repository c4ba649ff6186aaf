"""One row of the tables: what is sent, what must come back, and where that was seen."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.localazure.state import Azure
from tests.localazure.asking import Asker, account_of
from tests.localazure.conformance.sent import MANAGEMENT, Sent
from tests.localazure.conftest import Answer, Caller

# A public issue or pull request with the month it was written; a published document, or a file of a public repository,
# with the day it was read; what was measured with a real client; or, where nothing was found, what was chosen here.
SOURCE = re.compile(
    r"[\w.-]+/[\w.-]+#\d+ \(20\d\d-\d\d\)(; .+)?"
    r"|(Microsoft Learn|OpenAI API reference|RFC \d+|azure-resource-manager-rpc)\b.*, read 20\d\d-\d\d-\d\d"
    r"|[\w.-]+/[\w.-]+, \S+, read 20\d\d-\d\d-\d\d"
    r"|measured with .+, 20\d\d-\d\d"
    r"|ours: .+"
)


@dataclass(frozen=True)
class Case:
    """A row. ``body`` and ``headers`` are what must come back.

    In them a text stands for itself, a compiled pattern for any text it is found in, a type for any value of it, and
    ``...`` for anything. An object has the keys given and no others, a list has as many items. ``given`` prepares the
    local Azure.
    """

    name: str
    sent: Sent
    status: int
    source: str
    body: object = ...
    headers: Mapping[str, object] = field(default_factory=dict)
    given: Callable[[Azure], object] = lambda azure: None


def answer_to(case: Case, call: Caller) -> Answer:
    """What a local Azure answers to the request of ``case``."""
    ask = Asker(call)
    case.given(ask.azure)
    sent = case.sent
    headers = {**_authorization(ask, sent.auth), **sent.headers}
    return call(sent.method, sent.path, sent.document, body=sent.body, headers=headers)


def check(case: Case, call: Caller) -> None:
    """Send the request of ``case``; AssertionError lists everything that came back otherwise."""
    answer = answer_to(case, call)
    differences = list(_differences(case.status, answer.status, "status"))
    if case.body is not ...:
        differences += _differences(case.body, answer.json if answer.body else None, "body")
    for name, expected in case.headers.items():
        differences += _differences(expected, answer.headers.get(name), name)
    assert not differences, "\n".join([*differences, f"source: {case.source}"])


def _authorization(ask: Asker, auth: str) -> dict[str, str]:
    if auth == "key":
        return {"api-key": account_of(ask.azure).keys[0]}
    if auth == "identity":
        return {"X-IDENTITY-HEADER": ask.azure.identity.header_secret}
    if auth == "none":
        return {}
    token = ask.azure.identity.issue(MANAGEMENT if auth == "expired" else auth)["access_token"]
    if auth == "expired":
        ask.azure.clock.advance(100_000)
    return {"Authorization": f"Bearer {token}"}


def _differences(expected: Any, actual: Any, place: str) -> Iterator[str]:
    if expected is ...:
        return
    if isinstance(expected, re.Pattern):
        if not isinstance(actual, str) or expected.search(actual) is None:
            yield f"{place}: {actual!r} does not match {expected.pattern!r}"
    elif isinstance(expected, type):
        if type(actual) is not expected:
            yield f"{place}: {actual!r} is no {expected.__name__}"
    elif isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if expected.keys() != actual.keys():
            yield f"{place}: has the keys {sorted(actual)}, not {sorted(expected)}"
        for name in expected.keys() & actual.keys():
            yield from _differences(expected[name], actual[name], f"{place}.{name}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (mine, other) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(mine, other, f"{place}[{number}]")
    elif expected != actual:
        yield f"{place}: is {actual!r}, not {expected!r}"


def text(pattern: str) -> re.Pattern[str]:
    """A text that ``pattern`` is found in."""
    return re.compile(pattern)


def error(code: str | None, message: str, **others: object) -> dict[str, object]:
    """The body of an error with a ``code`` and a ``message`` (a pattern); ``others`` are its further fields."""
    return {"error": {"code": code, "message": text(message), **others}}


def invalid(code: str | None, param: str | None, message: str) -> dict[str, object]:
    """The body of an ``invalid_request_error``."""
    return error(code, message, type="invalid_request_error", param=param)
