"""Measured answers made up for routers: what is easy and what is hard shows in the length of the question."""

import random
from typing import Any

import pandas as pd

CHEAP, DEAR = "small", "big"
PRICES = {CHEAP: 0.001, DEAR: 0.02}


def row(question: str, deployment: str, right: bool | None, **changes: Any) -> dict[str, Any]:
    """One answer, as ``comparison.observe`` gives it."""
    return {
        "question": question,
        "deployment": deployment,
        "right": right,
        "cost_usd": PRICES[deployment],
        "samples": 5 if deployment == CHEAP else 1,
        "agreement": 1.0,
        "error": None,
        **changes,
    }


def question(number: int, *, long: bool) -> str:
    """A question that no other number gets."""
    return f"Question {number}? " + ("with one clause more, " * 20 if long else "")


def by_length(questions: int = 100) -> pd.DataFrame:
    """The cheap one is right about everything short and nothing long, the dear one about all."""
    rows = []
    for number in range(questions):
        long = number % 2 == 1
        asked = question(number, long=long)
        rows += [row(asked, CHEAP, not long), row(asked, DEAR, True)]
    return pd.DataFrame(rows)


def by_agreement(questions: int = 120, seed: int = 0) -> pd.DataFrame:
    """Questions of one length: what the cheap one gets wrong, it answers in several ways."""
    draw, rows = random.Random(seed), []
    for number in range(questions):
        right = draw.random() < 0.6
        asked = question(number, long=False)
        rows += [row(asked, CHEAP, right, agreement=1.0 if right else 0.6), row(asked, DEAR, True)]
    return pd.DataFrame(rows)


def by_chance(questions: int = 120, seed: int = 0, cheap_share: float = 0.6) -> pd.DataFrame:
    """Nothing tells when the cheap one is right."""
    draw, rows = random.Random(seed), []
    for number in range(questions):
        asked = question(number, long=draw.random() < 0.5)
        rows += [row(asked, CHEAP, draw.random() < cheap_share), row(asked, DEAR, True)]
    return pd.DataFrame(rows)
