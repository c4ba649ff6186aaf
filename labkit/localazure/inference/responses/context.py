"""Which part of a conversation a model reads when all of it is too long: ``truncation`` set to ``auto``."""

from collections.abc import Sequence

from labkit import tokens
from labkit.catalog import Model
from labkit.localazure.inference.responses.conversation import Placed

_PRIMING = tokens.chat_prompt_tokens(())
_INSTRUCTIONS = ("system", "developer")


def fitted(placed: Sequence[Placed], model: Model, other_tokens: int) -> list[Placed]:
    """The messages that fit into the context of ``model`` beside ``other_tokens``: the oldest are left out.

    Instructions stay, and so does the last message. A function call goes together with its outputs.
    """
    sizes = [tokens.chat_prompt_tokens((each.message,), model.encoding) - _PRIMING for each in placed]
    excess = _PRIMING + sum(sizes) + other_tokens - model.context_tokens
    kept: list[Placed] = []
    called = False
    for number, each in enumerate(placed):
        role = each.message["role"]
        old = excess > 0 and role not in _INSTRUCTIONS and number < len(placed) - 1
        if old or (role == "tool" and not called):
            excess -= sizes[number]
        else:
            kept.append(each)
            called = called or "tool_calls" in each.message
    return kept
