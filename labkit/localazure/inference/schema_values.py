"""Values for JSON schemas: what a simulated model puts into a tool's arguments and into structured answers.

A value fits its schema whenever one of moderate size does and its keywords are known here; it is a pure function of the
schema, the text it is filled from and a few bytes. Work and size are bounded whatever the schema asks for.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit.localazure.inference import pattern_text
from labkit.localazure.inference.schema_leaves import Leaves, Source
from labkit.localazure.inference.schema_match import is_multiple, matches, same
from labkit.localazure.inference.schema_merge import Merger

Schema = Mapping[str, Any]

_MOST_VALUES = 2_000
_DEEP = 4
_DEEPEST = 40
_MOST_ITEMS = 200
_MOST_BRANCHES = 8
_MOST_LISTED = 5
_KINDS_BY_KEYWORD = (
    ("object", ("properties", "required", "additionalProperties", "minProperties", "maxProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "uniqueItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)


class Made(NamedTuple):
    """A value, and what of the source's answer went into it (None when nothing did)."""

    value: Any
    answer: str | None


def make(schema: Schema, source: Source) -> Made:
    """A value for ``schema``, which ``schema_rules.problem`` has nothing against."""
    maker = _Maker(schema, source)
    value = maker.value(schema, "", 0)
    return Made(value, maker.leaves.placed)


