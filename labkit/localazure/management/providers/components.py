"""Microsoft.Insights/components: Application Insights, which gives out the keys that telemetry is sent with."""

from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from labkit.localazure.clock import iso
from labkit.localazure.identity import TENANT_ID
from labkit.localazure.management.providers.base import Draft, ResourceType, bad_request, region, tags, text
from labkit.localazure.resources import GROUP_ID, Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

TYPE = "Microsoft.Insights/components"
# Where the telemetry of a component goes that names no workspace; Azure makes one for such a component, too.
DEFAULT_WORKSPACE = f"{GROUP_ID}/providers/Microsoft.OperationalInsights/workspaces/log-session13"
_APPLICATION_TYPES = ("web", "other")
_STORED = (
    "Application_Type",
    "Flow_Type",
    "Request_Source",
    "RetentionInDays",
    "SamplingPercentage",
    "DisableIpMasking",
    "WorkspaceResourceId",
    "IngestionMode",
    "DisableLocalAuth",
    "publicNetworkAccessForIngestion",
    "publicNetworkAccessForQuery",
)


def prepare(draft: Draft) -> Document:
    """The component to store. Refuses a missing kind and an unknown application type."""
    kind = text(draft.body.get("kind"))
    if not kind:
        raise bad_request("The kind property is required for this definition.")
    application_type = draft.properties.get("Application_Type") or "web"
    if application_type not in _APPLICATION_TYPES:
        raise bad_request(f"Application_Type '{application_type}' is invalid. It is web or other.")
    stored = {name: draft.properties[name] for name in _STORED if draft.properties.get(name) is not None}
    return {
        "location": region(draft, TYPE),
        "kind": kind,
        "tags": tags(draft),
        "properties": {"RetentionInDays": 90, **stored, "Application_Type": application_type},
    }


def instrumentation_key(resource: Resource) -> str:
    """The key that telemetry for the component carries; the same in every run, for it depends on the id alone."""
    return str(uuid5(NAMESPACE_URL, f"{resource.id.lower()}#instrumentation-key"))


def application_id(resource: Resource) -> str:
    """The component's application id, which queries name it by."""
    return str(uuid5(NAMESPACE_URL, f"{resource.id.lower()}#application-id"))


def workspace_id(resource: Resource) -> str:
    """The resource id of the workspace that the component's telemetry goes to."""
    return text(resource.properties.get("WorkspaceResourceId")) or DEFAULT_WORKSPACE


def show(azure: "Azure", resource: Resource) -> Document:
    """The component as a GET answers it; its connection string points at this server."""
    key, app = instrumentation_key(resource), application_id(resource)
    return {
        **resource.document,
        "properties": {
            **resource.properties,
            "ApplicationId": resource.name,
            "Name": resource.name,
            "AppId": app,
            "TenantId": TENANT_ID,
            "CreationDate": iso(resource.created_at_s),
            "InstrumentationKey": key,
            "WorkspaceResourceId": workspace_id(resource),
            "IngestionMode": "LogAnalytics",
            "ConnectionString": (
                f"InstrumentationKey={key};IngestionEndpoint={azure.url}/;LiveEndpoint={azure.url}/;ApplicationId={app}"
            ),
            "provisioningState": "Succeeded",
        },
    }


def saved(azure: "Azure", resource: Resource) -> None:
    """Let telemetry with the component's key in."""
    azure.telemetry.allow(instrumentation_key(resource), application_id(resource), resource.name, resource.id)


def removed(azure: "Azure", resource: Resource) -> None:
    """Telemetry with the component's key is refused from now on."""
    azure.telemetry.refuse(instrumentation_key(resource))


COMPONENTS = ResourceType(
    name=TYPE,
    prepare=prepare,
    show=show,
    saved=saved,
    removed=removed,
    created_status=200,  # azure-mgmt-applicationinsights 4.1 takes no other
    etag_name="etag",
    system_data=False,
)
