"""Ways to bend a request, for ``hostile.py``: a pure function of the samples and a source of chance."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

from samples import Sample

ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        2**31,
        2**63,
        -(2**70),
        1e308,
        -0.5,
        "",
        " ",
        "0",
        "null",
        "\x00",
        "\ud800",
        "ą" * 5_000,
    ),
    *("../" * 20, "'; drop table x; --", "${jndi:ldap://x}", "<script>", "%00%ff", "𝒳" * 300, "a" * 70_000),
    *([], {}, [[]], [None] * 3_000, {"": None}, {"$ref": "#"}, {"type": {"type": "object"}}, [{"a": [{"b": [1]}]}]),
]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW", "")
HEADERS = (
    *(("content-type", "text/xml"), ("content-encoding", "gzip"), ("content-encoding", "br"), ("accept", "nothing")),
    *(("x-ms-client-request-id", "a" * 9_000), ("x-ms-client-request-id", "ü\t"), ("authorization", "Bearer a.b.c")),
    *(("authorization", "Basic eDp4"), ("host", "example.org"), ("expect", "100-continue"), ("range", "bytes=0-")),
    *(("transfer-encoding", "chunked"), ("connection", "close"), ("x-stainless-retry-count", "-1"), ("api-key", "ü")),
    *(("if-match", "*"), ("prefer", "wait=9999999,include-statistics=true"), ("cookie", "a=b;" * 500)),
)


class Sent(NamedTuple):
    """What goes over the wire."""

    bytes: bytes


def plain(method: str, address: str, headers: Sequence[tuple[str, str]], body: bytes | None) -> Sent:
    """A request as it should be; without a body the headers say whether one is announced."""
    lines = [f"{method} {address} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return Sent("\r\n".join((*lines, "", "")).encode("utf-8", "replace") + (body or b""))


def bent(samples: Sequence[Sample], chance: Random) -> Sent:
    """One of the samples, bent in one to four ways."""
    sample = chance.choice(samples)
    method, address, headers = sample.method, sample.address, list(sample.headers)
    body = deepcopy(sample.body)
    for _ in range(chance.randint(1, 4)):
        way = chance.random()
        if way < 0.6 and body is not None:
            body = _bent_json(body, samples, chance)
        elif way < 0.7:
            address = _bent_text(address, chance)
        elif way < 0.8:
            headers = _bent_headers(headers, chance)
        elif way < 0.85:
            method = chance.choice(METHODS)
    written = None if body is None else json.dumps(body).encode("utf-8", "replace")
    sent = plain(method, address, headers, written)
    return Sent(_bent_bytes(sent.bytes, chance)) if chance.random() < 0.25 else sent


def _bent_json(document: Any, samples: Sequence[Sample], chance: Random) -> Any:
    places = _places(document)
    holder, key = chance.choice(places)
    what = chance.random()
    if holder is None:
        return _nested(chance) if what < 0.5 else deepcopy(chance.choice(ODD))
    if what < 0.5:
        holder[key] = deepcopy(chance.choice(ODD))
    elif what < 0.6:
        holder[key] = _nested(chance)
    elif what < 0.7 and isinstance(holder, dict):
        del holder[key]
    elif what < 0.8 and isinstance(holder, dict):
        holder[chance.choice(("", "messages", "tools", "stream", "properties", "__proto__", "\x00"))] = holder[key]
    else:
        others = [sample.body for sample in samples if isinstance(sample.body, dict)]
        holder[key] = deepcopy(chance.choice(others))
    return document


def _places(document: Any, holder: Any = None, key: Any = None) -> list[tuple[Any, Any]]:
    """Everywhere that something stands in the document, the whole of it included."""
    found = [(holder, key)]
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in inner:
        found += _places(value, document, name)
    return found


def _nested(chance: Random) -> Any:
    wrap: Callable[[Any], Any] = chance.choice((lambda inner: [inner], lambda inner: {"properties": {"a": inner}}))
    document: Any = 1
    for _ in range(chance.choice((5, 60, 200))):
        document = wrap(document)
    return document


def _bent_text(text: str, chance: Random) -> str:
    place = chance.randrange(len(text) + 1)
    return chance.choice(
        (
            text[:place],
            text[:place]
            + quote(chance.choice(("ą", "\x00", "\r\n", "/", "..", "%", "?", "&", "x" * 3_000)))
            + text[place:],
            text.replace("/", "//"),
            text.swapcase(),
            text.replace("2025", "1999"),
            text + "&api-version=never&$top=-1&timespan=P999999999Y",
        )
    )


def _bent_headers(headers: list[tuple[str, str]], chance: Random) -> list[tuple[str, str]]:
    if headers and chance.random() < 0.3:
        del headers[chance.randrange(len(headers))]
    else:
        headers.append(chance.choice(HEADERS))
    return headers


def _bent_bytes(sent: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(sent) + 1)
    return chance.choice(
        (
            sent[:place],
            sent[:place] + bytes([chance.randrange(256)]) + sent[place + 1 :],
            sent[:place] + chance.randbytes(20) + sent[place:],
            sent + sent[place:],
            sent * 2,
        )
    )
