"""Deploying, trying and comparing models with the real SDKs against a running local Azure."""

import math
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from labkit import bank, lab
from labkit.connection import Connection, current
from labkit.errors import InvalidRequestError, NoConnectionError, UnknownDeploymentError, UnknownModelError
from labkit.localazure import LocalAzure
from labkit.manager import AzureOpenAIManager


@pytest.fixture
def manager(local: LocalAzure) -> AzureOpenAIManager:
    """A manager of an account without deployments."""
    return AzureOpenAIManager()


@pytest.fixture
def pair(manager: AzureOpenAIManager) -> AzureOpenAIManager:
    """The session's two models, deployed under names that say nothing about them."""
    manager.deploy_language_model("gpt-4-turbo", "big", 40)
    manager.deploy_language_model("gpt-35-turbo", "small", 60)
    return manager


def sent(call: lab.Call) -> dict[str, Any]:
    """The parameters of a call, without the model's name, which the SDK repeats in the body."""
    return {name: value for name, value in call.params.items() if name != "model"}


def test_without_a_connection_there_is_no_manager() -> None:
    """The error says to connect first."""
    with pytest.raises(NoConnectionError, match="connect"):
        AzureOpenAIManager()


def test_deploying_gives_the_sessions_keys_and_what_the_service_says(manager: AzureOpenAIManager) -> None:
    """Status, version, SKU and capacity come back from the control plane; the endpoint is the account's."""
    assert manager.deploy_language_model("gpt-4-turbo", "big", 40) == {
        "deployment_name": "big",
        "model": "gpt-4-turbo",
        "capacity": 40,
        "status": "deployed",
        "endpoint": current().endpoint,
        "version": "turbo-2024-04-09",
        "sku": "Standard",
    }


def test_a_deployment_really_exists_afterwards(local: LocalAzure, pair: AzureOpenAIManager) -> None:
    """It is in the control plane, listed with what was asked for, and holds quota."""
    listed = {each["deployment_name"]: (each["model"], each["capacity"]) for each in pair.deployments()}
    assert listed == {"big": ("gpt-4-turbo", 40), "small": ("gpt-35-turbo", 60)}
    writes = lab.journal(operation="deployments.write")
    assert [call.status for call in writes] == [201, 201]
    assert pair.quota()["gpt-4-turbo"] == (40, 450)
    assert pair.quota("GlobalStandard")["gpt-4-turbo"] == (0, 450)


def test_the_session_deploys_ten_thousand_tokens_a_minute_by_default(manager: AzureOpenAIManager) -> None:
    """``capacity`` is 10 when it is left out, and another SKU can be named."""
    deployed = manager.deploy_language_model("gpt-4o", "chat", sku="GlobalStandard")
    assert (deployed["capacity"], deployed["sku"]) == (10, "GlobalStandard")


def test_deploying_again_updates(pair: AzureOpenAIManager) -> None:
    """The same name with another capacity changes the deployment; there is no second one."""
    assert pair.deploy_language_model("gpt-4-turbo", "big", 80)["capacity"] == 80
    assert len(pair.deployments()) == 2


def test_deleting_frees_name_and_quota(pair: AzureOpenAIManager) -> None:
    """Afterwards it is neither listed nor counted."""
    pair.delete_deployment("big")
    assert [each["deployment_name"] for each in pair.deployments()] == ["small"]
    assert pair.quota()["gpt-4-turbo"] == (0, 450)


def test_an_unknown_deployment_lists_the_ones_there_are(pair: AzureOpenAIManager) -> None:
    """The error has the account, the names, and how to create one."""
    with pytest.raises(UnknownDeploymentError, match=r"aoai-session13 has no deployment 'huge'. It has: big, small\."):
        pair.delete_deployment("huge")
    with pytest.raises(UnknownDeploymentError, match="'huge'"):
        pair.compare(["big", "huge"])
    assert lab.calls() == []


def test_an_account_without_deployments_says_so(manager: AzureOpenAIManager) -> None:
    """An empty list would read like a slip."""
    with pytest.raises(UnknownDeploymentError, match=r"It has none yet\. Create it with"):
        manager.delete_deployment("big")


