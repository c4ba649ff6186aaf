"""JSON schemas that come with a request: which of them the service takes, and in which words it refuses the others.

Wordings as captured: ``additionalProperties`` and ``required`` dottxt-ai/outlines#844 (2024-10) and
kevinwatt/mysql-mcp#5 (2025-05), ``array schema missing items`` modelscope/ms-agent#610 (2025-01), ``object schema
missing properties`` Azure/azure-mcp#197 (2025-05), the root's type clay-good/OpenLore#52 (2026-04), ``not permitted``
jina-ai/node-DeepResearch#79 (2025-03), levels of nesting tidyverse/ellmer#671 (2025), enum values Portkey's error
library 10473. The rules of strict mode: Microsoft Learn, how-to/structured-outputs; its sizes: OpenAI,
guides/structured-outputs ("up to 5000 object properties total, with up to 10 levels of nesting"); read 2026-11-25.
What is said of references, sizes and malformed keywords is worded by us.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from labkit.localazure.inference.json_pointer import find

Schema = Mapping[str, Any]

TYPES = ("string", "number", "boolean", "integer", "object", "array", "null")

_MOST_LEVELS = 10
_MOST_PROPERTIES = 5_000
_MOST_ENUM_VALUES = 1_000
_MOST_CHARACTERS = 120_000
# Ours, for schemas that are not strict: a student's own, in a server that others use too.
_MOST_LOOSE_LEVELS = 50
_MOST_NODES = 20_000
_SHOWN_CHARACTERS = 100

_NOT_STRICT = (
    *("minLength", "maxLength", "pattern", "format", "minimum", "maximum", "multipleOf"),
    *("exclusiveMinimum", "exclusiveMaximum"),
    *("patternProperties", "unevaluatedProperties", "propertyNames", "minProperties", "maxProperties"),
    *("unevaluatedItems", "contains", "minContains", "maxContains", "minItems", "maxItems", "uniqueItems"),
    *("prefixItems", "oneOf", "allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"),
)
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_SIZES = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


class _Node(NamedTuple):
    """A schema inside another one: where, and how many objects and arrays deep."""

    context: tuple[str, ...]
    schema: Any
    level: int


def problem(schema: object, *, strict: bool) -> str | None:
    """What the service says against ``schema``, without the words that name it; None when it takes it.

    Constant stack and bounded work, whatever the schema.
    """
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or kind != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{str(kind)[:_SHOWN_CHARACTERS]}\"'."
    sizes = _Sizes()
    for count, node in enumerate(_nodes(schema)):
        found = "the schema is too large." if count >= _MOST_NODES else _problem_at(node, schema, strict)
        found = found or sizes.add(node, strict)
        if found:
            return found
    return None


def _problem_at(node: _Node, root: Schema, strict: bool) -> str | None:
    schema = node.schema
    if isinstance(schema, bool) and not strict:
        return None
    if not isinstance(schema, dict):
        return _in(node, f"{_shown(schema)} is not of type 'object', 'boolean'.")
    found = _malformed(schema) or _dangling(schema, root) or _incomplete(schema, node)
    if not found and strict:
        found = _not_strict(schema)
    return _in(node, found) if found else None


def _malformed(schema: Schema) -> str | None:
    """What is not well formed in the keywords that are read elsewhere; those may trust it afterwards."""
    wrong = next((value for name, value in schema.items() if not _is_well_formed(name, value)), _FINE)
    return None if wrong is _FINE else f"{_shown(wrong)} is not valid under any of the given schemas."


_FINE = object()


def _is_well_formed(name: str, value: Any) -> bool:
    if name == "type":
        return value in TYPES if isinstance(value, str) else _is_list(value) and set(map(str, value)) <= {*TYPES}
    if name in _NUMBERS:
        return _is_number(value) and (name != "multipleOf" or value > 0)
    if name in _SIZES:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if name in _SCHEMA_LISTS or name == "enum":
        return _is_list(value)
    if name in _SCHEMA_MAPS:
        return isinstance(value, dict)
    if name == "required":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return not (name in ("pattern", "format", "$ref") and not isinstance(value, str))


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dangling(schema: Schema, root: Schema) -> str | None:
    reference = schema.get("$ref")
    if reference is None or find(root, reference) is not None:
        return None
    return f"reference to component {_shown(reference)} which was not found in the schema."


def _incomplete(schema: Schema, node: _Node) -> str | None:
    if schema.get("type") == "array" and "items" not in schema and "prefixItems" not in schema:
        return "array schema missing items."
    if not node.context and "properties" not in schema:
        return "object schema missing properties."
    return None


def _not_strict(schema: Schema) -> str | None:
    for name in schema:
        if name in _NOT_STRICT:
            return f"'{name}' is not permitted."
    kinds = schema.get("type", ())
    if "object" in ((kinds,) if isinstance(kinds, str) else kinds):
        return _open_object(schema)
    if not kinds and not any(name in schema for name in ("anyOf", "$ref", "enum", "const")):
        return "schema must have a 'type' key."
    return None


def _open_object(schema: Schema) -> str | None:
    if schema.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    properties, required = schema.get("properties", {}), schema.get("required", [])
    rule = "'required' is required to be supplied and to be an array including every key in properties."
    for name in properties:
        if name not in required:
            return f"{rule} Missing {_shown(name)}."
    for name in required:
        if name not in properties:
            return f"{rule} Extra required key {_shown(name)} supplied."
    return None


class _Sizes:
    """What has been counted of a schema so far."""

    def __init__(self) -> None:
        self._properties = self._enum_values = self._characters = 0

    def add(self, node: _Node, strict: bool) -> str | None:
        """What is too much, with ``node``; None when nothing is."""
        most_levels = _MOST_LEVELS if strict else _MOST_LOOSE_LEVELS
        if node.level > most_levels:
            return f"{node.level} levels of nesting exceeds limit of {most_levels}."
        if not isinstance(node.schema, dict):
            return None
        self._count(node.schema)
        if self._properties > _MOST_PROPERTIES:
            return f"{self._properties} parameters exceeds limit of {_MOST_PROPERTIES}."
        if self._characters > _MOST_CHARACTERS:
            return f"names and values of {self._characters} characters exceed the limit of {_MOST_CHARACTERS}."
        if strict and self._enum_values > _MOST_ENUM_VALUES:
            return (
                f"Expected at most {_MOST_ENUM_VALUES} enum values in total within a single schema when using "
                f"structured outputs, but received {self._enum_values}. Consider reducing the number of enums, or use "
                "'strict: false' to opt out of structured outputs."
            )
        return None

    def _count(self, schema: Schema) -> None:
        self._properties += len(schema.get("properties", ()))
        values = schema.get("enum", ())
        self._enum_values += len(values)
        names = (name for key in ("properties", "$defs") for name in schema.get(key, ()))
        texts = (value for value in (*values, schema.get("const")) if isinstance(value, str))
        self._characters += sum(map(len, names)) + sum(map(len, texts))


def _nodes(root: Schema) -> Iterator[_Node]:
    """``root`` and all schemas inside it. Without recursion, so that no nesting is too deep."""
    waiting = [_Node((), root, 0)]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node.schema, dict):
            waiting += reversed(list(_inside(node)))


def _inside(node: _Node) -> Iterator[_Node]:
    schema, level = node.schema, node.level
    for name in _SCHEMA_MAPS:
        deeper = level + 1 if name in ("properties", "patternProperties") else level
        for key, inner in schema.get(name, {}).items():
            yield _Node((*node.context, name, key), inner, deeper)
    for name in _SCHEMA_LISTS:
        for place, inner in enumerate(schema.get(name, ())):
            yield _Node((*node.context, name, str(place)), inner, level)
    for name in _SCHEMAS:
        if not isinstance(schema.get(name, True), bool):
            yield _Node((*node.context, name), schema[name], level + 1 if name == "items" else level)


def _in(node: _Node, found: str) -> str:
    return f"In context={_context(node.context)}, {found}"


def _context(context: tuple[str, ...]) -> str:
    return repr(tuple(part[:_SHOWN_CHARACTERS] for part in context[:20]))


def _shown(value: object) -> str:
    """``value`` as Python shows it, cut short."""
    text = value[:_SHOWN_CHARACTERS] if isinstance(value, str) else value
    return repr(text) if isinstance(text, str | int | float | None) else f"a value of type '{_json_type(value)}'"


def _json_type(value: object) -> str:
    return "array" if isinstance(value, list) else "object"
