"""The shape of an answer: which fields a document has and of which types, which events a stream has in which order."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tests.localazure.conftest import Answer

# The types found at each path, such as ``choices[].message.content``; the items of a list share one path.
Shape = Mapping[str, frozenset[str]]

_TYPES = {bool: "bool", int: "number", float: "number", str: "text", list: "list", dict: "object", type(None): "null"}


@dataclass(frozen=True)
class AnswerShape:
    """What two answers to the same request have in common when they come from the same service.

    ``events`` are the names of a stream's events in order, repetitions of the same one left out; empty for an answer
    that is no stream.
    """

    status: int
    headers: frozenset[str]
    body: Shape
    events: tuple[str, ...] = ()


def shape_of(answer: Answer) -> AnswerShape:
    """The shape of ``answer``, whose body is JSON or a stream of events."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    events: tuple[str, ...] = ()
    if headers.get("content-type", "").startswith("text/event-stream"):
        found = list(_events(answer.body.decode()))
        events = tuple(name for name, _ in groupby(name for name, _ in found))
        documents = [(name, document) for name, document in found if document is not None]
        body = document_shape(documents, by_kind=True)
    else:
        body = document_shape([("", json.loads(answer.body))] if answer.body else [])
    return AnswerShape(answer.status, frozenset(headers), body, events)


def document_shape(documents: Iterable[tuple[str, object]], *, by_kind: bool = False) -> Shape:
    """The shape of several documents together; with ``by_kind`` those of each kind apart."""
    found: dict[str, set[str]] = {}
    for kind, document in documents:
        for path, type_name in _walk(document, f"{kind}:" if by_kind else ""):
            found.setdefault(path, set()).add(type_name)
    return {path: frozenset(types) for path, types in found.items()}


def differences(real: AnswerShape, local: AnswerShape) -> list[str]:
    """What ``local`` has otherwise than ``real``, one line each, sorted within its group."""
    found = []
    if real.status != local.status:
        found.append(f"status: {real.status} there, {local.status} here")
    found += [f"header {name}: missing here" for name in sorted(real.headers - local.headers)]
    found += [f"header {name}: only here" for name in sorted(local.headers - real.headers)]
    if real.events != local.events:
        found.append(f"events: {', '.join(real.events)} there, {', '.join(local.events)} here")
    return found + _body_differences(real.body, local.body)


def unexpected(found: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The differences that none of the ``known`` patterns, each with its reason, matches."""
    return [line for line in found if not any(re.search(pattern, line) for pattern in known)]


def _body_differences(real: Shape, local: Shape) -> list[str]:
    found = []
    for path in sorted(real.keys() | local.keys()):
        there, here = real.get(path, frozenset()), local.get(path, frozenset())
        if not here:
            # What stands in something that is missing is not listed again.
            if _outer(path) in local or _outer(path) == "":
                found.append(f"{path}: missing here")
        elif not there:
            if _outer(path) in real or _outer(path) == "":
                found.append(f"{path}: only here")
        elif there != here:
            found.append(f"{path}: {'|'.join(sorted(there))} there, {'|'.join(sorted(here))} here")
    return found


def _outer(path: str) -> str:
    """The path of what holds the value at ``path``, empty for the whole document."""
    return path[:-2] if path.endswith("[]") else path.rpartition(".")[0]


def _walk(value: object, path: str) -> Iterator[tuple[str, str]]:
    yield path, _TYPES[type(value)]
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, f"{path}[]")


def _events(body: str) -> Iterator[tuple[str, Any]]:
    """The name and the document of each event. A chunk of chat completions is named after what is in it."""
    for block in body.replace("\r\n", "\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        data = lines.get("data")
        if data == "[DONE]":
            yield "[DONE]", None
        elif data is not None:
            document = json.loads(data)
            yield lines.get("event") or _chunk_name(document), document


def _chunk_name(chunk: Mapping[str, Any]) -> str:
    if "prompt_filter_results" in chunk:
        return "prompt filter"
    choices = chunk.get("choices")
    if not choices:
        return "usage"
    delta = choices[0].get("delta", {})
    if choices[0].get("finish_reason") is not None:
        return "end"
    return "role" if "role" in delta else "content"
