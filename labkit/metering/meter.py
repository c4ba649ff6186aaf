"""Counts what calls take: time, tokens and US dollars, for each deployment, model, user and day."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from labkit.catalog import Model, Price
from labkit.errors import InvalidRequestError, UnknownModelError
from labkit.metering.totals import Sums, Totals, steady
from labkit.metering.usage import Usage, answered_by, cost_usd, usage, user_tag
from labkit.prices import catalogued, price_of

if TYPE_CHECKING:
    import pandas as pd
    from openai.types import CreateEmbeddingResponse
    from openai.types.chat import ChatCompletion

    from labkit.connection import Connection

__all__ = ["Totals", "Usage", "UsageMeter", "answered_by", "cost_usd", "latency_s", "steady", "usage", "user_tag"]

logger = logging.getLogger(__name__)

# The time the service itself says it took. OpenAI API reference, "Debugging requests", read 2026-11-22; the local
# Azure puts the unscaled simulated latency there, so that what a notebook measures does not depend on its machine.
_PROCESSING_MS = "openai-processing-ms"
_NO_PRICE = (
    "No price for model %r behind deployment %r: its cost is unknown (nan) from here on. Say which model it is: "
    "UsageMeter(models={%r: name}), with a name from labkit.prices.known() or a labkit.catalog.Price."
)
# A tag comes with the request, so whoever sends requests decides how many there are, and how long they are.
MOST_USERS = 1_000
MOST_DAYS = 92
OTHER_USERS = "(other)"
_NO_USERS = 3  # names for no user, and for the others
_LONGEST_TAG = 128
_TOO_MANY_USERS = (
    "More than %d user tags: what further ones take is counted together, as %r. "
    "UsageMeter(max_users=…) keeps more of them apart."
)
_EARLIER = -1  # the day under which days beyond the last MOST_DAYS are counted together
_DAY_S = 86_400
_MOST_KNOWN = 1_000  # names that answers gave; an endpoint that makes up a new one each time must not fill the memory
_DIMENSIONS = ("deployment", "model", "user", "day")


def latency_s(headers: Mapping[str, str] | None, wall_s: float) -> float:
    """The seconds a call took: the service's own ``openai-processing-ms`` where it says so, else ``wall_s``."""
    try:
        reported_ms = float((headers or {}).get(_PROCESSING_MS, ""))
    except ValueError:
        return wall_s
    return reported_ms / 1000 if math.isfinite(reported_ms) and reported_ms >= 0 else wall_s


class _Priced(NamedTuple):
    """What the answers of a deployment are priced as; without ``price`` it is unknown, and ``is_told`` says so once."""

    name: str
    price: Price | None
    is_told: bool = False

    @classmethod
    def of(cls, model: str | Model | Price) -> Self:
        """What somebody says is behind a deployment; ``UnknownModelError`` for a name without a known price."""
        if isinstance(model, Price):
            return cls("", model)
        price, known = price_of(model), catalogued(model) if isinstance(model, str) else model
        # A snapshot at a price of its own keeps its own name.
        return cls(known.name if known and known.price == price else str(model), price)

    @classmethod
    def known(cls, name: str) -> Self | None:
        """The model of this name, or None when it has no known price."""
        try:
            return cls.of(name)
        except UnknownModelError:
            return None


