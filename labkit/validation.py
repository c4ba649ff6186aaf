"""Checks requests before they are sent and answers before they are used. What cannot be right is never sent."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from labkit.errors import InvalidRequestError, LabkitError
from labkit.messages import INSTEAD_OF_TEXT, check_message, described

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion import Choice

logger = logging.getLogger(__name__)

HIGH_MAX_TOKENS = 4000
_LIMITS = ("max_tokens", "max_completion_tokens")
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}


class ContentFilteredError(LabkitError):
    """The service's content filter refused the prompt or the answer; the same request gets the same refusal."""


class EmptyAnswerError(LabkitError, ValueError):
    """The service answered without an answer: no choice, or a choice without text or tool call."""


def check_request(messages: Sequence[Any], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A copy of ``messages`` as plain data, once they and ``params`` are fit to be sent.

    Later changes to the caller's list do not reach the copy. ``InvalidRequestError`` says what is wrong.
    """
    checked = plain_messages(messages)
    for position, message in enumerate(checked):
        check_message(f"messages[{position}]", message)
    _check_params(params)
    return checked


def plain_messages(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """``messages`` as a new list of dicts; answers of the SDK among them become dicts too."""
    if not isinstance(messages, list | tuple) or not messages:
        raise InvalidRequestError(
            "messages must be a non-empty list such as [{'role': 'user', 'content': 'Hello'}]; "
            f"this is {described(messages)}."
        )
    try:
        plain: list[dict[str, Any]] = orjson.loads(orjson.dumps(messages, default=plain_data))
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"messages cannot be written as JSON ({error}): use strings, lists and dicts."
        ) from None
    return plain


def plain_data(value: object) -> object:
    """``value`` as data that can be written as JSON, for the SDK's own objects; ``TypeError`` for any other."""
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} is not plain data")
    data: object = dump(exclude_none=True)
    return data


def check_answer(answer: "ChatCompletion") -> "ChatCompletion":
    """``answer`` itself when it can be used: text or tool calls, and not cut out by the content filter.

    ``EmptyAnswerError`` or ``ContentFilteredError`` otherwise. An answer with tool calls has no text; that is fine.
    """
    if not getattr(answer, "choices", None):
        raise EmptyAnswerError("The service answered without any choice.")
    for choice in answer.choices:
        _check_choice(choice)
    return answer


def content_filter_error(error: Exception) -> ContentFilteredError | None:
    """The clear form of the SDK's ``error`` when it is a content-filter refusal of the prompt, else None."""
    # Without a status it came as an event of a stream.
    if getattr(error, "status_code", 400) != 400 or getattr(error, "code", None) != "content_filter":
        return None
    body = getattr(error, "body", None)
    inner = body.get("innererror") if isinstance(body, dict) else None
    result = inner.get("content_filter_result") if isinstance(inner, dict) else None
    return _filtered("prompt", result)


def _check_params(params: Mapping[str, Any]) -> None:
    for name in ("model", "engine", "deployment_id", "messages"):
        if name in params:
            raise InvalidRequestError(
                f"{name!r} is not a parameter of a call here: the deployment is set once, as deployment_name."
            )
    if params.get("stream"):
        raise InvalidRequestError(
            "stream=True is not possible here: this call returns whole answers. For chunks as they come, use "
            "ProductionLLMService.stream_completion(messages)."
        )
    if all(params.get(name) is not None for name in _LIMITS):
        raise InvalidRequestError(
            "Give max_tokens or max_completion_tokens, not both: they are two names of one limit."
        )
    for name in (*_LIMITS, "n"):
        _check_count(name, params.get(name))
    for name, (low, high) in _RANGES.items():
        _check_range(name, params.get(name), low, high)


def _check_count(name: str, value: object) -> None:
    if value is None or _is_omitted(value):
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(f"{name} must be a whole number from 1; this is {value!r}.")
    if name in _LIMITS and value > HIGH_MAX_TOKENS:
        # The service counts the whole limit against the tokens per minute when the call arrives.
        logger.warning("High %s value: %d counts against the rate limit as if it were used.", name, value)


def _check_range(name: str, value: object, low: float, high: float) -> None:
    if value is None or _is_omitted(value):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidRequestError(f"{name} must be a number between {low} and {high}; this is {value!r}.")


def _is_omitted(value: object) -> bool:
    # The SDK's NOT_GIVEN and Omit() mean "do not send"; importing them would load the SDK.
    return type(value).__name__ in ("NotGiven", "Omit")


def _check_choice(choice: "Choice") -> None:
    if choice.finish_reason == "content_filter":
        raise _filtered("answer", getattr(choice, "content_filter_results", None))
    message = choice.message
    if message is None or not (message.content or any(getattr(message, key, None) for key in INSTEAD_OF_TEXT)):
        reason = f"The service answered without text (finish_reason {choice.finish_reason!r})."
        if choice.finish_reason == "length":
            reason += " The token limit was used up before any text; a reasoning model thinks first: raise the limit."
        raise EmptyAnswerError(reason)


def _filtered(what: str, result: object) -> ContentFilteredError:
    categories = (
        [_category(name, found) for name, found in result.items() if _is_hit(found)] if isinstance(result, dict) else []
    )
    hits = f" ({', '.join(categories)})" if categories else ""
    return ContentFilteredError(
        f"The content filter refused the {what}{hits}. Sending it again would be refused again: "
        "rephrase it, or review the content filter of the deployment."
    )


def _is_hit(found: object) -> bool:
    return isinstance(found, dict) and bool(found.get("filtered"))


def _category(name: str, found: dict[str, Any]) -> str:
    return f"{name}: {found['severity']}" if "severity" in found else name
