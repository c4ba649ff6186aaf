"""What calls may spend: each is held in a budget at the price of the model that its deployment really runs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.budget.budget import Budget, Hold
from labkit.budget.estimate import most_usd
from labkit.catalog import MODELS, Model
from labkit.deployments import account_models
from labkit.errors import UnknownModelError
from labkit.metering import answered_by

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


class Spending:
    """Holds calls in ``budget`` before they are sent; without one it holds nothing.

    A deployment's name may hide its model. So the control plane is asked once for each deployment that no answer has
    told about, where ``may_ask``: a client of the caller's own may belong to another account.
    """

    def __init__(self, budget: Budget | None, *, may_ask: bool) -> None:
        self.budget = budget
        self._may_ask = may_ask
        self._said: dict[str, Model] = {}
        self._known: dict[str, Model | str] = {}

    def declare(self, deployment: str, model: Model) -> None:
        """The caller says that ``deployment`` runs ``model``, whatever its answers name."""
        self._said[deployment] = model

    def learn(self, deployment: str, answer: "ChatCompletion") -> None:
        """Take the model that ``answer`` names for what ``deployment`` runs, where it has a price."""
        if answered_by(answer) is not None:
            # The snapshot, which may have a price of its own: gpt-4o-2024-05-13 costs twice as much as gpt-4o.
            self._known[deployment] = answer.model

    async def hold(
        self, deployment: str, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]
    ) -> Hold | None:
        """A hold on the most that the call can cost, or None without a budget.

        ``BudgetExceededError`` when it does not fit; ``UnknownModelError`` when nobody says which model it is.
        """
        if self.budget is None:
            return None
        return self.budget.reserve(most_usd(messages, params, await self._model(deployment)))

    async def _model(self, deployment: str) -> Model | str:
        if said := self._said.get(deployment):
            return said
        if deployment not in self._known and self._may_ask:
            runs = (await asyncio.to_thread(account_models)).get(deployment)
            self._known |= {deployment: runs} if runs else {}
        known = self._known.get(deployment) or MODELS.get(deployment)
        if known is None:
            raise UnknownModelError(
                f"A budget needs the price before the call, and {deployment!r} does not say which model it is. Say it "
                f"with model=…; the catalogue knows: {', '.join(MODELS)}."
            )
        return known
