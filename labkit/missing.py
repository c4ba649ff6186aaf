"""Says which deployments there are when a call went to one that there is not."""

import asyncio
from contextlib import suppress
from threading import Lock

from cachetools import TTLCache, cached

from labkit.connection import Connection, current
from labkit.deployments import Deployed

# A batch that goes astray asks the control plane once, not once for each of its calls.
_REMEMBERED_S = 10.0


async def note_existing(error: Exception) -> None:
    """Add the names of the account's deployments as a note to ``error`` when it is a DeploymentNotFound.

    The account is the current connection's. Whoever may call models need not be allowed to list deployments: then
    the error stays as it is.
    """
    if getattr(error, "code", None) != "DeploymentNotFound" or getattr(error, "__notes__", None):
        return
    with suppress(Exception):
        connection = current()
        names = await asyncio.to_thread(_names, connection)
        existing = f"It has: {', '.join(names)}." if names else "It has none yet."
        error.add_note(
            f"The account {connection.account} has no such deployment. {existing} "
            "AzureOpenAIManager().deploy_language_model(model_name, deployment_name) creates one."
        )


@cached(TTLCache(maxsize=8, ttl=_REMEMBERED_S), lock=Lock())
def _names(connection: Connection) -> tuple[str, ...]:
    from labkit import clients

    listed = clients.cognitive_services(connection).deployments.list(connection.resource_group, connection.account)
    return tuple(Deployed.of(each).name for each in listed)
