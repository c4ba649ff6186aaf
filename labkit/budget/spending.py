"""What calls may spend: each is held in a budget at the price of the model that its deployment really runs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.budget.budget import Budget, Hold
from labkit.budget.estimate import most_usd
from labkit.catalog import MODELS, Model, Price
from labkit.deployments import account_models
from labkit.errors import UnknownModelError


class Spending:
    """Holds calls in ``budget`` before they are sent; without one it holds nothing.

    A deployment's name may hide its model. So the control plane is asked once for each deployment that no answer has
    told about, where ``may_ask``: a client of the caller's own may belong to another account.
    """

    def __init__(self, budget: Budget | None, *, may_ask: bool) -> None:
        self.budget = budget
        self._may_ask = may_ask
        self._known: dict[str, Model | Price] = {}

    def learn(self, deployment: str, model: Model | Price | None) -> None:
        """Take ``model`` for what ``deployment`` runs: the caller or an answer has said so. None says nothing."""
        if model is not None:
            self._known[deployment] = model

    async def hold(
        self, deployment: str, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
    ) -> Hold | None:
        """A hold on the most that the call can cost, or None without a budget.

        ``BudgetExceededError`` when it does not fit; ``UnknownModelError`` when nobody says which model it is.
        """
        if self.budget is None:
            return None
        return self.budget.reserve(most_usd(messages, params, await self._model(deployment)))

    async def _model(self, deployment: str) -> Model | Price:
        if deployment not in self._known and self._may_ask:
            self.learn(deployment, (await asyncio.to_thread(account_models)).get(deployment))
        known = self._known.get(deployment) or MODELS.get(deployment)
        if known is None:
            raise UnknownModelError(
                f"A budget needs the price before the call, and {deployment!r} does not say which model it is. Say it "
                f"with model=…; the catalogue knows: {', '.join(MODELS)}."
            )
        return known
