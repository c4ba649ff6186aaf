"""Deployments as data, and the checks before one is asked for."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from azure.mgmt.cognitiveservices.models import (
    AccountModel,
    Deployment,
    DeploymentModel,
    DeploymentProperties,
    ModelSku,
    Sku,
)

from labkit import AzureOpenAIManager, clients, current
from labkit.catalog import MODELS, model
from labkit.deployments import (
    Deployed,
    account_deployments,
    account_models,
    check_capacity,
    forget_deployments,
    known_model,
    refuse_retired,
    request,
    usual_sku,
)
from labkit.errors import InvalidRequestError, UnknownModelError


def test_the_model_comes_from_the_control_plane_and_not_from_the_name() -> None:
    """A deployment called after one model that runs another is what it runs."""
    deployed = Deployed("gpt-4-turbo", "gpt-4o-mini", "2024-07-18", "Standard", 10, "Succeeded")
    assert deployed.model is MODELS["gpt-4o-mini"]
    assert deployed.model_name == "gpt-4o-mini"


def test_a_model_that_the_catalogue_lacks_keeps_azures_name() -> None:
    """A newer model than this release knows is still listed."""
    deployed = Deployed("next", "gpt-9", "2027-01-01", "GlobalStandard", 1, "Succeeded")
    assert deployed.model is None
    assert deployed.as_dict("https://x/")["model"] == "gpt-9"


@pytest.mark.parametrize(
    ("state", "status"), [("Succeeded", "deployed"), ("Creating", "Creating"), ("Failed", "Failed")]
)
def test_deployed_is_only_what_the_service_says(state: str, status: str) -> None:
    """Any other state is passed on as it is."""
    assert Deployed("d", "gpt-4o", "2024-08-06", "Standard", 1, state).as_dict("")["status"] == status


def test_an_answer_with_holes_is_read_all_the_same() -> None:
    """The SDK declares every field optional."""
    assert Deployed.of(Deployment()) == Deployed("", "", "", "", 0, "Unknown")
    partial = Deployment(sku=Sku(name="Standard"), properties=DeploymentProperties(model=DeploymentModel(name="gpt-4")))
    assert Deployed.of(partial) == Deployed("", "gpt-4", "", "Standard", 0, "Unknown")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("gpt-4-turbo", "gpt-4-turbo", id="catalogue"),
        pytest.param("gpt-4", "gpt-4-turbo", id="azure-name-of-the-session"),
        pytest.param("gpt-35-turbo", "gpt-35-turbo", id="both"),
    ],
)
def test_models_are_known_by_both_their_names(name: str, expected: str) -> None:
    """The session uses Azure's "gpt-4" as well as the course's own names."""
    assert known_model(name).name == expected


def test_an_unknown_model_lists_the_known_ones() -> None:
    """The error is labkit's, with every name that would have done."""
    with pytest.raises(UnknownModelError, match=r"no model 'gpt-9'.*gpt-4-turbo.*text-embedding-3-large"):
        known_model("gpt-9")


def test_a_retired_model_is_refused_with_its_successor() -> None:
    """Source and date are named, because life cycles change."""
    with pytest.raises(InvalidRequestError, match=r"o4-mini.*since 2026-11-19.*read 2026-11-22.*successor gpt-5-mini"):
        refuse_retired(model("o4-mini"))
    with pytest.raises(InvalidRequestError, match=r"retired on Azure \(.*successor gpt-4\.1;"):
        refuse_retired(model("gpt-4-turbo"))


@pytest.mark.parametrize("name", [name for name, each in MODELS.items() if each.life.status != "retired"])
def test_what_is_not_retired_may_be_deployed(name: str) -> None:
    """Legacy models too: Azure still deploys them."""
    refuse_retired(model(name))


def test_every_retired_model_has_a_successor_that_is_available() -> None:
    """Otherwise the advice would lead nowhere."""
    for each in MODELS.values():
        if each.life.status == "retired":
            assert model(str(each.life.successor)).life.status == "available"
            assert each.life.read <= date(2026, 11, 22)


@pytest.mark.parametrize("capacity", [0, -5, 1.5, "10", True, None], ids=repr)
def test_a_capacity_that_cannot_be_says_its_unit(capacity: Any) -> None:
    """Thousands of tokens per minute: the session's comment had it wrong."""
    with pytest.raises(InvalidRequestError, match=f"thousands of tokens per minute.*not {capacity!r}"):
        check_capacity(capacity)


def offered(*skus: str, version: str = "2025-04-14") -> AccountModel:
    """gpt-4.1 as an account's model list shows it."""
    return AccountModel(name="gpt-4.1", version=version, skus=[ModelSku(name=sku) for sku in skus])


