"""Plausible wrong answers: each is the solved answer with one thing done the way people get it wrong."""

from typing import NamedTuple


class Wrong(NamedTuple):
    """A mistake with a name: in the solved answer, ``right`` stands once and is replaced by ``wrong``."""

    mistake: str
    right: str
    wrong: str


WRONG_ANSWERS: dict[str, list[Wrong]] = {
    "task1-1-configure": [
        Wrong(
            "says keyless without switching keys off",
            (
                "management.accounts.begin_update(azure.resource_group, azure.account, update).result()\n"
                "    account = management.accounts.get(azure.resource_group, azure.account)"
            ),
            (
                "account = management.accounts.get(azure.resource_group, azure.account)\n"
                "    account.properties.disable_local_auth = True"
            ),
        ),
        Wrong("the location is a guess", '"location": account.location', '"location": "westeurope"'),
        Wrong("the quota is only the limit", "(usage.current_value, usage.limit)", "(usage.limit,)"),
    ],
    "task1-2-deploy": [
        Wrong("capacity in tokens", "capacity=40", "capacity=40_000"),
        Wrong("the small model twice", 'BIG, "big"', 'SMALL, "big"'),
        Wrong(
            "capacities swapped",
            (
                'manager.deploy_language_model(BIG, "big", capacity=40),\n'
                '        manager.deploy_language_model(SMALL, "small", capacity=60)'
            ),
            (
                'manager.deploy_language_model(BIG, "big", capacity=60),\n'
                '        manager.deploy_language_model(SMALL, "small", capacity=40)'
            ),
        ),
    ],
    "task1-3-test": [
        Wrong("a refused prompt ends the test", "continue", "break"),
        Wrong(
            "a refused prompt is left out",
            'results.append({"prompt": prompt, "error": str(error), "status": "error"})\n',
            "pass\n",
        ),
        Wrong(
            "a refusal counts as success",
            '"error": str(error), "status": "error"',
            '"response": str(error), "tokens_used": 0, "status": "success"',
        ),
    ],
    "task1-4-compare": [
        Wrong(
            "who answered nothing wins",
            '(answered > 0) & (table["right_share"] >= right_share)',
            '(table["right_share"] >= right_share) | (answered == 0)',
        ),
        Wrong(
            "cost in all, not per answer",
            '(good["cost_usd"] / answered[good.index])',
            '(good["cost_usd"] / good["calls"]) - good["right_share"]',
        ),
        Wrong("no answer for an empty choice", ("if good.empty:\n        return None\n    "), ""),
    ],
    "task2-1-cache": [
        Wrong("the deployment is not in the key", "[deployment, messages, params]", "[messages, params]"),
        Wrong("the order of parameters matters", "sort_keys=True", "sort_keys=False"),
        Wrong(
            "only what was said counts, not by whom",
            "[deployment, messages, params]",
            '[deployment, [m["content"] for m in messages], params]',
        ),
        Wrong(
            "the oldest goes, even when just used",
            ("if key in self.answers:\n            self.answers.move_to_end(key)\n        "),
            "",
        ),
        Wrong(
            "it never forgets",
            ("while len(self.answers) > self.max_entries:\n            self.answers.popitem(last=False)"),
            "pass",
        ),
    ],
    "task2-2-meter": [
        Wrong("cached answers are paid twice", ("if cached:\n            return\n        "), ""),
        Wrong(
            "all tokens at the price of the prompt",
            "price.cost_usd(prompt, completion)",
            "price.cost_usd(prompt + completion, 0)",
        ),
        Wrong(
            "one total, overwritten each time",
            'total["completion_tokens"] += completion',
            'total["completion_tokens"] = completion',
        ),
    ],
    "task2-3-retry": [
        Wrong(
            "sleeps as it likes, as in the session",
            (
                'if "retry-after-ms" in headers:\n'
                '            return float(headers["retry-after-ms"]) / 1000\n'
                '        if "retry-after" in headers:\n'
                '            return float(headers["retry-after"])\n'
                "        "
            ),
            "",
        ),
        Wrong("repeats whatever failed", "not isinstance(error, passing) or ", ""),
        Wrong("takes milliseconds for seconds", "/ 1000", ""),
        Wrong("never gives up", " or attempt >= self.max_attempts", ""),
    ],
    "task2-4-load": [
        Wrong("all at once", ("async with gate:\n            return"), ("if gate:\n            return")),
        Wrong("one after the other", "asyncio.Semaphore(max_concurrency)", "asyncio.Semaphore(1)"),
        Wrong("one failure ends the test", ", return_exceptions=True", ""),
        Wrong(
            "hits are not requests, as in the session",
            'max(1, metrics["total_requests"])',
            'max(1, metrics["total_requests"] - metrics["cache_hits"])',
        ),
        Wrong("milliseconds called seconds", " / 1000", ""),
    ],
    "task3-1-insights": [
        Wrong("in another place than the account", "location=azure.location", 'location="westeurope"'),
        Wrong(
            "a key where a connection string is wanted",
            "return component.connection_string",
            "return component.instrumentation_key",
        ),
    ],
    "task3-2-metrics": [
        Wrong("cost of all deployments in one", ('{"deployment": deployment})\n        size'), ("{})\n        size")),
        Wrong("the prompt counted as answer", "size.record(usage.completion_tokens", "size.record(usage.total_tokens"),
        Wrong("why an answer ended is lost", '"finish_reason": reason', '"finish_reason": "stop"'),
    ],
    "task3-3-dashboard": [
        Wrong("quick refusals flatter the percentile", 'calls[calls["success"]].groupby', "calls.groupby"),
        Wrong("the mean passed off as p95", "quantile(0.95)", "mean()"),
        Wrong(
            "per cent for a share", '"success_rate": by_deployment.mean()', '"success_rate": 100 * by_deployment.mean()'
        ),
    ],
    "task3-4-alerts": [
        Wrong("seconds for milliseconds", "threshold=3000", "threshold=3"),
        Wrong("nobody is told", "actions=[MetricAlertAction(action_group_id=group.id)]", "actions=[]"),
        Wrong("one slow call is enough", '"Average"', '"Maximum"'),
        Wrong("switched off", ("severity=2,\n        enabled=True"), ("severity=2,\n        enabled=False")),
    ],
    "task4-1-usage": [
        Wrong(
            "the first time counts as repeated",
            'log["question"].duplicated()',
            'log["question"].duplicated(keep=False)',
        ),
        Wrong(
            "every call at the price of the first model",
            "for model, prompt, completion in columns",
            'for _, prompt, completion in columns for model in [log["model"].iloc[0]]',
        ),
        Wrong("the prompt only", 'log["prompt_tokens"] + log["completion_tokens"]', 'log["prompt_tokens"]'),
    ],
    "task4-2-parameters": [
        Wrong("cheap and often wrong", '"deployment": "big"', '"deployment": "small"'),
        Wrong("cut in the middle", '"max_tokens": 80', '"max_tokens": 3'),
        Wrong(
            "nothing changed",
            'system = "Odpowiedz krótko." if question.language == "pl" else "Answer briefly."',
            'system = "You are a helpful assistant."',
        ),
    ],
    "task4-3-budget": [
        Wrong(
            "warns when it is too late only",
            '{"actual-80": alarm(80, "Actual"), "forecast-100"',
            '{"actual-100": alarm(100, "Actual"), "forecast-100"',
        ),
        Wrong("no forecast", 'alarm(100, "Forecasted")', 'alarm(100, "Actual")'),
        Wrong("a budget for a year", '"Monthly"', '"Annually"'),
    ],
    "task4-4-roi": [
        Wrong("pays back when it costs more", "if monthly > 0 else None", "if monthly else None"),
        Wrong(
            "share of the new cost",
            "saving / before_usd if before_usd else 0.0",
            "saving / after_usd if after_usd else 0.0",
        ),
        Wrong("saving of one request called monthly", '"monthly_saving_usd": monthly', '"monthly_saving_usd": saving'),
    ],
}
