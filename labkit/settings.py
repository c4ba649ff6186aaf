"""The environment variables that labkit reads, and those it sets for a local Azure and takes back."""

import os
from collections.abc import Mapping
from typing import TypeVar

from labkit.errors import InvalidRequestError

_Number = TypeVar("_Number", int, float)

# Variable -> (its value before labkit set it, or None; the value labkit set).
_ours: dict[str, tuple[str | None, str]] = {}


def set_all(values: Mapping[str, str]) -> None:
    """Sets environment variables for this process and those it starts, until ``take_back()``."""
    for name, value in values.items():
        before = _ours[name][0] if name in _ours else os.environ.get(name)
        _ours[name] = (before, value)
        os.environ[name] = value


def take_back() -> None:
    """Gives every variable that labkit set its earlier value; one that somebody has changed since stays."""
    for name, (before, ours) in _ours.items():
        if os.environ.get(name) != ours:
            continue
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    _ours.clear()


def without_proxy(host: str) -> dict[str, str]:
    """``NO_PROXY`` with ``host`` added, in both spellings: which one counts differs from library to library."""
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [name.strip() for name in exempt.split(",") if name.strip()]
    value = ",".join(hosts if host in hosts else [*hosts, host])
    return {"NO_PROXY": value, "no_proxy": value}


def missing(*names: str) -> str:
    """``"A and B are"`` for the variables that are not set; an empty text when all are."""
    absent = [name for name in names if not os.environ.get(name)]
    return " and ".join(absent) + (" are" if len(absent) > 1 else " is" if absent else "")


def number(name: str, default: _Number) -> _Number:
    """The number in the variable ``name``, of the type of ``default``; ``InvalidRequestError`` for anything else."""
    text = os.environ.get(name)
    if not text:
        return default
    try:
        return type(default)(text)
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise InvalidRequestError(f"The environment variable {name} is {text!r}: give {kind}, or unset it.") from None