@pytest.mark.parametrize(
    ("models", "sku"),
    [
        pytest.param([offered("GlobalStandard", "Standard")], "Standard", id="standard-is-offered"),
        pytest.param([offered("GlobalStandard", "DataZoneStandard")], "GlobalStandard", id="standard-is-not"),
        pytest.param([offered("GlobalStandard", version="1")], "Standard", id="another-version"),
        pytest.param([], "Standard", id="not-in-the-region"),
    ],
)
def test_the_usual_sku_is_standard_where_there_is_one(models: list[AccountModel], sku: str) -> None:
    """The session deploys Standard; newer models come as GlobalStandard only in most regions."""
    assert usual_sku(model("gpt-4.1"), models) == sku


def test_the_request_speaks_azures_names() -> None:
    """The course's gpt-4-turbo is Azure's gpt-4 in a version of its own."""
    wanted = request(model("gpt-4-turbo"), "Standard", 40).as_dict()
    assert wanted["sku"] == {"name": "Standard", "capacity": 40}
    assert wanted["properties"]["model"] == {"format": "OpenAI", "name": "gpt-4", "version": "turbo-2024-04-09"}


@pytest.mark.parametrize(
    ("azure_name", "version", "names"),
    [
        pytest.param("gpt-4o", "2024-08-06", ("gpt-4o-2024-08-06",), id="catalogue"),
        pytest.param("gpt-4o", "2024-05-13", ("gpt-4o-2024-05-13", "gpt-4o"), id="another version of it"),
        pytest.param("gpt-4", "turbo-2024-04-09", ("gpt-4-turbo-2024-04-09",), id="Azure's own spelling"),
        pytest.param("o1", "2024-12-17", ("o1-2024-12-17", "o1"), id="not in the catalogue"),
        pytest.param("phi-4", "", ("phi-4",), id="no version"),
    ],
)
def test_a_deployment_says_under_which_names_its_price_is_known(
    azure_name: str, version: str, names: tuple[str, ...]
) -> None:
    """With the version first: snapshots of one model can have different prices."""
    assert Deployed("d", azure_name, version, "Standard", 1, "Succeeded").priced_as == names


class ControlPlane:
    """Lists deployments like the SDK's client, counts how often it is asked, and refuses when told to."""

    def __init__(self, refuses: bool = False) -> None:
        self.asked, self.refuses = 0, refuses
        self.deployments = self

    def list(self, *_: str) -> list[Deployment]:
        self.asked += 1
        if self.refuses:
            raise PermissionError("AuthorizationFailed")
        model = DeploymentModel(name="gpt-4.1-nano", version="2025-04-14")
        other = DeploymentModel(name="gpt-9", version="1")
        made = [
            Deployment(sku=Sku(name="Standard"), properties=DeploymentProperties(model=each)) for each in (model, other)
        ]
        for name, each in zip(("chat", "next"), made, strict=True):
            each.name = name  # read-only in the SDK's constructor
        return made


@pytest.mark.usefixtures("local")
def test_the_models_of_an_account_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many at once wait for one answer, which is remembered until a deployment is made or deleted."""
    plane = ControlPlane()
    monkeypatch.setattr(clients, "cognitive_services", lambda _: plane)
    forget_deployments()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: account_models(current()), range(8)))
    assert answers == [{"chat": MODELS["gpt-4.1-nano"]}] * 8
    assert plane.asked == 1
    forget_deployments()
    account_models()
    assert plane.asked == 2


@pytest.mark.usefixtures("local")
def test_whoever_may_not_list_gets_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Calling models is another permission: no error, one line for whoever debugs, and no second question."""
    plane = ControlPlane(refuses=True)
    monkeypatch.setattr(clients, "cognitive_services", lambda _: plane)
    forget_deployments()
    with caplog.at_level(logging.DEBUG, logger="labkit"):
        assert account_models() == account_deployments() == {}
    assert plane.asked == 1
    assert "could not be listed: PermissionError" in caplog.text


def test_without_a_connection_there_are_none() -> None:
    """A client of one's own needs no connection."""
    assert account_models() == {}


@pytest.mark.usefixtures("local")
def test_the_models_of_an_account_are_what_it_runs() -> None:
    """From the control plane, whatever a deployment is called; a change made here is seen at once."""
    manager = AzureOpenAIManager()
    manager.deploy_language_model("gpt-4.1-nano", "gpt-4o", capacity=1)
    assert account_models() == {"gpt-4o": MODELS["gpt-4.1-nano"]}
    manager.deploy_language_model("gpt-4o", "gpt-4.1-nano", capacity=1)
    assert account_models() == {"gpt-4o": MODELS["gpt-4.1-nano"], "gpt-4.1-nano": MODELS["gpt-4o"]}
    manager.delete_deployment("gpt-4o")
    assert account_models() == {"gpt-4.1-nano": MODELS["gpt-4o"]}
