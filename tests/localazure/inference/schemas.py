"""JSON schemas made by hypothesis: only ones that some value fits."""

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]

NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
VALUES = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5)


@st.composite
def strings(draw: st.DrawFn) -> Schema:
    """A schema for texts."""
    least = draw(st.integers(0, 12))
    schema: Schema = {"type": "string"}
    kind = draw(st.sampled_from(["any", "length", "format", "pattern"]))
    if kind == "length":
        schema |= {"minLength": least, "maxLength": least + draw(st.integers(0, 20))}
    if kind == "format":
        schema["format"] = draw(st.sampled_from(["date", "date-time", "time", "email", "uuid", "uri", "ipv4", "ipv6"]))
    if kind == "pattern":
        patterns = [
            r"^\d{3}-\d{4}$",
            "^[A-Z]{2,3}[0-9]+$",
            "^(a|b)+c?$",
            r"^@[a-zA-Z0-9_]+$",
            "^#(?:[0-9a-f]{3}){1,2}$",
        ]
        schema["pattern"] = draw(st.sampled_from(patterns))
    return schema


@st.composite
def numbers(draw: st.DrawFn) -> Schema:
    """A schema for numbers, with bounds that leave room for whole ones."""
    low = draw(st.integers(-1_000, 1_000))
    schema: Schema = {"type": draw(st.sampled_from(["integer", "number"]))}
    kinds = draw(st.sets(st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])))
    for kind in kinds:
        schema[kind] = {"multipleOf": draw(st.integers(1, 9))}.get(kind, low + 40 if "ax" in kind else low)
    return schema


def arrays(items: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """A schema for arrays of ``items``."""
    return st.builds(
        lambda inner, least, more: {"type": "array", "items": inner, "minItems": least, "maxItems": least + more},
        items,
        st.integers(0, 3),
        st.integers(0, 3),
    )


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Schema], *, strict: bool = False) -> Schema:
    """A schema for objects with properties of ``inner``; all of them required and no others allowed when strict."""
    properties = draw(st.dictionaries(NAMES, inner, max_size=4))
    schema: Schema = {"type": "object", "properties": properties}
    if strict:
        return schema | {"required": list(properties), "additionalProperties": False}
    if properties and draw(st.booleans()):
        schema["required"] = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.booleans())
    return schema


def composed(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """A schema of several."""
    nullable = st.builds(lambda schema: {"anyOf": [schema, {"type": "null"}]}, inner)
    either = st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner)
    only = st.builds(lambda schema: {"oneOf": [schema, {"type": "null"}]}, numbers() | strings())
    both = st.builds(lambda schema: {"allOf": [schema, {"description": "also"}]}, inner)
    return nullable | either | only | both


LEAVES = (
    strings()
    | numbers()
    | st.just({"type": "boolean"})
    | st.just({"type": "null"})
    | st.just({"type": ["string", "null"]})
    | st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=4))
    | st.builds(lambda value: {"const": value}, VALUES)
    | st.just({"$ref": "#/$defs/tree"})
)
SCHEMAS = st.recursive(LEAVES, lambda inner: arrays(inner) | objects(inner) | composed(inner), max_leaves=8)
TREE: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
        "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
    },
    "required": ["name", "children", "next"],
    "additionalProperties": False,
}
ROOTS = objects(SCHEMAS).map(lambda schema: schema | {"$defs": {"tree": TREE}})

_STRICT_LEAVES = (
    st.sampled_from([{"type": kind} for kind in ("string", "number", "integer", "boolean")])
    | st.just({"type": ["string", "null"]})
    | st.just({"type": "string", "enum": ["red", "green"]})
    | st.just({"$ref": "#/$defs/tree"})
)
STRICT_ROOTS = objects(
    st.recursive(
        _STRICT_LEAVES,
        lambda inner: (
            st.builds(lambda items: {"type": "array", "items": items}, inner)
            | objects(inner, strict=True)
            | st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner)
        ),
        max_leaves=8,
    ),
    strict=True,
).map(lambda schema: schema | {"$defs": {"tree": TREE}})
