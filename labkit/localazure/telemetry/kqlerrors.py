"""What is wrong with a query, where in its text, and how the service words it.

The shape and the words of a syntax error: recorded sessions of Azure/azure-sdk-for-js, sdk/monitor/monitor-query
("Query could not be parsed at 'invalid' on line [1,11]", 2021-09), and the .NET client's troubleshooting guide. Of an
unknown name: Azure/azure-cli-extensions#3002 (2021-02). ``line`` counts from 1 and ``pos`` from 0, as there.
"""

import re
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"//[^\n]*|@?\"(?:\\.|[^\"\\\n])*\"|@?'(?:\\.|[^'\\\n])*'|(?P<name>[A-Za-z_][\w-]*)|(?P<pipe>\|)|\S", re.DOTALL
)
_TEXT_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a query: ``line`` from 1, ``position`` from 0, and the operator it stands in."""

    line: int
    position: int
    token: str
    operator: str = ""


class QueryError(Exception):
    """A query that is refused; ``kind`` is SyntaxError or SemanticError, ``code`` the engine's own (SYN0002)."""

    def __init__(self, kind: str, code: str, message: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message[:_TEXT_LIMIT]
        self.place = place

    def inner(self) -> dict[str, Any]:
        """The ``innererror`` of the service's answer."""
        detail: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.place is not None:
            detail |= {"line": self.place.line, "pos": self.place.position, "token": self.place.token}
        said = "A recognition error occurred in the query."
        if self.kind == "SemanticError":
            said = "A semantic error occurred."
        return {"code": self.kind, "message": said, "innererror": detail}


class QueryLimitError(Exception):
    """A query that took too long or too much memory; the message says which and what to do."""


def not_parsed(kql: str, line: int, position: int) -> QueryError:
    """A text that is no KQL at that place."""
    token = _token_at(kql, line, position)
    # A pipe that cannot go on is one before a word that is no operator: that word is what the service names.
    place = _behind(kql, line, position) if token == "|" else Place(line, position, token)
    return QueryError(
        "SyntaxError",
        "SYN0002",
        f"Query could not be parsed at '{place.token}' on line [{place.line},{place.position}]",
        place,
    )


def too_complex(reason: str) -> QueryError:
    """A text that is not even read; the wording is ours."""
    return QueryError("SyntaxError", "SYN0001", reason)


def unknown_table(kql: str, name: str, known: list[str]) -> QueryError:
    """A table that the scope does not have; which it has is ours."""
    place = find(kql, name)
    operator = _operator_behind(kql, place)
    return QueryError(
        "SemanticError",
        "SEM0100",
        f"{operator}Failed to resolve table or column expression named '{name}'. There are: {', '.join(known)}.",
        place,
    )


def unknown_column(kql: str, name: str, known: list[str]) -> QueryError:
    """A column that is not there at that point of the query; which are is ours."""
    place = find(kql, name)
    operator = f"'{place.operator}' operator: " if place is not None and place.operator else ""
    near = f" There are: {', '.join(known)}." if known else ""
    message = f"{operator}Failed to resolve column or scalar expression named '{name}'.{near}"
    return QueryError("SemanticError", "SEM0100", message, place)


def unsupported(construct: str, hint: str, place: Place | None) -> QueryError:
    """KQL that the local Azure does not run, though the service may; the wording is ours."""
    because = f" ({hint})" if hint else ""
    return QueryError("SemanticError", "SEM0001", f"The local Azure does not run {construct}{because}.", place)


def find(kql: str, name: str) -> Place | None:
    """Where ``name`` first stands in the query, outside strings and comments."""
    operator, opens = "", False
    for match in _TOKEN.finditer(kql):
        if opens and match["name"]:
            operator, opens = match["name"], False
        opens = opens or bool(match["pipe"])
        if match["name"] == name:
            return _place(kql, match.start(), name, operator)
    return None


def _operator_behind(kql: str, place: Place | None) -> str:
    """The operator that takes the table: ``'where' operator: `` in front of the message, as the service writes."""
    if place is None:
        return ""
    rest = kql[_offset(kql, place.line, place.position) :]
    match = re.search(r"\|\s*([A-Za-z][\w-]*)", rest)
    return f"'{match[1]}' operator: " if match else ""


def place_at(kql: str, line: int, position: int) -> Place:
    """The place with the token that stands there."""
    return Place(line, position, _token_at(kql, line, position))


def _token_at(kql: str, line: int, position: int) -> str:
    match = re.compile(r"\w[\w-]*|\S").match(kql, _offset(kql, line, position))
    return match[0][:100] if match else ""


def _behind(kql: str, line: int, position: int) -> Place:
    match = re.compile(r"\|\s*(\w[\w-]*)").match(kql, _offset(kql, line, position))
    return _place(kql, match.start(1), match[1], "") if match else Place(line, position, "|")


def _offset(kql: str, line: int, position: int) -> int:
    before = kql.split("\n")[: line - 1]
    return min(len(kql), sum(len(text) + 1 for text in before) + position)


def _place(kql: str, offset: int, token: str, operator: str) -> Place:
    before = kql[:offset]
    return Place(before.count("\n") + 1, offset - (before.rfind("\n") + 1), token[:100], operator)
