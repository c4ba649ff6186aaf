"""What the control plane says of what the local Azure does not have."""

from labkit.localazure.errors import AzureError
from labkit.localazure.management.providers import TYPES
from labkit.localazure.management.resourceids import Target
from labkit.localazure.resources import RESOURCE_GROUP
from labkit.localazure.wire import Request


def no_group(name: str) -> AzureError:
    """There is one resource group, and it is not called ``name``."""
    return AzureError(
        404,
        "ResourceGroupNotFound",
        f"Resource group '{name}' could not be found. The local Azure has '{RESOURCE_GROUP}'.",
    )


def unknown_namespace(namespace: str) -> AzureError:
    """No resource type begins with ``namespace``."""
    return AzureError(
        404,
        "InvalidResourceNamespace",
        f"The resource namespace '{namespace}' is invalid. The local Azure knows: {_known_types()}.",
    )


def unknown_type(found: Target) -> AzureError:
    """There is no resource type, or no action of it, at the path."""
    namespaces = {name.partition("/")[0] for name in TYPES}
    if found.namespace.lower() not in namespaces:
        return unknown_namespace(found.namespace)
    kind = TYPES.get(found.parent.type)
    actions = f" and for it {', '.join(kind.actions)}" if kind is not None and kind.actions else ""
    return AzureError(
        404,
        "InvalidResourceType",
        f"The resource type '{'/'.join(found.parts[::2])}' could not be found in the namespace '{found.namespace}'. "
        f"The local Azure knows: {_known_types()}{actions}.",
    )


def unknown_path(request: Request) -> AzureError:
    """The path leads to nothing at all."""
    return AzureError(
        404,
        "InvalidResourceType",
        f"There is no resource at the path '{request.path}'. The local Azure knows subscriptions, resource groups and "
        f"in them: {_known_types()}.",
    )


def _known_types() -> str:
    # The last two keep no documents, so they are no resource types: alerts_management, cost_management.
    computed = ("Microsoft.AlertsManagement/alerts", "Microsoft.CostManagement/query")
    return ", ".join((*(kind.name for kind in TYPES.values()), *computed))
