"""Whose telemetry a query asks for: a component's, by resource or application id, or a whole workspace's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from labkit.localazure.management.providers import components
from labkit.localazure.resources import Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_WORKSPACE_TYPE = "microsoft.operationalinsights/workspaces"


@dataclass(frozen=True, slots=True)
class Asked:
    """The components (resource ids) that a query sees, and whether it asks a workspace."""

    components: tuple[str, ...]
    workspace: bool = False


def customer_id(workspace_id: str) -> str:
    """The GUID that queries name a workspace by; the same in every run, for it depends on the resource id alone."""
    return str(uuid5(NAMESPACE_URL, f"{workspace_id.lower()}#customer-id"))


def resource(azure: "Azure", id: str) -> Asked | None:
    """The scope of a resource id: a component, a workspace, or what contains components; None when there is none."""
    if f"/providers/{_WORKSPACE_TYPE}/" in id.lower():
        return workspace(azure, id)
    under = id.lower().rstrip("/")
    found = [one.id for one in _components(azure) if one.id.lower() == under or one.id.lower().startswith(f"{under}/")]
    return Asked(tuple(found)) if found else None


def application(azure: "Azure", app_id: str) -> Asked | None:
    """The component with that application id."""
    found = [one.id for one in _components(azure) if components.application_id(one) == app_id.lower()]
    return Asked(tuple(found)) if found else None


def workspace(azure: "Azure", name: str) -> Asked | None:
    """The workspace with that customer id, resource id or name, with the telemetry of every component that uses it."""
    members: dict[str, list[str]] = {components.DEFAULT_WORKSPACE.lower(): []}
    for component in _components(azure):
        members.setdefault(components.workspace_id(component).lower(), []).append(component.id)
    for id, found in members.items():
        if name.lower() in (customer_id(id), id, id.rpartition("/")[2]):
            return Asked(tuple(found), workspace=True)
    return None


def _components(azure: "Azure") -> list[Resource]:
    return azure.resources.of_type(components.TYPE)
