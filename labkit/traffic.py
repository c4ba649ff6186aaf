"""A made-up week of calls to study: who asked what, when, and how many tokens it took. No call is made."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Share of a day's calls in each hour: office hours with a peak after lunch.
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 17, 15, 24, 20, 16, 12, 8, 6, 5, 4, 3, 2, 1)
# Team → (share of calls, deployment, model, number of different questions it asks)
_TEAMS = {
    "support": (0.62, "chat", "gpt-4-turbo", 2600),
    "sales": (0.23, "chat", "gpt-4-turbo", 3000),
    "reports": (0.15, "batch", "gpt-35-turbo", 6000),
}
# Medians and spread (standard deviation of the logarithm) of prompt and completion tokens of a conversation
# service on Azure: 19,366 calls of 2023-11-16, AzurePublicDataset (CC-BY 4.0), Patel et al., ISCA 2024.
_PROMPT_MEDIAN, _PROMPT_SPREAD = 1020, 0.99
_COMPLETION_MEDIAN, _COMPLETION_SPREAD = 129, 0.86


def week(calls: int = 4000, *, seed: int = 13) -> "pd.DataFrame":
    """A week of calls, one a row, in order of time.

    Columns: ``time`` (Monday 2026-11-16 to Sunday), ``team``, ``deployment``, ``model``, ``question`` (equal
    requests have equal text), ``prompt_tokens``, ``completion_tokens``. The same seed gives the same week.
    """
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    shares = [share for share, *_ in _TEAMS.values()]
    teams = random.choice(list(_TEAMS), size=calls, p=shares)
    # A few questions are asked again and again: the cube of a uniform draw prefers low numbers.
    numbers = [int(_TEAMS[team][3] * draw**3) for team, draw in zip(teams, random.random(calls), strict=True)]
    hours = random.choice(24, size=calls, p=np.array(_HOURS) / sum(_HOURS))
    days = random.choice(7, size=calls, p=[0.19, 0.19, 0.19, 0.18, 0.17, 0.05, 0.03])
    seconds = (days * 24 + hours) * 3600 + random.integers(0, 3600, size=calls)
    return (
        pd.DataFrame(
            {
                "time": pd.Timestamp("2026-11-16") + pd.to_timedelta(seconds, unit="s"),
                "team": teams,
                "deployment": [_TEAMS[team][1] for team in teams],
                "model": [_TEAMS[team][2] for team in teams],
                "question": [f"{team}-{number:03d}" for team, number in zip(teams, numbers, strict=True)],
                "prompt_tokens": _sizes(random, calls, _PROMPT_MEDIAN, _PROMPT_SPREAD),
                "completion_tokens": _sizes(random, calls, _COMPLETION_MEDIAN, _COMPLETION_SPREAD),
            }
        )
        .sort_values("time", kind="stable")
        .reset_index(drop=True)
    )


def _sizes(random: "np.random.Generator", calls: int, median: float, spread: float) -> "np.ndarray":
    import numpy as np

    sizes = random.lognormal(mean=np.log(median), sigma=spread, size=calls)
    return np.clip(sizes, 1, 8000).astype(int)