class _Maker:
    def __init__(self, root: Schema, source: Source) -> None:
        self._root = root
        self._merger = Merger(root)
        self._left = _MOST_VALUES
        self._mentions = source.mentions
        self.leaves = Leaves(root, source)

    def value(self, schema: Any, name: str, depth: int, turn: int = 0) -> Any:
        """A value for ``schema``, which is the property ``name``'s; ``turn`` tells those of one array apart."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            return None
        flat = self._merger.flat(schema)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            allowed = [value for value in flat["enum"] if matches(value, flat, self._root)]
            return self.leaves.chosen(allowed or flat["enum"], name, turn)
        if "anyOf" in flat or "oneOf" in flat:
            return self._branch(flat, name, depth, turn)
        return self._of_kind(_kind(flat, depth), flat, name, depth, turn)

    def _of_kind(self, kind: str, schema: Schema, name: str, depth: int, turn: int) -> Any:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._number(schema, name, turn, whole=kind == "integer")
        if kind == "boolean":
            return self.leaves.truth(turn)
        return None if kind == "null" else self._string(schema, name, turn)

    def _branch(self, schema: Schema, name: str, depth: int, turn: int) -> Any:
        first: list[Any] = []
        for branch in self._ranked(self._merger.branches(schema), depth)[:_MOST_BRANCHES]:
            made = self.value(branch, name, depth, turn)
            if matches(made, schema, self._root):
                return made
            first = first or [made]
        return first[0] if first else None

    def _ranked(self, branches: list[Any], depth: int) -> list[Any]:
        """The branches in the order they are tried: deep down those first that end there, else null last."""
        flat = [self._merger.flat(branch) for branch in branches]
        if depth > _DEEP:
            return sorted(flat, key=lambda branch: _kind(branch, depth) in ("object", "array"))
        return sorted(flat, key=lambda branch: branch.get("type") == "null")

    # -- objects and arrays ------------------------------------------------------------------------------------

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        wanted = dict.fromkeys(name for name in properties if self._wants(name, schema, depth))
        wanted |= dict.fromkeys(required)
        spare = (name for name in properties if name not in wanted)
        while len(wanted) < min(schema.get("minProperties", 0), _MOST_ITEMS):
            wanted[next(spare, f"property{len(wanted) + 1}")] = None
        other = schema.get("additionalProperties", True)
        return {name: self.value(properties.get(name, other), name, depth + 1) for name in wanted}

    def _wants(self, name: str, schema: Schema, depth: int) -> bool:
        """Whether a property that may be left out is not: when nothing is said to be required, or the prompt names it.

        All of them would be too many where ``maxProperties`` says so.
        """
        if name in schema.get("required", ()):
            return True
        if "maxProperties" in schema or schema["properties"][name] is False:
            return False
        if "required" not in schema:
            return depth <= 1
        inner = self._merger.flat(schema["properties"][name])
        return any(isinstance(value, str) and self.leaves.is_named(value) for value in inner.get("enum", ()))

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        first, rest = schema.get("prefixItems", ()), schema.get("items", True)
        least, most = schema.get("minItems", 0), min(schema.get("maxItems", _MOST_ITEMS), _MOST_ITEMS)
        schemas = [first[place] if place < len(first) else rest for place in range(self._size(schema, least, depth))]
        made: list[Any] = []
        for turn, inner in enumerate(schemas[:most]):
            if inner is False or self._left <= 0:
                break
            value = self.value(inner, name, depth + 1, turn)
            if not schema.get("uniqueItems") or not any(same(value, other) for other in made):
                made.append(value)
        return made

    def _size(self, schema: Schema, least: int, depth: int) -> int:
        """How many items to try: as few as may be when deep down, else some more, and spare ones to be unique."""
        if depth > _DEEP:
            wanted = least
        else:
            listed = min(len(self._mentions.listed), _MOST_LISTED)
            wanted = max(least, len(schema.get("prefixItems", ())), listed, 1 if depth > 1 else 2)
        return min(wanted + (4 if schema.get("uniqueItems") and wanted else 0), _MOST_ITEMS)

    # -- numbers and texts -------------------------------------------------------------------------------------

    def _number(self, schema: Schema, name: str, turn: int, *, whole: bool) -> float:
        step = schema.get("multipleOf")
        for value in self.leaves.numbers(name, turn):
            if (not whole or float(value).is_integer()) and matches(value, {**schema, "type": "number"}, self._root):
                self.leaves.take(value)
                return _whole(value) if whole else value
        low, high = _range(schema, whole)
        if step is not None:
            return _multiple(step, low, high, turn, (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")))
        start = max(low, min(1.0, high))
        value = next((value for value in (start + turn, start - turn) if low <= value <= high), start)
        return _whole(value) if whole else _inside(value, low, high, schema)

    def _string(self, schema: Schema, name: str, turn: int) -> str:
        least, most = min(schema.get("minLength", 0), _MOST_VALUES), schema.get("maxLength", math.inf)
        if "pattern" in schema:
            return pattern_text.example(schema["pattern"])
        if "format" in schema and (text := self.leaves.formatted(schema["format"])) is not None:
            return text
        for text in self.leaves.texts(name, turn):
            if least <= len(text) <= most:
                self.leaves.take(text)
                return text
        return _sized(self.leaves.words(name, turn), least, most)


def _kind(schema: Schema, depth: int) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return kinds
    if kinds:
        if depth > _DEEP and "null" in kinds:
            return "null"
        return str(next((kind for kind in kinds if kind != "null"), "null"))
    return next((kind for kind, words in _KINDS_BY_KEYWORD if any(word in schema for word in words)), "string")


def _range(schema: Schema, whole: bool) -> tuple[float, float]:
    """The lowest and the highest number; the bounds of whole numbers are whole and may be reached."""
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    low, high = max(schema.get("minimum", -math.inf), above), min(schema.get("maximum", math.inf), below)
    if whole and not math.isinf(low):
        low = math.ceil(low) + (math.ceil(low) <= above)
    if whole and not math.isinf(high):
        high = math.floor(high) - (math.floor(high) >= below)
    return low, high


def _inside(value: float, low: float, high: float, schema: Schema) -> float:
    """``value``, moved off a bound that may not be reached."""
    if value in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
        if not math.isinf(low) and not math.isinf(high):
            return low + (high - low) / 2
        return value + 1 if value == low else value - 1
    return value


def _multiple(step: float, low: float, high: float, turn: int, without: tuple[float | None, ...]) -> float:
    """A multiple of ``step`` from ``low`` to ``high``, the ``turn``-th that floating point numbers can tell is one.

    It is none of ``without``: bounds that may not be reached.
    """
    start = 0.0 if math.isinf(low) and high >= 0 else high / step - 63 if math.isinf(low) else low / step
    if not math.isfinite(start):
        return step
    least = math.ceil(start)
    found = (step * place for place in range(least, least + 64))
    fitting = [value for value in found if low <= value <= high and value not in without and is_multiple(value, step)]
    value = fitting[turn % len(fitting)] if fitting else step * least
    return _whole(value) if float(value).is_integer() else value


def _whole(value: float) -> float:
    """``value`` without decimals; as it is when JSON's writers could not take it as an integer."""
    return int(value) if abs(value) < 2**63 else float(value)


def _sized(text: str, least: int, most: float) -> str:
    """``text``, repeated or cut to the length that is asked for."""
    while text and len(text) < least:
        text = f"{text} {text}"
    return (text or "a" * least)[: int(min(most, max(least, 400)))]