class UsageMeter:
    """Adds up calls, tokens, time and cost for each deployment, model, user tag and day (UTC).

    The price is that of the model the answer names, because a deployment can be called anything. ``models`` says what
    is behind a deployment (a name, a model of the catalogue, or a ``Price``), whatever its answers name;
    ``UsageMeter.of_account()`` asks the control plane for what answers do not name. Where no price is known, tokens are
    still counted and ``cost_usd`` is ``nan``: an unknown cost must not look like a small one.

    Memory is bounded: user tags after the first ``max_users`` count together as "(other)", days before the last 92 as
    one. Threads may share a meter. ``clock`` gives seconds since 1970.
    """

    def __init__(
        self,
        models: Mapping[str, str | Model | Price] | None = None,
        *,
        max_users: int = MOST_USERS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.max_users = max_users
        self._models = {deployment: _Priced.of(model) for deployment, model in (models or {}).items()}
        self._account: Mapping[str, Sequence[str]] = {}
        self._clock = clock
        self._lock = Lock()
        self._known: dict[tuple[str, str], _Priced] = {}
        self._totals: dict[str, Sums] = {}
        self._cells: dict[tuple[str, str, str, int], Sums] = {}
        self._tags: dict[str | None, str] = {None: "", "": "", OTHER_USERS: OTHER_USERS}
        self._is_full = False
        self._last_day = 0

    @classmethod
    def of_account(cls, connection: "Connection | None" = None, **options: Any) -> Self:
        """A meter that knows from the control plane which model is behind each deployment there is now.

        That is used where an answer names no model, or only repeats the deployment's name. It asks the network once;
        whoever may not list deployments gets a meter that goes by the answers alone.
        """
        from labkit.deployments import account_deployments

        meter = cls(**options)
        meter._account = {name: deployed.priced_as for name, deployed in account_deployments(connection).items()}
        return meter

    def record(
        self,
        deployment: str,
        answer: "ChatCompletion | CreateEmbeddingResponse",
        latency_s: float,
        *,
        cached: bool = False,
        user: str | None = None,
    ) -> None:
        """Add one answer; a ``cached`` one is counted as a hit that took no call, no tokens, no money and no time.

        ``user`` is a tag of who it was for: ``user_tag(params)`` reads it from a request.
        """
        said = answer.model or ""
        priced = self._known.get((deployment, said)) or self._learn(deployment, said)
        with self._lock:
            day = int(self._clock() // _DAY_S)
            if (tag := self._tags.get(user)) is None:
                tag = self._tag(user)
            cell = self._cells.get((deployment, priced.name, tag, day)) or self._open(deployment, priced.name, tag, day)
            if cached:
                cell.hit()
                return
            cell.call(priced.name, usage(answer), priced.price, latency_s)
        if priced.price is None and not priced.is_told:
            self._known[deployment, said] = priced._replace(is_told=True)
            logger.warning(_NO_PRICE, said, deployment, deployment)

    def cost_of(self, deployment: str, answer: "ChatCompletion | CreateEmbeddingResponse") -> float:
        """What ``answer`` of ``deployment`` did cost in US dollars; ``nan`` when its price is unknown."""
        said = answer.model or ""
        price = (self._known.get((deployment, said)) or self._learn(deployment, said)).price
        return usage(answer).cost_usd(price) if price else math.nan

    def totals(self) -> dict[str, Totals]:
        """What each deployment has done so far, as a copy."""
        with self._lock:
            return {deployment: sums.as_totals() for deployment, sums in self._totals.items()}

    @property
    def cost_usd(self) -> float:
        """The cost of everything recorded, in US dollars (``nan`` when a price is unknown)."""
        with self._lock:
            return Sums.together(self._totals.values()).cost_usd

    def frame(self, by: str | Sequence[str] = ("deployment",)) -> "pd.DataFrame":
        """The totals as a table with one row for each ``by``: any of deployment, model, user and day.

        Where rows are not told apart by model, ``model`` lists those in the row. Calls without a tag have the user ""
        and days that are counted together have none (``NaT``).
        """
        import pandas as pd

        names = _dimensions(by)
        rows = [
            {**sums.as_totals(), **dict(zip(names, key, strict=True))} for key, sums in self._grouped(names).items()
        ]
        columns = [*names, *(column for column in Totals.__annotations__ if column not in names)]
        table = pd.DataFrame(rows, columns=columns)
        if "day" in names:
            table["day"] = pd.to_datetime(table["day"].where(table["day"] != _EARLIER), unit="D")
        return table.set_index(names)

    def _grouped(self, names: Sequence[str]) -> dict[tuple[Any, ...], Sums]:
        places = [_DIMENSIONS.index(name) for name in names]
        groups: dict[tuple[Any, ...], list[Sums]] = {}
        with self._lock:
            for key, sums in self._cells.items():
                groups.setdefault(tuple(key[place] for place in places), []).append(sums)
            return {group: Sums.together(members) for group, members in groups.items()}

    def _learn(self, deployment: str, said: str) -> "_Priced":
        """What the answers of ``deployment`` that name the model ``said`` are priced as; worked out once."""
        # An answer that repeats the deployment's name says nothing of the model: some gateways do that.
        account = self._account.get(deployment, ())
        names = (*account, said) if said == deployment else (said, *account)
        found = (priced for name in names if name and (priced := _Priced.known(name)))
        priced = self._models.get(deployment) or next(found, None) or _Priced(said, None)
        priced = priced if priced.name else priced._replace(name=said or deployment)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[deployment, said] = priced
        return priced

    def _tag(self, user: object) -> str:
        """The tag under which a new user is counted."""
        tag = str(user)[:_LONGEST_TAG]
        if tag in self._tags:
            return tag
        if len(self._tags) < self.max_users + _NO_USERS:
            return self._tags.setdefault(tag, tag)
        if not self._is_full:
            self._is_full = True
            logger.warning(_TOO_MANY_USERS, self.max_users, OTHER_USERS)
        return OTHER_USERS

    def _open(self, deployment: str, model: str, tag: str, day: int) -> "Sums":
        if day > self._last_day:
            self._last_day = day
            self._fold(day - MOST_DAYS)
        if day <= self._last_day - MOST_DAYS:
            day = _EARLIER
        total = self._totals.setdefault(deployment, Sums(model))
        return self._cells.setdefault((deployment, model, tag, day), Sums(model, total))

    def _fold(self, last_day: int) -> None:
        """Counts days up to ``last_day`` as one, and their users together."""
        for key in [key for key in self._cells if _EARLIER < key[3] <= last_day]:
            deployment, model, user, _ = key
            folded = deployment, model, OTHER_USERS if user else "", _EARLIER
            old = self._cells.pop(key)
            self._cells.setdefault(folded, Sums(model, old.total)).merge(old)


def _dimensions(by: str | Sequence[str]) -> list[str]:
    names = [by] if isinstance(by, str) else list(dict.fromkeys(by))
    if not names or any(name not in _DIMENSIONS for name in names):
        raise InvalidRequestError(f"by is one or more of {', '.join(_DIMENSIONS)}; this is {by!r}.")
    return names
