"""Which part of a conversation a model reads when all of it is too long: ``truncation`` set to ``auto``."""

from collections.abc import Sequence

from labkit.catalog import Model
from labkit.localazure.inference.prompt import prompt_of
from labkit.localazure.inference.responses.conversation import Placed

_INSTRUCTIONS = ("system", "developer")


def fitted(placed: Sequence[Placed], model: Model, other_tokens: int) -> list[Placed]:
    """The messages that fit into the context of ``model`` beside ``other_tokens``: the oldest are left out.

    Instructions stay, and so does the last message. A function call goes together with its outputs.
    """
    excess = prompt_of([each.message for each in placed], model).tokens + other_tokens - model.context_tokens
    kept: list[Placed] = []
    called = False
    for number, each in enumerate(placed):
        role = each.message["role"]
        old = excess > 0 and role not in _INSTRUCTIONS and number < len(placed) - 1
        if old or (role == "tool" and not called):
            excess -= _tokens(each, model)
        else:
            kept.append(each)
            called = called or "tool_calls" in each.message
    return kept


def _tokens(placed: Placed, model: Model) -> int:
    """What one message adds to the prompt's tokens."""
    return prompt_of([placed.message], model).tokens - prompt_of([], model).tokens
