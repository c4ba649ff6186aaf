"""The filter of a metrics query: ``ModelDeploymentName eq 'chat' and StatusCode eq '*'``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_TERM = re.compile(r"\s*(?P<name>[^()']+?)\s+(?P<operator>eq|ne|sw)\s+'(?P<value>(?:[^']|'')*)'\s*", re.IGNORECASE)
_JOIN = re.compile(r"\s*(and|or)\s+", re.IGNORECASE)
_MAX_TERMS = 50
_MAX_CHARACTERS = 4_000


class BadFilterError(Exception):
    """A filter that cannot be read; the message says where."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on a dimension; the value ``*`` with ``eq`` lets everything pass."""

    name: str
    operator: str
    value: str

    def holds(self, given: str) -> bool:
        """True when ``given`` meets the condition; values are compared without regard to case."""
        value, own = given.lower(), self.value.lower()
        if self.operator == "sw":
            return value.startswith(own)
        if self.operator == "ne":
            return value != own
        return own == "*" or value == own


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions by dimension, in the order they were given: one of each dimension's must hold (every ``ne`` must)."""

    terms: Mapping[str, tuple[Term, ...]]

    @property
    def names(self) -> list[str]:
        """The dimensions that it names."""
        return list(self.terms)

    def keeps(self, dimensions: Mapping[str, str]) -> bool:
        """True when a series with these dimension values passes."""
        given = {name.lower(): value for name, value in dimensions.items()}
        return all(_pass(terms, given.get(name.lower(), "")) for name, terms in self.terms.items())


def _pass(terms: tuple[Term, ...], value: str) -> bool:
    refused = any(term.operator == "ne" and not term.holds(value) for term in terms)
    wanted = [term for term in terms if term.operator != "ne"]
    return not refused and (not wanted or any(term.holds(value) for term in wanted))


def parse(text: str) -> Filter:
    """The conditions in ``text``, which may be empty; ``BadFilterError`` when it cannot be read.

    As azure-monitor-querymetrics 1.0 describes it (``query_resources``): ``and`` between dimensions, ``or`` between
    values of one. Round brackets in names and values come escaped twice.
    """
    terms: dict[str, list[Term]] = {}
    if len(text) > _MAX_CHARACTERS:
        raise BadFilterError(f"The filter has {len(text)} characters; it may have {_MAX_CHARACTERS}.")
    rest, joined, last = text.strip(), "and", ""
    while rest:
        match = _TERM.match(rest.lstrip("( "))
        if match is None:
            raise BadFilterError(
                f"The filter cannot be read at '{rest[:40]}'. It is like Name eq 'value' and Other eq '*'."
            )
        term = Term(_plain(match["name"]), match["operator"].lower(), _plain(match["value"].replace("''", "'")))
        if joined == "or" and term.name.lower() != last:
            raise BadFilterError("'or' stands between values of one dimension; between dimensions there is 'and'.")
        last = term.name.lower()
        terms.setdefault(last, []).append(term)
        rest, joined = _joined(rest.lstrip("( ")[match.end() :])
        if sum(map(len, terms.values())) > _MAX_TERMS:
            raise BadFilterError(f"The filter has more than {_MAX_TERMS} conditions.")
    return Filter({of_one[0].name: tuple(of_one) for of_one in terms.values()})


def _joined(rest: str) -> tuple[str, str]:
    """What follows a condition, and whether 'and' or 'or' leads to it."""
    rest = rest.lstrip(") ")
    if not rest:
        return "", "and"
    match = _JOIN.match(rest)
    if match is None:
        raise BadFilterError(f"The filter cannot be read at '{rest[:40]}': 'and' or 'or' is missing.")
    return rest[match.end() :], match[1].lower()


def _plain(text: str) -> str:
    return unquote(unquote(text)) if "%" in text else text
