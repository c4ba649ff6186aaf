"""Charges: metered usage times the catalogue's prices, by day, deployment and meter."""

from typing import TYPE_CHECKING, NamedTuple

from labkit.catalog import MODELS
from labkit.localazure.resources import GROUP_ID, SUBSCRIPTION_ID
from labkit.localazure.usage import Cell, Key

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_ACCOUNTS = f"{GROUP_ID}/providers/Microsoft.CognitiveServices/accounts/"


class Charge(NamedTuple):
    """What one meter of a deployment came to on a day (UTC); ``day_s`` is its beginning in seconds since 1970.

    A model has up to three meters: ``Inp``, ``cchd Inp`` and ``Outp`` tokens, for prompts, the part of them that came
    from the prompt cache, and completions.
    """

    day_s: int
    account: str
    deployment: str
    model: str
    direction: str
    tokens: int
    cost_usd: float

    @property
    def resource_id(self) -> str:
        """The account's id; Cost Management writes ids in lower case."""
        return f"{_ACCOUNTS}{self.account}".lower()

    @property
    def meter(self) -> str:
        """The meter's name. The pattern is the retail price list's, the models' names are the catalogue's."""
        return f"{self.model} {self.direction} glbl Tokens"


def charges(azure: "Azure", scope: str, start_s: float, end_s: float) -> list[Charge]:
    """The charges at ``scope`` of the days that begin at ``start_s`` or later and before ``end_s``, oldest first."""
    days = sorted(azure.usage.days().items())
    within = [(key, cell) for key, cell in days if start_s <= key.start_s < end_s and covers(scope, key.account)]
    return [charge for key, cell in within for charge in _of(key, cell)]


def covers(scope: str, account: str) -> bool:
    """True when what ``account`` spends counts at ``scope``: the account, its resource group, its subscription, or a
    billing scope above it.
    """
    wanted = scope.lower().strip("/")
    if not wanted.startswith("subscriptions/"):
        return True  # billing accounts and management groups hold the one subscription there is
    whole = (f"subscriptions/{SUBSCRIPTION_ID}", GROUP_ID.lower().strip("/"))
    return wanted in whole or wanted == f"{_ACCOUNTS}{account}".lower().strip("/")


def _of(key: Key, cell: Cell) -> list[Charge]:
    model = MODELS.get(key.model)
    if model is None:
        return []
    price = model.price
    meters = (
        ("Inp", cell.prompt_tokens - cell.cached_tokens, price.input),
        ("cchd Inp", cell.cached_tokens, price.cached_input),
        ("Outp", cell.completion_tokens, price.output),
    )
    return [
        Charge(
            key.start_s, key.account, key.deployment, key.model, direction, tokens, tokens * usd_per_million / 1_000_000
        )
        for direction, tokens, usd_per_million in meters
        if tokens
    ]
