"""The same questions to several deployments, side by side: time, tokens, cost and how often the answer is right."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit import bank
from labkit.bank import Question
from labkit.catalog import Model
from labkit.deployments import Deployed
from labkit.errors import InvalidRequestError
from labkit.metering import Usage, latency_s, usage

if TYPE_CHECKING:
    import pandas as pd
    from openai import AzureOpenAI
    from openai.types.chat import ChatCompletionMessageParam

# Short answers make a fair comparison: otherwise the longest-winded model looks slowest and dearest.
SYSTEM = "Give only the answer, as briefly as you can, in the language of the question."
# Temperature 0, so that a repeated comparison says the same; reasoning models refuse it, and think before they answer.
_CHAT_PARAMETERS: Mapping[str, Any] = {"max_tokens": 150, "temperature": 0}
_REASONING_PARAMETERS: Mapping[str, Any] = {"max_completion_tokens": 2000}
# A comparison measures models, not quotas: a call that is told to wait waits, as the SDK does when it may.
_RETRIES = 2
_WORKERS = 4
# The service's own limit for ``n``. Azure OpenAI REST reference 2024-10-21, read 2026-11-25.
_MOST_SAMPLES = 128
_SIGNS = re.compile(r"[^\w.,+*/%-]|(?<!\d)[.,]|[.,](?!\d)")


@dataclass(frozen=True, slots=True)
class Contender:
    """One deployment of the comparison: its name, the model's name, and the catalogue's entry when there is one."""

    deployment: str
    model_name: str
    model: Model | None

    @classmethod
    def of(cls, deployed: Deployed) -> "Contender":
        """The contender behind a deployment."""
        return cls(deployed.name, deployed.model_name, deployed.model)


@dataclass(frozen=True, slots=True)
class Answered:
    """One call: how long it took and what it used; ``right`` is None for a question whose answer nobody knows.

    A call that failed has an ``error``, no time and no tokens. Of several samples ``text`` is the most frequent answer
    and ``agreement`` its share of them.
    """

    latency_s: float | None = None
    usage: Usage = Usage()
    right: bool | None = None
    error: str | None = None
    text: str = ""
    agreement: float = 1.0


def default_questions() -> list[Question]:
    """Twenty-four questions of the bank, eight of each level, in both languages."""
    return [question for level in bank.LEVELS for question in bank.sample(8, level=level)]


def compare(
    client: "AzureOpenAI",
    contenders: Sequence[Contender],
    questions: Sequence[Question | str],
    *,
    system: str = SYSTEM,
    repeats: int = 1,
) -> "pd.DataFrame":
    """One row a deployment, in the order given; see ``AzureOpenAIManager.compare`` for the columns."""
    return summary(_ask_all(client, contenders, list(questions) * repeats, partial(_ask, system=system)))


def observe(
    client: "AzureOpenAI",
    contenders: Sequence[Contender],
    questions: Sequence[Question | str],
    *,
    system: str = SYSTEM,
    samples: int = 1,
) -> "pd.DataFrame":
    """One row an answer: ``question``, ``deployment``, ``model``, ``answer``, ``right``, ``cost_usd``, ``latency_s``,
    ``samples``, ``agreement`` and ``error``. It is what ``Router.fit`` and ``Cascade.fit`` learn from.

    With ``samples`` each call asks for that many answers at temperature 1 (the prompt is paid for once): ``answer`` is
    the most frequent of them, ``agreement`` the share that says the same.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= _MOST_SAMPLES:
        raise InvalidRequestError(f"samples is a whole number from 1 to {_MOST_SAMPLES}, not {samples!r}.")
    asked = list(questions)
    grouped = _ask_all(client, contenders, asked, partial(_ask, system=system, samples=samples))
    return observations(asked, grouped, samples=samples)


def observations(
    questions: Sequence[Question | str], grouped: Mapping[Contender, Sequence[Answered]], *, samples: int = 1
) -> "pd.DataFrame":
    """The table of ``observe`` for what each contender answered to ``questions``."""
    import pandas as pd

    rows = [
        {
            "question": question.text if isinstance(question, Question) else question,
            "deployment": contender.deployment,
            "model": contender.model_name,
            "answer": each.text,
            "right": each.right,
            "cost_usd": cost_usd,
            "latency_s": math.nan if each.latency_s is None else each.latency_s,
            "samples": samples,
            "agreement": each.agreement,
            "error": each.error,
        }
        for contender, answers in grouped.items()
        for question, each, cost_usd in zip(questions, answers, _costs_usd(contender, answers), strict=True)
    ]
    return pd.DataFrame(rows)


