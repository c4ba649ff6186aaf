"""What a model costs: the catalogue's dated Azure prices first, then those of ``genai-prices``. Nothing is downloaded.

``genai-prices`` can update itself over the network. Its data is read here as it is in the pinned package: prices do not
change under a course, and a price is the same for everybody who has the same pins.
"""

import difflib
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from labkit.catalog import MODELS, Model, Price, Rates
from labkit.errors import UnknownModelError

# In this order: what Azure lists under its own name may differ from what OpenAI asks for.
_PROVIDERS = ("azure", "openai")
_SOURCE = "genai-prices 0.2.3, provider {}"
_READ = date(2026, 11, 25)
# Model names carry the date of the snapshot: gpt-4o-2024-08-06.
_SNAPSHOT_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_BY_SNAPSHOT = {known.snapshot: known for known in MODELS.values()}
_HOW_TO_ADD = (
    "To add one, put a table with its price, source and date into labkit/data/models.toml, or hand in the price "
    "itself: labkit.catalog.Price(input=…, cached_input=…, output=…, source=…, read=…), in US dollars per million "
    "tokens."
)
# What is metered here is text. A model with rates for pictures or speech besides would come out too cheap.
_INPUT, _CACHED, _OUTPUT, _CACHE_WRITE = "input_mtok", "cache_read_mtok", "output_mtok", "cache_write_mtok"
_NOT_TEXT = ("image", "audio", "video", "seconds")


def price_of(model: str | Model, *, on: date | None = None) -> Price:
    """The price of ``model``, a name with or without the date of its snapshot; today's, or that of the day ``on``.

    The catalogue's own price holds from the day it was read; for days before, the history in ``genai-prices`` is asked
    first. ``UnknownModelError`` names known models, close ones first, and says how to add one: an unknown price is
    never 0.
    """
    return _price(model if isinstance(model, str) else model.snapshot, on) if on else _price_now(model)


def catalogued(name: str) -> Model | None:
    """The catalogue's model that ``name`` stands for: its name, its snapshot, or another date of it; else None."""
    return MODELS.get(name) or _BY_SNAPSHOT.get(name) or MODELS.get(_undated(name))


def known() -> tuple[str, ...]:
    """The names of models with a price per token: the catalogue's, then those of ``genai-prices``."""
    others = {each.id for _, each in _listed() if _find(each.id) and not _may_mean(each.id)}
    return (*MODELS, *sorted(others - MODELS.keys()))


def _price_now(model: str | Model) -> Price:
    return _price(model, None) if isinstance(model, str) else model.price


@lru_cache(maxsize=1024)
def _price(name: str, on: date | None) -> Price:
    _refuse_ambiguous(name)
    own = _own_price(name)
    if own is not None and (on is None or on >= own.read):
        return own
    price = _listed_price(name, on) or own or _listed_price(_undated(name), on)
    if price is None:
        raise UnknownModelError(_unknown(name))
    return price


def _own_price(name: str) -> Price | None:
    """The catalogue's price, unless ``name`` is a snapshot that is listed at a price of its own.

    Another date of a catalogue's model costs the same as a rule, but not always: gpt-4o-2024-05-13 costs twice as much.
    """
    if own := MODELS.get(name) or _BY_SNAPSHOT.get(name):
        return own.price
    undated = MODELS.get(_undated(name))
    listed = undated and _find(name)
    if undated is None or (listed and listed != _find(undated.name)):
        return None
    return undated.price


def _listed_price(name: str, on: date | None) -> Price | None:
    found = [(provider, each) for provider, each in _listed() if _matches(each.match, _spelled(name))]
    if on:
        # Azure's entries have no history: for a day gone by, the one that has is asked first.
        found.sort(key=lambda pair: not isinstance(pair[1].prices, list))
    return next((price for provider, each in found if (price := _as_price(provider, each, on))), None)


def _find(name: str) -> Any:
    """The entry of ``genai-prices`` that ``name`` is priced by, or None."""
    found = (each for _, each in _listed() if _matches(each.match, _spelled(name)) and _as_price("", each, None))
    return next(found, None)


