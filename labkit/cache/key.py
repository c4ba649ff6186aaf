"""The key of a request: equal for two requests exactly when they ask the same of the same deployment."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from labkit.errors import InvalidRequestError
from labkit.validation import plain_data

# Parameters that label, store or route a request, or say how long to wait for it: they do not change the answer.
_WITHOUT_EFFECT = frozenset(
    {"extra_headers", "extra_query", "metadata", "prompt_cache_key", "safety_identifier", "store", "timeout", "user"}
)


def cache_key(deployment: str, messages: Sequence[Any], params: Mapping[str, Any]) -> str:
    """A key that is equal for two requests exactly when they ask the same of the same deployment.

    It is a SHA-256 of canonical JSON: the order of keys does not matter, nor whether 0 is written 0 or 0.0; the order
    of messages does, and so does every parameter that changes the answer. ``InvalidRequestError`` when a value cannot
    be written as JSON.
    """
    effective = {
        name: value
        for name, given in params.items()
        if name not in _WITHOUT_EFFECT and (value := _canonical(given)) is not None
    }
    return hashlib.sha256(_canonical_json([deployment, list(messages), effective])).hexdigest()


def _canonical_json(request: list[Any]) -> bytes:
    try:
        return orjson.dumps(request, default=plain_data, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        pass
    try:
        # ``logit_bias`` may have token ids as numbers, which the SDK writes as texts. Slower, so only where needed.
        return orjson.dumps(request, default=plain_data, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise InvalidRequestError(
            f"No cache key for this request: {error}. Use strings, numbers, lists and dicts."
        ) from None


def _canonical(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    # NOT_GIVEN and Omit() of the SDK: the same as not naming the parameter.
    return None if type(value).__name__ in ("NotGiven", "Omit") else value
