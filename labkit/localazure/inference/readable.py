"""What a called function gave, in words: JSON as names and values, any other text as it is, both at moderate length."""

from collections.abc import Iterator
from typing import Any

import orjson

_MOST_VALUES = 12
_VALUE_CHARACTERS = 120
_TEXT_CHARACTERS = 600


def readable(text: str) -> str:
    """``text`` to be put into a sentence: ``{"temp": 18, "sky": "clear"}`` becomes "temp 18, sky clear"."""
    if text[:1] in ("{", "["):
        try:
            return ", ".join(_values(orjson.loads(text), "")) or text[:_TEXT_CHARACTERS]
        except orjson.JSONDecodeError:
            pass
    return text.strip().removesuffix(".")[:_TEXT_CHARACTERS]


def _values(value: Any, name: str) -> list[str]:
    """The first values inside ``value``, each after its name, from the outside in and without recursion."""
    found: list[str] = []
    waiting: list[tuple[str, Any]] = [(name, value)]
    while waiting and len(found) < _MOST_VALUES:
        name, value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += reversed(list(_members(name, value)))
        else:
            shown = value if isinstance(value, str) else orjson.dumps(value).decode()
            found.append(f"{name} {shown}".strip()[:_VALUE_CHARACTERS])
    return found


def _members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from list(value.items())[:_MOST_VALUES]
    else:
        for item in value[:_MOST_VALUES]:
            yield name, item