def _matches(clause: Any, name: str) -> bool:
    """True when ``clause`` of ``genai-prices`` means ``name``.

    "Contains o4-mini" means that name only: o4-mini-deep-research costs twice as much.
    """
    if hasattr(clause, "or_"):
        return any(_matches(each, name) for each in clause.or_)
    if hasattr(clause, "contains"):
        return bool(name == clause.contains.lower())
    return bool(clause.is_match(name))


def _as_price(provider: str, listed: Any, on: date | None) -> Price | None:
    """The prices of an entry; None for a model of pictures or speech, and where the input or the output has none."""
    when = datetime(on.year, on.month, on.day, tzinfo=UTC) if on else datetime.now(UTC)
    rates = listed.get_prices(when).__dict__
    fresh, output = rates.get(_INPUT), rates.get(_OUTPUT, 0 if _is_embedding(listed) else None)
    if fresh is None or output is None or any(word in key for key in rates for word in _NOT_TEXT):
        return None
    text = _Text(fresh, rates.get(_CACHED, fresh), output, rates.get(_CACHE_WRITE))
    tiers = tuple(Rates(start, **text.rates(start + 1)) for start in text.starts)
    return Price(**text.rates(0), source=_SOURCE.format(provider), read=_READ, tiers=tiers)


class _Text(NamedTuple):
    """The prices of text as ``genai-prices`` has them: numbers, numbers with tiers, or None."""

    input: Any
    cached_input: Any
    output: Any
    cache_write: Any

    @property
    def starts(self) -> list[int]:
        """Where tiers begin, in tokens of the prompt."""
        return sorted({tier.start for price in self for tier in getattr(price, "tiers", ())})

    def rates(self, prompt_tokens: int) -> dict[str, Any]:
        """US dollars per million tokens for a prompt of this length, by the names of ``Rates`` and ``Price``."""
        return {name: None if price is None else _rate(price, prompt_tokens) for name, price in self._asdict().items()}


def _rate(price: Any, prompt_tokens: int) -> float:
    tiers = [tier.price for tier in getattr(price, "tiers", ()) if prompt_tokens > tier.start]
    return float(tiers[-1] if tiers else getattr(price, "base", price))


def _is_embedding(listed: Any) -> bool:
    return _matches(listed.match, "text-embedding-ada-002") or "embedding" in listed.id


@cache
def _listed() -> tuple[tuple[str, Any], ...]:
    """Provider and model of everything ``genai-prices`` lists, ours first."""
    # Imported on first use: 0.3 s for 30,000 lines of data.
    from genai_prices.data import providers

    by_id = {provider.id: provider.models for provider in providers}
    return tuple((provider, each) for provider in _PROVIDERS for each in by_id[provider])


def _may_mean(name: str) -> list[str]:
    """The models that Azure all calls ``name``, of very different prices; none when it can mean only one."""
    meant = [each.name for each in MODELS.values() if each.azure_name == name]
    return meant if len(meant) > 1 and name not in MODELS else []


def _refuse_ambiguous(name: str) -> None:
    if meant := _may_mean(name):
        raise UnknownModelError(
            f"{name!r} alone may be several models: Azure calls {' or '.join(meant)} so, too. Name the one that is "
            f"deployed, or a version: {name}-0613."
        )


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(_undated(name), known(), n=4)
    nearest = f"Close to it: {', '.join(close)}. " if close else ""
    return f"There is no price for model {name!r}. {nearest}{_names_known()} {_HOW_TO_ADD}"


def _names_known() -> str:
    more = len(known()) - len(MODELS)
    return f"The catalogue knows: {', '.join(MODELS)}; labkit.prices.known() names {more} more."


def _undated(name: str) -> str:
    return _SNAPSHOT_DATE.sub("", name)


def _spelled(name: str) -> str:
    """``name`` as ``genai-prices`` spells it: Azure writes gpt-35-turbo without the dot."""
    return name.lower().replace("gpt-35-", "gpt-3.5-")


def differences() -> Iterator[tuple[str, Price, Price]]:
    """Each model of the catalogue whose price ``genai-prices`` lists otherwise: its name, ours and theirs."""
    for name, model in MODELS.items():
        theirs = _listed_price(model.snapshot, None)
        numbers = theirs and (theirs.input, theirs.cached_input, theirs.output, theirs.tiers)
        if theirs and numbers != (model.price.input, model.price.cached_input, model.price.output, model.price.tiers):
            yield name, model.price, theirs
