"""Says which deployments there are when a call went to one that there is not."""

import asyncio
from contextlib import suppress

from labkit.connection import current
from labkit.deployments import known_deployments


async def note_existing(error: Exception) -> None:
    """Add the names of the account's deployments as a note to ``error`` when it is a DeploymentNotFound.

    The account is the current connection's. Whoever may call models need not be allowed to list deployments: then
    the error stays as it is.
    """
    if getattr(error, "code", None) != "DeploymentNotFound" or getattr(error, "__notes__", None):
        return
    with suppress(Exception):
        connection = current()
        # A batch that goes astray asks the control plane once, not once for each of its calls.
        known = await asyncio.to_thread(known_deployments, connection)
        if known is None:
            return
        existing = f"It has: {', '.join(known)}." if known else "It has none yet."
        error.add_note(
            f"The account {connection.account} has no such deployment. {existing} "
            "AzureOpenAIManager().deploy_language_model(model_name, deployment_name) creates one."
        )
