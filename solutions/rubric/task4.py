"""Task 4, cost: scored by what hidden questions cost at the service, by the budget there, and by hidden inputs."""

from collections import Counter
from datetime import datetime, timedelta

from labkit import bank, catalog
from labkit.grading.rubric import Evidence, Probe, Score, choose, number, part, share

TASK = "task4"
USAGE, PARAMETERS, BUDGET, ROI = "task4-1-usage", "task4-2-parameters", "task4-3-budget", "task4-4-roi"

_QUESTIONS = 40
_BASELINE = {"system": "You are a helpful assistant.", "max_tokens": 400}


def probes(secret: str) -> list[Probe]:
    """A hidden log, hidden questions, a hidden amount and hidden figures."""
    questions = {"ids": [question.id for question in _questions(secret)]}
    return [
        Probe("4.1", USAGE, _USAGE, {"rows": _log(secret)}),
        Probe("4.2-before", PARAMETERS, _BEFORE, {**questions, **_BASELINE}, timeout_s=60),
        Probe("4.2-after", PARAMETERS, _AFTER, questions, timeout_s=60),
        Probe("4.3", BUDGET, "create_budget(consumption, azure, amount)", {"amount": _amount(secret)}),
        Probe("4.4", ROI, "[roi_report(*figures) for figures in cases]", {"cases": _cases(secret)}),
    ]


_USAGE = """
    names = ["time", "team", "deployment", "model", "question", "prompt_tokens", "completion_tokens"]
    frame = pd.DataFrame(rows, columns=names)
    return usage_patterns(frame.astype({"time": "datetime64[ns]"}))
"""
_BEFORE = """
    from labkit import LLMOptimizer

    optimizer = LLMOptimizer("big")
    by_id = {question.id: question for question in bank.QUESTIONS}
    for id in ids:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": by_id[id].text}]
        await optimizer.optimized_completion(messages, max_tokens=max_tokens, temperature=0)
    return None
"""
_AFTER = """
    from labkit import LLMOptimizer

    optimizers = {}
    by_id = {question.id: question for question in bank.QUESTIONS}
    for id in ids:
        wish = plan(by_id[id])
        optimizer = optimizers.setdefault(wish["deployment"], LLMOptimizer(wish["deployment"]))
        messages = [{"role": "system", "content": wish["system"]}, {"role": "user", "content": by_id[id].text}]
        await optimizer.optimized_completion(messages, max_tokens=wish["max_tokens"], temperature=0)
    return None
"""


def score(evidence: Evidence) -> list[Score]:
    """The four exercises."""
    return [_usage(evidence), _parameters(evidence), _budget(evidence), _roi(evidence)]


def _usage(evidence: Evidence) -> Score:
    rows = _log(evidence.secret)
    told = evidence.probe("4.1")
    hours = Counter(int(row[0][11:13]) for row in rows)
    asked = [row[4] for row in rows]
    tokens: Counter[str] = Counter()
    costs: Counter[str] = Counter()
    for _, team, deployment, model, _, prompt, completion in rows:
        tokens[team] += prompt + completion
        costs[deployment] += catalog.model(model).price.cost_usd(prompt, completion)
    repeated = 1 - len(set(asked)) / len(asked)
    seen = told.get("cost_by_deployment", kind=dict, default={})
    return share(
        USAGE,
        {
            "the peak hour": told.get("peak_hour", kind=int, default=-1) == hours.most_common(1)[0][0],
            "the share of questions asked before": abs(told.get("repeated_share", kind=float, default=-1.0) - repeated)
            < 1e-9,
            "prompt and completion tokens of each team": told.get("tokens_by_team", kind=dict, default={})
            == dict(tokens),
            "the cost of each deployment by the model of each row": set(seen) == set(costs)
            and all(_near(seen[name], costs[name]) for name in costs),
        },
    )


def _near(seen: object, expected: float) -> bool:
    return isinstance(seen, int | float) and abs(seen - expected) < 1e-9


def _parameters(evidence: Evidence) -> Score:
    before_usd, before_right = _measured(evidence, "4.2-before")
    after_usd, after_right = _measured(evidence, "4.2-after")
    is_whole = before_usd is not None and after_usd is not None
    saving = 1 - after_usd / before_usd if is_whole and before_usd else 0.0
    lost = before_right - after_right
    return share(
        PARAMETERS,
        {
            "hidden questions cost at least 20 % less": part(
                is_whole and saving >= 0.2,
                weight=3,
                seen=f"{saving:.0%} less" if is_whole else "not every question was asked",
                expected="20 % less",
            ),
            "at most one point fewer right answers": part(
                is_whole and saving > 0 and lost <= 0.01,
                weight=2,
                seen=f"{100 * lost:.0f} points fewer",
                expected="at most 1",
            ),
        },
    )


