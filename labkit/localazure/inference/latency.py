"""How long a simulated model takes: from its profile in the catalogue and the number of tokens."""

from typing import NamedTuple

from labkit.catalog import Model

# Reading a prompt is about a hundred times quicker than writing the same number of tokens.
_READING = 0.01
_SPREAD = 0.3


class Latency(NamedTuple):
    """Milliseconds until the first token and until the last, as the real service would take them."""

    first_token_ms: float
    total_ms: float

    def until(self, share: float) -> "Latency":
        """That of an answer of which only a ``share`` of the tokens comes."""
        return Latency(self.first_token_ms, self.first_token_ms + (self.total_ms - self.first_token_ms) * share)


def simulated(model: Model, prompt_tokens: int, completion_tokens: int, hidden_tokens: int, draw: int) -> Latency:
    """The latency of an answer of ``completion_tokens``, of which ``hidden_tokens`` come before the first visible one.

    ``draw`` (0 to 255) varies it by up to 15 % either way, like the load of a shared service.
    """
    speed = 1 - _SPREAD / 2 + _SPREAD * draw / 255
    profile = model.simulated
    started = profile.first_token_ms + profile.token_ms * prompt_tokens * _READING
    first = (started + profile.token_ms * hidden_tokens) * speed
    return Latency(round(first, 3), round(first + profile.token_ms * (completion_tokens - hidden_tokens) * speed, 3))
