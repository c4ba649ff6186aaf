"""The list of models, as both surfaces of the inference face give it."""

from calendar import timegm
from typing import Any

from labkit.catalog import MODELS, Model
from labkit.localazure.errors import AzureError
from labkit.localazure.inference.routes import MODELS as LIST
from labkit.localazure.inference.routes import Route
from labkit.localazure.wire import Reply, json_reply

# The catalogue does not say when a model came; the service's answer has a number there.
_CREATED_S = 1_700_000_000


def answer(route: Route) -> Reply:
    """All models of the catalogue, or the one the route names; ``AzureError`` 404 when there is no such model."""
    entry = _v1_entry if route.v1 else _dated_entry
    if route.operation == LIST:
        return json_reply({"data": [entry(model) for model in MODELS.values()], "object": "list"})
    for model in MODELS.values():
        if route.name in (model.name, model.azure_name, model.snapshot):
            return json_reply(entry(model))
    known = ", ".join(model.snapshot for model in MODELS.values())
    raise AzureError(404, "ResourceNotFound", f"There is no model of that name. There are: {known}.")


def _v1_entry(model: Model) -> dict[str, Any]:
    return {"created": _CREATED_S, "id": model.snapshot, "object": "model", "owned_by": "system"}


def _dated_entry(model: Model) -> dict[str, Any]:
    retires = model.life.retires
    return {
        "capabilities": {
            "chat_completion": not model.is_embedding,
            "completion": False,
            "embeddings": model.is_embedding,
            "fine_tune": False,
            "inference": True,
        },
        "created_at": _CREATED_S,
        "deprecation": {"inference": timegm(retires.timetuple())} if retires else {},
        "id": model.snapshot,
        "lifecycle_status": "generally-available" if model.life.status == "available" else "deprecated",
        "object": "model",
        "status": "succeeded",
    }