def _measured(evidence: Evidence, probe: str) -> tuple[float | None, float]:
    """Cost in USD of the hidden questions, None when one was not asked; and the share answered rightly."""
    calls = [call for call in evidence.calls(probe=probe, operation="chat.completions") if call.status == 200]
    last = {call.prompt: call for call in calls}
    questions = _questions(evidence.secret)
    answers = [last.get(question.text[:200]) for question in questions]
    if None in answers or (probe == "4.2-before" and not all(_is_baseline(call) for call in calls)):
        return None, 0.0
    cost = sum(catalog.model(c.model or "").price.cost_usd(c.prompt_tokens, c.completion_tokens) for c in calls)
    return cost, sum(bool(call and call.right) for call in answers) / len(questions)


def _is_baseline(call) -> bool:
    return call.deployment == "big" and call.params.get("max_tokens") == _BASELINE["max_tokens"]


def _budget(evidence: Evidence) -> Score:
    budget = evidence.resource("Microsoft.Consumption/budgets", "budget-session13") or {}
    properties = budget.get("properties", {})
    alarms = [one for one in (properties.get("notifications") or {}).values() if one.get("enabled")]
    seen = sorted([str(one.get("thresholdType", "Actual")), float(one.get("threshold", 0))] for one in alarms)
    wanted = [["Actual", 80.0], ["Forecasted", 100.0]]
    amount = properties.get("amount")
    mails = {mail for one in alarms for mail in one.get("contactEmails", [])}
    return share(
        BUDGET,
        {
            "a monthly cost budget of the amount asked for": part(
                [amount, properties.get("timeGrain"), properties.get("category")]
                == [_amount(evidence.secret), "Monthly", "Cost"],
                seen=amount,
                expected=_amount(evidence.secret),
            ),
            "alarms at 80 % actual and 100 % forecasted, to the team": part(
                seen == wanted and mails == {"team@example.com"}, weight=2, seen=seen, expected=wanted
            ),
        },
    )


def _roi(evidence: Evidence) -> Score:
    cases = _cases(evidence.secret)
    told = evidence.probe("4.4")
    names = ("saving_per_request_usd", "saving_share", "monthly_saving_usd", "payback_months")
    right = 0
    for place, case in enumerate(cases):
        values = [told.get(place, name, kind=float, default=None) for name in names]  # type: ignore[arg-type]
        right += all(_agrees(value, wanted) for value, wanted in zip(values, _expected(*case), strict=True))
    return share(
        ROI,
        {
            "the figures hold, also when nothing is saved": part(
                right / len(cases), seen=f"{right} of {len(cases)} cases", expected="all"
            ),
        },
    )


def _agrees(seen: float | None, wanted: float | None) -> bool:
    if wanted is None or seen is None:
        return seen is wanted
    return abs(seen - wanted) < 1e-6


def _expected(before: float, after: float, requests: int, one_off: float) -> tuple[float, float, float, float | None]:
    saving = before - after
    monthly = saving * requests
    return saving, saving / before if before else 0.0, monthly, one_off / monthly if monthly > 0 else None


def _questions(secret: str) -> list[bank.Question]:
    return bank.sample(_QUESTIONS, seed=number(secret, "questions", 1000, 10**6))


def _amount(secret: str) -> float:
    return float(number(secret, "amount", 20, 900))


def _log(secret: str) -> list[list]:
    """Eighty calls of a week; one hour is busier than the others."""
    peak = number(secret, "peak", 8, 17)
    start = datetime(2026, 11, 9)
    rows = []
    for k in range(80):
        hour = peak if k % 3 == 0 else number(secret, f"hour{k}", 0, 23)
        moment = start + timedelta(days=number(secret, f"day{k}", 0, 6), hours=hour, minutes=k % 60)
        rows.append(
            [
                moment.isoformat(sep=" "),
                choose(secret, f"team{k}", ["sales", "support", "reports"])[0],
                choose(secret, f"deployment{k}", ["chat", "batch"])[0],
                choose(secret, f"model{k}", ["gpt-4-turbo", "gpt-35-turbo", "gpt-4.1"])[0],
                f"q{number(secret, f'question{k}', 1, 40)}",
                number(secret, f"prompt{k}", 20, 2000),
                number(secret, f"completion{k}", 5, 700),
            ]
        )
    return sorted(rows)


def _cases(secret: str) -> list[list[float]]:
    """A saving, a loss, nothing changed, and nothing spent before."""
    before, after = number(secret, "before", 500, 900) / 1e5, number(secret, "after", 100, 400) / 1e5
    requests, one_off = number(secret, "requests", 10_000, 90_000), float(number(secret, "one-off", 100, 5000))
    return [
        [before, after, requests, one_off],
        [after, before, requests, one_off],
        [before, before, requests, one_off],
        [0.0, 0.0, requests, one_off],
    ]
