"""Which answers are worth keeping, and how they are written and read: as JSON, so that a copy is nobody else's."""

from functools import cache
from typing import TYPE_CHECKING

from labkit.validation import ContentFilteredError, EmptyAnswerError, check_answer

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion import Choice

# The ways an answer ends when it ends by itself. "length" is cut short, "content_filter" is blocked, and an answer
# without a reason is not known to be whole (OpenAI API reference, "The chat completion object", read 2026-11-25).
_FINISHED = frozenset({"stop", "tool_calls", "function_call"})


def is_complete(answer: "ChatCompletion") -> bool:
    """True when every choice of ``answer`` says something and ended by itself: then it is worth repeating.

    A truncated, filtered or empty answer is worth returning, but whoever asks next should get a new one. Tool calls
    are answers.
    """
    try:
        check_answer(answer)
    except (ContentFilteredError, EmptyAnswerError):
        return False
    return all(choice.finish_reason in _FINISHED and not _is_filtered(choice) for choice in answer.choices)


def written(answer: "ChatCompletion") -> str | None:
    """``answer`` as the JSON to keep, or None when it is not worth keeping."""
    if not is_complete(answer):
        return None
    text = answer.model_dump_json(exclude_unset=True, warnings=False)
    # The SDK reads answers leniently; one that breaks its own types would not come back.
    return None if read(text) is None else text


def read(text: str | bytes) -> "ChatCompletion | None":
    """The answer in ``text``, a new object each time; None when ``text`` holds none."""
    try:
        return _completion().model_validate_json(text)
    except ValueError:  # pydantic's ValidationError is one
        return None


@cache
def _completion() -> "type[ChatCompletion]":
    # Found once: an import statement costs a microsecond every time it is run.
    from openai.types.chat import ChatCompletion

    return ChatCompletion


def _is_filtered(choice: "Choice") -> bool:
    # Azure marks the category that blocked a text; a filter that is out of order says so under "error".
    results = getattr(choice, "content_filter_results", None)
    if not isinstance(results, dict):
        return False
    return "error" in results or any(isinstance(found, dict) and found.get("filtered") for found in results.values())
