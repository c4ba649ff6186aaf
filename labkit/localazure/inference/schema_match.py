"""Whether a value fits a JSON schema: enough of the standard to choose between simulated values.

Patterns and formats are not looked at: a pattern that a student sends may take forever to match.
"""

from collections.abc import Callable, Mapping
from typing import Any

from labkit.localazure.inference.json_pointer import find

# How many schemas are looked at for one value; what is left is taken to fit.
_MOST_STEPS = 4_000

_IS_TYPE: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (isinstance(value, int) and not isinstance(value, bool)) or _is_whole(value),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def matches(value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    """True when ``value`` fits ``schema``, a well-formed part of ``root``."""
    return _Matcher(root).matches(value, schema)


class _Matcher:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._steps = 0

    def matches(self, value: Any, schema: Any) -> bool:
        self._steps += 1
        if isinstance(schema, bool) or self._steps > _MOST_STEPS:
            return schema is not False
        return (
            _is_of_type(value, schema)
            and _is_one_of(value, schema)
            and self._fits_inside(value, schema)
            and self._fits_together(value, schema)
        )

    def _fits_inside(self, value: Any, schema: Mapping[str, Any]) -> bool:
        if isinstance(value, str):
            return _fits_size(len(value), schema, "Length")
        if isinstance(value, list):
            return self._fits_array(value, schema)
        if isinstance(value, dict):
            return self._fits_object(value, schema)
        return isinstance(value, bool) or value is None or _fits_number(value, schema)

    def _fits_array(self, value: list[Any], schema: Mapping[str, Any]) -> bool:
        first = schema.get("prefixItems", ())
        rest = schema.get("items", True)
        schemas = [first[place] if place < len(first) else rest for place in range(len(value))]
        distinct = not schema.get("uniqueItems") or not any(same(v, w) for i, v in enumerate(value) for w in value[:i])
        return (
            _fits_size(len(value), schema, "Items")
            and distinct
            and all(self.matches(item, inner) for item, inner in zip(value, schemas, strict=True))
        )

    def _fits_object(self, value: dict[str, Any], schema: Mapping[str, Any]) -> bool:
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        if "patternProperties" in schema:
            others = True
        return (
            _fits_size(len(value), schema, "Properties")
            and all(name in value for name in schema.get("required", ()))
            and all(self.matches(inner, properties.get(name, others)) for name, inner in value.items())
        )

    def _fits_together(self, value: Any, schema: Mapping[str, Any]) -> bool:
        target = find(self._root, schema["$ref"]) if "$ref" in schema else True
        return (
            self.matches(value, True if target is None else target)
            and all(self.matches(value, part) for part in schema.get("allOf", ()))
            and ("anyOf" not in schema or any(self.matches(value, part) for part in schema["anyOf"]))
            and ("oneOf" not in schema or sum(self.matches(value, part) for part in schema["oneOf"]) == 1)
            and ("not" not in schema or not self.matches(value, schema["not"]))
        )


def same(one: Any, other: Any) -> bool:
    """True when JSON takes both for one value: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


def _is_of_type(value: Any, schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    if kinds is None:
        return True
    return any(_IS_TYPE[kind](value) for kind in ((kinds,) if isinstance(kinds, str) else kinds))


def _is_one_of(value: Any, schema: Mapping[str, Any]) -> bool:
    if "const" in schema and not same(value, schema["const"]):
        return False
    return "enum" not in schema or any(same(value, allowed) for allowed in schema["enum"])


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _fits_size(size: int, schema: Mapping[str, Any], what: str) -> bool:
    return bool(schema.get(f"min{what}", 0) <= size <= schema.get(f"max{what}", size))


def _fits_number(value: float, schema: Mapping[str, Any]) -> bool:
    step = schema.get("multipleOf")
    return (
        ("minimum" not in schema or value >= schema["minimum"])
        and ("maximum" not in schema or value <= schema["maximum"])
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and (step is None or is_multiple(value, step))
    )


def is_multiple(value: float, step: float) -> bool:
    """True when ``value`` is a whole number of ``step``s, as exactly as floating point numbers can say."""
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        return (value / step).is_integer()
    except OverflowError:
        return False
