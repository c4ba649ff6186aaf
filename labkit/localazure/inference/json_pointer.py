"""References inside a JSON schema: ``#``, ``#/$defs/Node``."""

from collections.abc import Mapping
from typing import Any

_MOST_PARTS = 32


def find(root: Mapping[str, Any], reference: str) -> Any | None:
    """The schema that ``reference`` names in ``root``: an object or True or False; None when there is none."""
    start, _, path = reference.partition("/")
    if start != "#":
        return None
    found: Any = root
    parts = path.split("/", _MOST_PARTS) if path else []
    for part in parts:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
            found = found[int(name[:9])]
        else:
            return None
    return found if isinstance(found, Mapping | bool) else None
