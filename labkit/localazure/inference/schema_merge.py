"""One JSON schema out of several: references followed, ``allOf`` and branches put together with what is beside them."""

from collections.abc import Callable, Mapping
from typing import Any

from labkit.localazure.inference.json_pointer import find
from labkit.localazure.inference.schema_match import same

# How many references and parts are followed for one value; some schemas go round in circles.
_MOST_STEPS = 4_000
_MOST_HOPS = 32

_TIGHTER: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "enum": lambda one, other: [value for value in one if any(same(value, also) for also in other)] or other,
    "uniqueItems": lambda one, other: one or other,
    "items": lambda one, other: _both(one, other),
    "additionalProperties": lambda one, other: _both(one, other),
    "properties": lambda one, other: {
        **one,
        **{name: _both(one[name], inner) if name in one else inner for name, inner in other.items()},
    },
}


class Merger:
    """Flattens the schemas inside one root."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MOST_STEPS

    def flat(self, schema: Any, hops: int = 0) -> Mapping[str, Any]:
        """``schema`` without ``$ref`` and ``allOf``; an empty one when it goes in circles."""
        self._left -= 1
        if isinstance(schema, bool) or hops > _MOST_HOPS or self._left < 0:
            return {}
        if "$ref" not in schema and "allOf" not in schema:  # nearly every one
            return dict(schema)
        own = {name: value for name, value in schema.items() if name not in ("$ref", "allOf")}
        parts = list(schema.get("allOf", ()))
        if "$ref" in schema:
            parts.append(find(self._root, schema["$ref"]) or {})
        for part in parts:
            own = merged(own, self.flat(part, hops + 1))
        return own

    def branches(self, schema: Mapping[str, Any]) -> list[Any]:
        """The schemas of which one must fit: each of ``anyOf`` or ``oneOf`` with everything beside them."""
        beside = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf")}
        first = schema["anyOf"] if "anyOf" in schema else schema["oneOf"]
        branches = [merged(beside, self.flat(branch)) for branch in first]
        if "anyOf" in schema and "oneOf" in schema:
            return [{"allOf": [branch, {"oneOf": schema["oneOf"]}]} for branch in branches]
        return branches


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A schema for what fits both."""
    result = dict(one)
    for name, value in other.items():
        if name not in result:
            result[name] = value
        elif name == "type":
            result[name] = _common_types(result[name], value)
        else:
            result[name] = _TIGHTER.get(name, _last)(result[name], value)
    return result


def _common_types(one: Any, other: Any) -> Any:
    first, second = ((kinds,) if isinstance(kinds, str) else tuple(kinds) for kinds in (one, other))
    common = [kind for kind in first if kind in second]
    if not common and {"integer", "number"} <= {*first, *second}:
        common = ["integer"]
    return (common[0] if len(common) == 1 else common) or other


def _both(one: Any, other: Any) -> Any:
    """A schema for what fits both, of which each may be True or False."""
    if one is False or other is False:
        return False
    return {"allOf": [part for part in (one, other) if part is not True]} if (one, other) != (True, True) else True


def _last(one: Any, other: Any) -> Any:
    return other
