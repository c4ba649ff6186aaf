"""Nothing is sent without a row: every error code and every header in the source of the faces has one."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import labkit.localazure
from tests.localazure.conformance.test_sources import FACES

_HEADER = re.compile(rb"[a-z][a-z0-9-]+")
SOURCE = Path(labkit.localazure.__file__).parent
# The local Azure's own API and pages: nothing of Azure's to conform to.
OWN = ("admin", "classroom.py", "console", "faults")
# The place of the code among the arguments of what makes an error.
MAKERS = {"AzureError": 1, "bad_request": 1, "invalid": 0, "_challenge": 0}
# What a row cannot show, and where it is tested instead.
ELSEWHERE = {
    "405": "test_telemetry.py here: the ingestion's errors have a status for a code",
    "412": "test_monitoring.py here: a budget must be there first",
    "StateNotSaved": "test_statefile.py: the local Azure's own, for a disk that is full",
    "Unauthorized": "test_callers.py here: the gateway's errors show no code",
    "content-length": "test_wire.py: the server's",
    "forbidden": "test_identity.py here: a server shared by a class",
}


def test_every_error_code_has_a_row() -> None:
    """A new error needs a row in this folder, with the source that its code and its words come from."""
    missing = set(_codes_written()) - _codes_in_rows() - ELSEWHERE.keys()
    assert not missing, f"No row of tests/localazure/conformance has: {', '.join(sorted(missing))}"


def test_every_header_has_a_row() -> None:
    """So does a new header."""
    missing = set(_headers_written()) - {name for case in _cases() for name in case.headers} - ELSEWHERE.keys()
    assert not missing, f"No row of tests/localazure/conformance has: {', '.join(sorted(missing))}"


def _cases() -> Iterator[Any]:
    for face in FACES:
        yield from face.CASES


def _codes_in_rows() -> set[str]:
    codes: set[str] = set()
    for case in _cases():
        error = case.body.get("error") if isinstance(case.body, Mapping) else None
        code = error.get("code") if isinstance(error, Mapping) else error
        codes |= {code} if isinstance(code, str) else set()
    return codes


def _nodes() -> Iterator[ast.AST]:
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).parts[0] not in OWN:
            yield from ast.walk(ast.parse(path.read_text("utf-8")))


def _codes_written() -> Iterator[str]:
    """The codes that stand in the source as such; those that are put together belong to the same readers."""
    for node in _nodes():
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = MAKERS.get(name)
        if place is not None and len(node.args) > place:
            code = node.args[place]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield code.value


def _headers_written() -> Iterator[str]:
    """The names of headers: the first of two in a pair of bytes."""
    for node in _nodes():
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            name = node.elts[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, bytes) and _HEADER.fullmatch(name.value):
                yield name.value.decode()
