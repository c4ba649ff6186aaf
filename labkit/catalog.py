"""The models of the course: capabilities, limits, prices and life cycle, read from ``data/models.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from labkit.errors import UnknownModelError


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars per million tokens for calls with a prompt of more than ``above`` tokens: all tokens of the call."""

    above: int
    input: float
    cached_input: float
    output: float
    cache_write: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, with the source and the day it was read.

    ``tiers`` are other rates for long prompts, ascending. ``cache_write`` is for the part of the prompt that the
    service keeps for later; None where that costs what other input does.
    """

    input: float
    cached_input: float
    output: float
    source: str
    read: date
    tiers: tuple[Rates, ...] = ()
    cache_write: float | None = None

    def cost_usd(
        self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0, cache_write_tokens: int = 0
    ) -> float:
        """The cost of one call in US dollars; cached tokens and those written to the cache are part of the prompt."""
        rates: Price | Rates = self
        for tier in self.tiers:
            rates = tier if prompt_tokens > tier.above else rates
        written = cache_write_tokens if rates.cache_write is not None else 0
        fresh = prompt_tokens - cached_tokens - written
        millionths = fresh * rates.input + cached_tokens * rates.cached_input + completion_tokens * rates.output
        return (millionths + written * (rates.cache_write or 0)) / 1_000_000


@dataclass(frozen=True, slots=True)
class Life:
    """Where a model stands in its life: ``available``, ``legacy`` (no new projects) or ``retired``."""

    status: str
    source: str
    read: date
    retires: date | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class Simulated:
    """How the local Azure plays a model: share of right answers for levels 1 to 3, and its speed in milliseconds."""

    quality: tuple[float, float, float]
    first_token_ms: float
    token_ms: float


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """What a picture costs as input: tokens for it and for each tile of 512 pixels, or a factor for patches of 32."""

    source: str
    read: date
    base_tokens: int = 0
    tile_tokens: int = 0
    patch_factor: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """One model under the name the course uses; ``azure_name`` and ``azure_version`` are what Azure calls it."""

    name: str
    azure_name: str
    azure_version: str
    snapshot: str
    kind: str
    encoding: str
    context_tokens: int
    max_output_tokens: int
    strengths: tuple[str, ...]
    best_for: tuple[str, ...]
    cost_tier: str
    latency: str
    features: tuple[str, ...]
    quota_ktpm: int
    rpm_per_ktpm: float
    price: Price
    life: Life
    simulated: Simulated
    dimensions: int | None = None
    images: ImageTokens | None = None
    reasoning_temperature_error: str | None = None

    @property
    def is_embedding(self) -> bool:
        """True for a model that answers with vectors."""
        return self.kind == "embedding"

    @property
    def is_reasoning(self) -> bool:
        """True for a model that refuses ``max_tokens`` and ``temperature``."""
        return self.kind == "reasoning"


def model(name: str) -> Model:
    """The model the course calls ``name``; ``UnknownModelError`` lists the known ones."""
    try:
        return MODELS[name]
    except KeyError:
        known = ", ".join(MODELS)
        raise UnknownModelError(f"The catalogue has no model {name!r}. It knows: {known}.") from None


def by_azure(name: str, version: str | None = None) -> Model | None:
    """The model Azure calls ``name`` in ``version`` (its first listed version when None), or None."""
    for candidate in MODELS.values():
        if candidate.azure_name == name and version in (None, "", candidate.azure_version):
            return candidate
    return None


def _read() -> Mapping[str, Model]:
    document = tomllib.loads(files("labkit").joinpath("data/models.toml").read_text("utf-8"))
    return MappingProxyType({name: _model(name, table) for name, table in document.items()})


def _model(name: str, table: dict[str, Any]) -> Model:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    fields["price"] = Price(**table["price"])
    fields["life"] = Life(**table["life"])
    fields["simulated"] = Simulated(**{**table["simulated"], "quality": tuple(table["simulated"]["quality"])})
    if "images" in table:
        fields["images"] = ImageTokens(**table["images"])
    return Model(name=name, **fields)


MODELS: Mapping[str, Model] = _read()