def most_frequent(texts: Sequence[str]) -> tuple[int, float]:
    """Which of ``texts`` says what most of them say (the first such one), and their share.

    Upper case, punctuation and white space do not tell answers apart.
    """
    said = [" ".join(_SIGNS.sub(" ", text.casefold()).split()) for text in texts]
    (winner, votes), *_ = Counter(said).most_common(1)
    return said.index(winner), votes / len(said)


def _ask_all(
    client: "AzureOpenAI",
    contenders: Sequence[Contender],
    asked: Sequence[Question | str],
    ask: Callable[..., Answered],
) -> dict[Contender, list[Answered]]:
    if not contenders or not asked:
        raise InvalidRequestError("A comparison takes at least one deployment, one question and one repeat.")
    client = client.with_options(max_retries=_RETRIES)
    # Each deployment has workers of its own: one that is told to wait does not hold up the others.
    pools = [ThreadPoolExecutor(_WORKERS) for _ in contenders]
    try:
        sides = [
            pool.map(partial(ask, client, contender), asked) for pool, contender in zip(pools, contenders, strict=True)
        ]
        return {contender: list(side) for contender, side in zip(contenders, sides, strict=True)}
    finally:
        # When the reader presses Stop, what has not been asked yet must not be paid for.
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def summary(grouped: Mapping[Contender, Sequence[Answered]]) -> "pd.DataFrame":
    """The table for what each contender answered."""
    import pandas as pd

    rows = [{"deployment": contender.deployment, **_row(contender, answers)} for contender, answers in grouped.items()]
    return pd.DataFrame(rows).set_index("deployment")


def _ask(
    client: "AzureOpenAI", contender: Contender, question: Question | str, *, system: str, samples: int = 1
) -> Answered:
    from openai import OpenAIError

    known = question if isinstance(question, Question) else bank.find(question)
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": system},
        {"role": "user", "content": question.text if isinstance(question, Question) else question},
    ]
    started_s = time.perf_counter()
    try:
        raw = client.chat.completions.with_raw_response.create(
            model=contender.deployment, messages=messages, **_parameters(contender, samples)
        )
        answer = raw.parse()
    except OpenAIError as error:
        return Answered(error=str(error), right=None if known is None else False)
    # Time spent waiting for a retry is no latency of the model.
    wall_s = math.nan if raw.retries_taken else time.perf_counter() - started_s
    texts = [choice.message.content or "" for choice in answer.choices] or [""]
    place, agreement = most_frequent(texts)
    return Answered(
        latency_s=latency_s(raw.headers, wall_s),
        usage=usage(answer),
        right=None if known is None else bank.is_right(known, texts[place]),
        text=texts[place],
        agreement=agreement,
    )


def _parameters(contender: Contender, samples: int) -> Mapping[str, Any]:
    reasoning = contender.model is not None and contender.model.is_reasoning
    parameters = _REASONING_PARAMETERS if reasoning else _CHAT_PARAMETERS
    if samples == 1:
        return parameters
    # At temperature 0 all samples would be the same; reasoning models know 1 only.
    return {**parameters, "n": samples} if reasoning else {**parameters, "n": samples, "temperature": 1}


def _row(contender: Contender, answers: Sequence[Answered]) -> dict[str, Any]:
    import pandas as pd

    latencies_s = pd.Series([each.latency_s for each in answers if each.latency_s is not None], dtype=float)
    verdicts = pd.Series([each.right for each in answers if each.right is not None], dtype=float)
    return {
        "model": contender.model_name,
        "calls": len(answers),
        "errors": sum(each.error is not None for each in answers),
        "latency_p50_s": latencies_s.quantile(0.50),
        "latency_p95_s": latencies_s.quantile(0.95),
        "prompt_tokens": sum(each.usage.prompt_tokens for each in answers),
        "completion_tokens": sum(each.usage.completion_tokens for each in answers),
        "cost_usd": sum(_costs_usd(contender, answers)),
        "right_share": verdicts.mean(),
    }


def _costs_usd(contender: Contender, answers: Sequence[Answered]) -> Iterator[float]:
    for each in answers:
        # No price known: not a number, because 0 would look like the cheapest model of all.
        yield each.usage.cost_usd(contender.model) if contender.model else math.nan
