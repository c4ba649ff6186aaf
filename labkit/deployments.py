"""One deployment as the control plane describes it, and what it takes to ask for one."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Condition
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict

from cachetools import TTLCache, cached

from labkit.catalog import MODELS, Model, by_azure
from labkit.connection import Connection, current
from labkit.errors import InvalidRequestError, UnknownModelError

if TYPE_CHECKING:
    from azure.mgmt.cognitiveservices.models import AccountModel, Deployment

logger = logging.getLogger(__name__)

_USUAL_SKU = "Standard"
# Whoever asks for each of many calls asks the control plane once; many at once wait for one question.
_REMEMBERED_S = 10.0
_remembered: "TTLCache[Any, Mapping[str, Deployed] | None]" = TTLCache(maxsize=8, ttl=_REMEMBERED_S)
_remembering = Condition()


class DeployedModel(TypedDict):
    """One deployment as the service reports it; ``capacity`` in thousands of tokens per minute.

    ``status`` is "deployed" once the service says Succeeded, else the state it reports. ``endpoint`` is the account's:
    a deployment has none of its own.
    """

    deployment_name: str
    model: str
    capacity: int
    status: str
    endpoint: str
    version: str
    sku: str


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the control plane says of one deployment."""

    name: str
    azure_name: str
    version: str
    sku: str
    capacity_ktpm: int
    state: str

    @classmethod
    def of(cls, deployment: "Deployment") -> "Deployed":
        """The SDK's object as plain data."""
        properties, sku = deployment.properties, deployment.sku
        model = properties.model if properties else None
        return cls(
            name=deployment.name or "",
            azure_name=(model.name if model else None) or "",
            version=(model.version if model else None) or "",
            sku=(sku.name if sku else None) or "",
            capacity_ktpm=int((sku.capacity if sku else None) or 0),
            state=str((properties.provisioning_state if properties else None) or "Unknown"),
        )

    @property
    def model(self) -> Model | None:
        """The catalogue's model behind it, whatever the deployment is called; None for one the catalogue lacks."""
        return by_azure(self.azure_name, self.version)

    @property
    def model_name(self) -> str:
        """The model's name in the catalogue, else Azure's."""
        return self.model.name if self.model else self.azure_name

    @property
    def priced_as(self) -> tuple[str, ...]:
        """The names under which the model's price may be known, the most exact one first."""
        if self.model:
            return (self.model.snapshot,)
        return (f"{self.azure_name}-{self.version}", self.azure_name) if self.version else (self.azure_name,)

    def as_dict(self, endpoint: str) -> DeployedModel:
        """The session's keys."""
        return {
            "deployment_name": self.name,
            "model": self.model_name,
            "capacity": self.capacity_ktpm,
            "status": "deployed" if self.state == "Succeeded" else self.state,
            "endpoint": endpoint,
            "version": self.version,
            "sku": self.sku,
        }


def known_model(name: str) -> Model:
    """The model of this name in the catalogue, or of this name on Azure; ``UnknownModelError`` lists the known ones."""
    model = MODELS.get(name) or by_azure(name)
    if model is None:
        raise UnknownModelError(f"There is no model {name!r}. labkit knows: {', '.join(MODELS)}.")
    return model


def refuse_retired(model: Model) -> None:
    """Raises ``InvalidRequestError``, which names the successor, when Azure no longer deploys ``model``."""
    life = model.life
    if life.status == "retired":
        since = f" since {life.retires.isoformat()}" if life.retires else ""
        raise InvalidRequestError(
            f"{model.name} has been retired on Azure{since} ({life.source}, read {life.read.isoformat()}). "
            f"Deploy its successor {life.successor}; the local Azure still has {model.name}."
        )


def check_capacity(capacity: int) -> None:
    """Raises ``InvalidRequestError`` unless ``capacity`` can be a number of thousands of tokens per minute."""
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise InvalidRequestError(
            f"capacity is a whole number of thousands of tokens per minute, at least 1, not {capacity!r}: "
            "10 means 10,000 tokens per minute."
        )


def usual_sku(model: Model, offered: "list[AccountModel]") -> str:
    """Standard, as in the session, where it is offered for ``model``; else the first SKU that is.

    Newer models come as GlobalStandard in most regions. When the region does not offer the model at all, the answer is
    Standard, and the service will say so in its own words.
    """
    names = [
        sku.name or ""
        for each in offered
        if (each.name, each.version) == (model.azure_name, model.azure_version)
        for sku in each.skus or ()
    ]
    return _USUAL_SKU if _USUAL_SKU in names or not names else names[0]


def request(model: Model, sku: str, capacity: int) -> "Deployment":
    """The SDK's object to PUT."""
    from azure.mgmt.cognitiveservices.models import Deployment, DeploymentModel, DeploymentProperties, Sku

    return Deployment(
        sku=Sku(name=sku, capacity=capacity),
        properties=DeploymentProperties(
            model=DeploymentModel(format="OpenAI", name=model.azure_name, version=model.azure_version)
        ),
    )


def account_models(connection: Connection | None = None) -> dict[str, Model]:
    """The catalogue's model behind each deployment of the account, by the deployment's name, whatever that says.

    A deployment of a model that the catalogue lacks is left out. Like ``account_deployments`` it asks the network.
    """
    return {name: each.model for name, each in account_deployments(connection).items() if each.model}


def account_deployments(connection: Connection | None = None) -> Mapping[str, Deployed]:
    """The account's deployments by name, remembered for ten seconds; the current connection's account by default.

    Empty for whoever may not list them (calling models is another permission), and without a connection; a debug log
    line says why. It waits for the network: from a coroutine use ``asyncio.to_thread``.
    """
    return known_deployments(connection) or {}


def forget_deployments() -> None:
    """Makes the next question go to the control plane: a deployment was made or deleted."""
    with _remembering:
        _remembered.clear()


def known_deployments(connection: Connection | None = None) -> Mapping[str, Deployed] | None:
    """The same, but None where the account could not be asked: that is not the same as an account without any."""
    try:
        return _asked(connection or current())
    except Exception as error:
        logger.debug("The account's deployments are not known: %s", type(error).__name__)
        return None


@cached(_remembered, condition=_remembering)
def _asked(connection: Connection) -> Mapping[str, Deployed] | None:
    from labkit import clients

    try:
        listed = clients.cognitive_services(connection).deployments.list(connection.resource_group, connection.account)
        return MappingProxyType({each.name: each for each in map(Deployed.of, listed)})
    except Exception as error:
        # Remembered, too: who may not list deployments must not be told so once for each call.
        logger.debug("The deployments of %s could not be listed: %s", connection.account, type(error).__name__)
        return None
