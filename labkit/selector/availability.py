"""Where models can be deployed: what a region offers, as the control plane says."""

from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType

from cachetools import TTLCache, cached

from labkit.catalog import by_azure
from labkit.connection import Connection, current

# What a region offers changes from week to week, and listing it takes seconds on real Azure.
_REMEMBERED_S = 600.0


def offered_skus(region: str | None = None, *, connection: Connection | None = None) -> Mapping[str, tuple[str, ...]]:
    """The models of the catalogue that ``region`` offers (the account's own by default), each with its SKUs.

    Remembered for ten minutes. ``NoConnectionError`` without a connection, and the SDK's error, which lists the regions
    there are, for one that is none.
    """
    asked = connection or current()
    return _offered(asked, region or asked.location)


@cached(TTLCache(maxsize=16, ttl=_REMEMBERED_S), lock=Lock())
def _offered(connection: Connection, region: str) -> Mapping[str, tuple[str, ...]]:
    from labkit import clients

    found: dict[str, tuple[str, ...]] = {}
    for listed in clients.cognitive_services(connection).models.list(region):
        model = by_azure(listed.model.name or "", listed.model.version or "") if listed.model else None
        if model is not None and listed.model is not None:
            names = tuple(sku.name for sku in listed.model.skus or () if sku.name)
            found[model.name] = tuple(dict.fromkeys((*found.get(model.name, ()), *names)))
    return MappingProxyType(found)