def test_too_much_capacity_is_the_services_error_with_a_note(manager: AzureOpenAIManager) -> None:
    """The SDK's own class and words; the note explains the unit, which is the usual cause."""
    with pytest.raises(HttpResponseError, match="InsufficientQuota") as refused:
        manager.deploy_language_model("gpt-4-turbo", "big", 40_000)
    assert refused.value.__notes__ == [
        "capacity counts thousands of tokens per minute: 10 means 10,000. Ask for less, delete a deployment that is "
        "not needed, or look at manager.quota()."
    ]
    assert manager.deployments() == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(("gpt-9", "x"), UnknownModelError, id="unknown-model"),
        pytest.param(("gpt-4-turbo", "x", 0), InvalidRequestError, id="no-capacity"),
        pytest.param(("gpt-4-turbo", "no spaces"), HttpResponseError, id="bad-name"),
    ],
)
def test_what_cannot_be_deployed_is_refused(
    manager: AzureOpenAIManager, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    """Nothing is created."""
    with pytest.raises(error):
        manager.deploy_language_model(*arguments)
    assert manager.deployments() == []


def test_a_retired_model_is_not_even_asked_for_on_real_azure() -> None:
    """The error names the successor, before anything is sent."""
    real = Connection("https://c.openai.azure.com/", "https://management.azure.com", "s", "g", "c", is_local=False)
    with pytest.raises(InvalidRequestError, match=r"successor gpt-4\.1"):
        AzureOpenAIManager(connection=real).deploy_language_model("gpt-4-turbo", "big")


def test_the_sessions_arguments_name_an_account(local: LocalAzure) -> None:
    """Subscription, resource group and account as in the session; the connection's own need no question."""
    azure = current()
    same = AzureOpenAIManager(azure.subscription_id, azure.resource_group, azure.account)
    assert same.connection is azure
    assert lab.journal() == []
    missing = AzureOpenAIManager(azure.subscription_id, azure.resource_group, "aoai-elsewhere")
    with pytest.raises(ResourceNotFoundError) as refused:
        missing.deployments()
    assert "Check subscription, resource group and account" in refused.value.__notes__[0]


def test_another_account_has_its_own_endpoint(local: LocalAzure) -> None:
    """It is asked from the control plane, and calls go there."""
    from azure.mgmt.cognitiveservices.models import Account, AccountProperties, Sku

    from labkit import clients

    account = Account(kind="OpenAI", sku=Sku(name="S0"), location="swedencentral", properties=AccountProperties())
    group = current().resource_group
    clients.cognitive_services().accounts.begin_create(group, "aoai-other", account).result()
    other = AzureOpenAIManager(workspace_name="aoai-other")
    deployed = other.deploy_language_model("gpt-4o-mini", "chat", 10)
    assert deployed["endpoint"].startswith(local.url)
    assert deployed["endpoint"].endswith("/aoai-other/")
    assert other.test_model_deployment("chat", ["What is 17 + 25?"])[0]["status"] == "success"
    assert AzureOpenAIManager().deployments() == []


def test_testing_gives_a_result_for_each_prompt(pair: AzureOpenAIManager) -> None:
    """The session's keys, in the order of the prompts, from the session's request."""
    prompts = ["Ile to jest 17 + 25?", "What is 9 × 8?"]
    results = pair.test_model_deployment("big", prompts)
    assert [result["prompt"] for result in results] == prompts
    assert all(set(result) == {"prompt", "response", "tokens_used", "status"} for result in results)
    assert all(result["status"] == "success" and result["response"] and result["tokens_used"] for result in results)
    calls = lab.calls("big")
    assert [call.prompt for call in calls] == prompts
    assert sent(calls[0]) == {"max_tokens": 150, "temperature": 0.7}
    assert [call.prompt_tokens + call.completion_tokens for call in calls] == [r["tokens_used"] for r in results]


def test_one_failing_prompt_loses_none_of_the_others(pair: AzureOpenAIManager) -> None:
    """Its result has the error; the ones before and after have their responses."""
    lab.fault("big", status=500, contains="second")
    results = pair.test_model_deployment("big", ["first", "second", "third"])
    assert [result["status"] for result in results] == ["success", "error", "success"]
    assert set(results[1]) == {"prompt", "error", "status"}
    assert "500" in results[1]["error"]


def test_an_unknown_deployment_is_an_error_for_each_prompt(pair: AzureOpenAIManager) -> None:
    """As in the session nothing is raised; the error lists the deployments there are."""
    results = pair.test_model_deployment("huge", ["first", "second"])
    assert [result["status"] for result in results] == ["error", "error"]
    assert "It has: big, small" in results[0]["error"]


def test_a_single_prompt_is_not_taken_apart(pair: AzureOpenAIManager) -> None:
    """A text instead of a list is one prompt, not one for each letter."""
    (result,) = pair.test_model_deployment("small", "What is 17 + 25?")  # type: ignore[arg-type]
    assert result["prompt"] == "What is 17 + 25?"


def test_reasoning_models_get_the_parameters_they_take(manager: AzureOpenAIManager) -> None:
    """No ``max_tokens`` and no ``temperature``, which they refuse."""
    manager.deploy_language_model("gpt-5-mini", "thinker", 50)
    (result,) = manager.test_model_deployment("thinker", ["What is 17 + 25?"])
    assert result["status"] == "success"
    assert sent(lab.calls("thinker")[0]) == {"max_completion_tokens": 150}
    table = manager.compare(["thinker"], bank.sample(3))
    assert table.loc["thinker", "errors"] == 0


def test_an_embedding_model_answers_no_prompt(manager: AzureOpenAIManager) -> None:
    """The service's refusal is the result."""
    manager.deploy_language_model("text-embedding-3-small", "vectors", 50)
    (result,) = manager.test_model_deployment("vectors", ["What is 17 + 25?"])
    assert result["status"] == "error"
    assert manager.compare(["vectors"], bank.sample(2)).loc["vectors", "errors"] == 2


def test_comparing_shows_what_sets_models_apart(pair: AzureOpenAIManager) -> None:
    """The big model is right more often, slower and dearer, whatever the deployments are called."""
    table = pair.compare(["big", "small"])
    big, small = table.loc["big"], table.loc["small"]
    assert list(table["model"]) == ["gpt-4-turbo", "gpt-35-turbo"]
    assert list(table["calls"]) == [24, 24]
    assert list(table["errors"]) == [0, 0]
    assert big["right_share"] > small["right_share"]
    assert big["latency_p50_s"] > small["latency_p50_s"]
    assert big["cost_usd"] > 5 * small["cost_usd"]


def test_comparing_uses_the_services_own_figures(pair: AzureOpenAIManager) -> None:
    """Tokens as billed, and the latency the service reports, not the time that passed here."""
    table = pair.compare(["big"], bank.sample(5))
    calls = lab.calls("big")
    assert table.loc["big", "prompt_tokens"] == sum(call.prompt_tokens for call in calls)
    assert table.loc["big", "completion_tokens"] == sum(call.completion_tokens for call in calls)
    assert table.loc["big", "latency_p95_s"] == pytest.approx(
        sorted(call.simulated_ms / 1000 for call in calls)[-1], rel=0.25
    )


def test_comparing_twice_says_the_same(pair: AzureOpenAIManager) -> None:
    """Temperature 0 and simulated time: the table can stand in a notebook."""
    first = pair.compare(["big", "small"], bank.sample(6))
    assert first.equals(pair.compare(["big", "small"], bank.sample(6)))


def test_questions_may_be_texts_and_be_repeated(pair: AzureOpenAIManager) -> None:
    """A bank question given as text is still judged; any other has no share of right answers."""
    known = bank.sample(1, level=1)[0]
    table = pair.compare(["small", "small"], [known.text, "Opisz krótko Wrocław."], repeats=2)
    assert list(table.index) == ["small"]
    assert table.loc["small", "calls"] == 4
    assert table.loc["small", "right_share"] in (0.0, 1.0)
    assert math.isnan(pair.compare("small", ["Opisz krótko Wrocław."]).loc["small", "right_share"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "questions", "repeats"),
    [
        pytest.param([], None, 1, id="no-deployment"),
        pytest.param(["big"], [], 1, id="no-question"),
        pytest.param(["big"], None, 0, id="no-repeat"),
    ],
)
def test_nothing_to_compare_is_said(
    pair: AzureOpenAIManager, names: list[str], questions: list[str] | None, repeats: int
) -> None:
    """Instead of an empty table."""
    with pytest.raises(InvalidRequestError, match="at least one deployment, one question and one repeat"):
        pair.compare(names, questions, repeats=repeats)


def test_a_call_that_is_told_to_wait_waits(pair: AzureOpenAIManager) -> None:
    """A comparison measures models, not quotas: a refusal is retried, and its wait is no latency."""
    table = pair.compare(["big"], bank.sample(4))
    lab.fault("big", status=429, times=2, retry_after_s=0.1)
    again = pair.compare(["big"], bank.sample(4))
    assert again.equals(table)
    assert [call.status for call in lab.calls("big")].count(429) == 2


def test_a_deployment_that_fails_does_not_spoil_the_comparison(pair: AzureOpenAIManager) -> None:
    """Its errors are counted in its own row."""
    lab.fault("small", status=400, times=3)
    table = pair.compare(["big", "small"], bank.sample(4))
    assert list(table["errors"]) == [0, 3]
    assert list(table["calls"]) == [4, 4]
