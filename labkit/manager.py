"""Deploys models to an Azure OpenAI account, tries them and compares them, through the control plane and keyless."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from labkit import bank, clients, comparison
from labkit.bank import Question
from labkit.connection import Connection, current
from labkit.deployments import (
    Deployed,
    DeployedModel,
    check_capacity,
    forget_deployments,
    known_model,
    refuse_retired,
    request,
    usual_sku,
)
from labkit.errors import UnknownDeploymentError

if TYPE_CHECKING:
    import pandas as pd
    from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
    from openai import AzureOpenAI

# What the session's test sends. Reasoning models refuse max_tokens and temperature (Microsoft Learn, how-to/reasoning,
# read 2026-11-22).
_TEST_SYSTEM = "Jesteś pomocnym asystentem AI."
_TEST_CHAT: Mapping[str, Any] = {"max_tokens": 150, "temperature": 0.7}
_TEST_REASONING: Mapping[str, Any] = {"max_completion_tokens": 150}

_CHECK_NAMES = "Check subscription, resource group and account: `labkit.current()` shows the ones in use."
# The control plane's error code -> what to do about it.
_NEXT_STEPS = {
    "InsufficientQuota": (
        "capacity counts thousands of tokens per minute: 10 means 10,000. Ask for less, delete a deployment that is "
        "not needed, or look at manager.quota()."
    ),
    "ResourceNotFound": _CHECK_NAMES,
    "ParentResourceNotFound": _CHECK_NAMES,
    "ResourceGroupNotFound": _CHECK_NAMES,
    "SubscriptionNotFound": _CHECK_NAMES,
    "AuthorizationFailed": 'Ask for the role "Cognitive Services Contributor" on the account.',
}


class TestResult(TypedDict):
    """What one prompt gave: ``response`` and ``tokens_used`` with status "success", ``error`` with status "error"."""

    prompt: str
    status: str
    response: NotRequired[str]
    tokens_used: NotRequired[int]
    error: NotRequired[str]


class AzureOpenAIManager:
    """Deployments of one Azure OpenAI account: by default the current connection's.

    The parameters are the session's. Where it named an Azure Machine Learning workspace, an Azure OpenAI account
    belongs today.
    """

    def __init__(
        self,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        *,
        connection: Connection | None = None,
    ) -> None:
        self._base = connection or current()
        self.subscription_id = subscription_id or self._base.subscription_id
        self.resource_group = resource_group or self._base.resource_group
        self.account = workspace_name or self._base.account

    @cached_property
    def connection(self) -> Connection:
        """The connection to this manager's account; another account's endpoint is asked from the control plane."""
        wanted = replace(
            self._base,
            subscription_id=self.subscription_id,
            resource_group=self.resource_group,
            account=self.account,
        )
        if wanted == self._base:
            return self._base
        with _next_step():
            found = clients.cognitive_services(wanted).accounts.get(self.resource_group, self.account)
        endpoint = (found.properties and found.properties.endpoint) or self._base.endpoint
        return replace(wanted, endpoint=endpoint, known_location=found.location)

    def deploy_language_model(
        self, model_name: str, deployment_name: str, capacity: int = 10, *, sku: str | None = None
    ) -> DeployedModel:
        """Deploys ``model_name`` as ``deployment_name``, waits for it and returns what the service says of it.

        ``model_name`` is a name of the catalogue (``labkit.catalog.MODELS``), or Azure's own. ``capacity`` counts
        thousands of tokens per minute: 10 means 10,000. ``sku`` is Standard, as in the session, where the account's
        region offers it for the model, else the first that it does offer. A deployment of that name is updated.

        ``UnknownModelError`` lists the models there are; ``InvalidRequestError`` names the successor of a model that is
        retired on Azure (the local Azure still deploys it). What the service refuses comes as the SDK's own
        ``HttpResponseError``, with the next step as a note.
        """
        model = known_model(model_name)
        if not self.connection.is_local:
            refuse_retired(model)
        check_capacity(capacity)
        account = self.resource_group, self.account
        with _next_step():
            offered = [] if sku else list(self._client.accounts.list_models(*account))
            wanted = request(model, sku or usual_sku(model, offered), capacity)
            poller = self._client.deployments.begin_create_or_update(*account, deployment_name, wanted)
            deployed = poller.result()
        forget_deployments()
        return Deployed.of(deployed).as_dict(self.connection.endpoint)

    def deployments(self) -> list[DeployedModel]:
        """The account's deployments, in the order the service lists them."""
        return [deployed.as_dict(self.connection.endpoint) for deployed in self._deployed().values()]

    def delete_deployment(self, deployment_name: str) -> None:
        """Deletes the deployment and waits until it is gone; ``UnknownDeploymentError`` lists the ones there are."""
        self._require(deployment_name)
        with _next_step():
            self._client.deployments.begin_delete(self.resource_group, self.account, deployment_name).result()
        forget_deployments()

    def quota(self, sku: str = "Standard") -> dict[str, tuple[int, int]]:
        """For each model what its deployments hold and what the region allows, in thousands of tokens per minute."""
        prefix = f"OpenAI.{sku}."
        with _next_step():
            usages = list(self._client.usages.list(self.connection.location))
        named = [((usage.name and usage.name.value) or "", usage) for usage in usages]
        return {
            name.removeprefix(prefix): (int(usage.current_value or 0), int(usage.limit or 0))
            for name, usage in named
            if name.startswith(prefix)
        }

    def test_model_deployment(self, deployment_name: str, test_prompts: Sequence[str]) -> list[TestResult]:
        """One result a prompt, in order: its response and tokens, or its error. An error loses none of the others.

        The system message, 150 tokens and temperature 0.7 are the session's; a reasoning model, which refuses
        ``max_tokens`` and ``temperature``, gets ``max_completion_tokens`` alone.
        """
        prompts = [test_prompts] if isinstance(test_prompts, str) else test_prompts
        try:
            deployed = self._require(deployment_name)
        except UnknownDeploymentError as error:
            return [{"prompt": prompt, "error": str(error), "status": "error"} for prompt in prompts]
        openai = clients.openai(self.connection)
        return [_try(openai, deployed, prompt) for prompt in prompts]

    def compare(
        self,
        deployment_names: Sequence[str],
        questions: Sequence[Question | str] | None = None,
        *,
        system: str = comparison.SYSTEM,
        repeats: int = 1,
    ) -> "pd.DataFrame":
        """Asks every deployment the same ``questions`` (24 of the bank's by default) and puts the results in a table.

        Indexed by deployment: ``model``, ``calls``, ``errors``, ``latency_p50_s`` and ``latency_p95_s`` (the service's
        own processing time where it reports one), ``prompt_tokens``, ``completion_tokens``, ``cost_usd`` (all calls, at
        the list price of the model behind the deployment, whatever that is called) and ``right_share`` (right answers
        among the bank's questions; a call that failed gave none; nan when there were no such questions).

        ``UnknownDeploymentError`` before any call when one of the names does not exist.
        """
        contenders = self._contenders(deployment_names)
        asked = comparison.default_questions() if questions is None else questions
        openai = clients.openai(self.connection)
        return comparison.compare(openai, contenders, asked, system=system, repeats=repeats)

    def observe(
        self,
        deployment_names: Sequence[str],
        questions: Sequence[Question | str] = bank.QUESTIONS,
        *,
        system: str = comparison.SYSTEM,
        samples: int = 1,
    ) -> "pd.DataFrame":
        """Asks like ``compare``, and gives each answer a row: what ``Router.fit`` and ``Cascade.fit`` learn from.

        The whole bank by default, as a router needs many questions. With ``samples`` every call asks for that many
        answers at once; ``agreement`` says how many of them say the same (see ``comparison.observe`` for the columns).
        """
        contenders = self._contenders(deployment_names)
        return comparison.observe(
            clients.openai(self.connection), contenders, questions, system=system, samples=samples
        )

    @property
    def _client(self) -> "CognitiveServicesManagementClient":
        return clients.cognitive_services(self.connection)

    def _deployed(self) -> dict[str, Deployed]:
        with _next_step():
            listed = list(self._client.deployments.list(self.resource_group, self.account))
        return {deployed.name: deployed for deployed in map(Deployed.of, listed)}

    def _contenders(self, deployment_names: Sequence[str]) -> list[comparison.Contender]:
        names = [deployment_names] if isinstance(deployment_names, str) else list(dict.fromkeys(deployment_names))
        deployed = self._deployed()
        return [comparison.Contender.of(self._known(name, deployed)) for name in names]

    def _require(self, deployment_name: str) -> Deployed:
        return self._known(deployment_name, self._deployed())

    def _known(self, deployment_name: str, deployed: Mapping[str, Deployed]) -> Deployed:
        if deployment_name not in deployed:
            existing = f"It has: {', '.join(deployed)}" if deployed else "It has none yet"
            raise UnknownDeploymentError(
                f"The account {self.account} has no deployment {deployment_name!r}. {existing}. "
                f"Create it with manager.deploy_language_model(model_name, {deployment_name!r})."
            )
        return deployed[deployment_name]


def _try(openai: "AzureOpenAI", deployed: Deployed, prompt: str) -> TestResult:
    reasoning = deployed.model is not None and deployed.model.is_reasoning
    try:
        answer = openai.chat.completions.create(
            model=deployed.name,
            messages=[{"role": "system", "content": _TEST_SYSTEM}, {"role": "user", "content": prompt}],
            **(_TEST_REASONING if reasoning else _TEST_CHAT),
        )
        return {
            "prompt": prompt,
            "response": answer.choices[0].message.content or "",
            "tokens_used": answer.usage.total_tokens if answer.usage else 0,
            "status": "success",
        }
    except Exception as error:  # whatever it is: the other prompts' results must not be lost
        return {"prompt": prompt, "error": str(error), "status": "error"}


@contextmanager
def _next_step() -> Iterator[None]:
    """Lets an error of the control plane pass as it is, with what to do about it added as a note."""
    from azure.core.exceptions import HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        if advice := _NEXT_STEPS.get(str(getattr(error.error, "code", ""))):
            error.add_note(advice)
        raise
