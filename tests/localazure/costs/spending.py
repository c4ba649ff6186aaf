"""Usage as the meter sees it, without asking a model."""

from labkit.localazure.journal import Entry
from labkit.localazure.resources import ACCOUNT
from labkit.localazure.state import Azure

MILLION = 1_000_000
BIG, SMALL = "gpt-4-turbo", "gpt-35-turbo"


def use(
    azure: Azure,
    deployment: str = "chat",
    model: str = BIG,
    *,
    prompt: int = MILLION,
    completion: int = 0,
    cached: int = 0,
    at_s: float | None = None,
) -> None:
    """One call's tokens, now or at ``at_s``. A million prompt tokens of gpt-4-turbo are 10 dollars."""
    azure.usage.note(
        Entry(
            at_s=azure.clock.now() if at_s is None else at_s,
            face="inference",
            method="POST",
            path="/",
            operation="chat.completions",
            status=200,
            account=ACCOUNT,
            deployment=deployment,
            model=model,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=cached,
        )
    )
