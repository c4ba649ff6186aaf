"""Microsoft.Insights/actionGroups: whom an alert tells."""

from labkit.localazure.management.providers.base import (
    Draft,
    ResourceType,
    bad_request,
    invalid_content,
    objects,
    tags,
    text,
)
from labkit.localazure.resources import Document

TYPE = "Microsoft.Insights/actionGroups"
_SHORT_NAME_CHARACTERS = 12
# What each kind of receiver cannot do without, besides its name. azure-mgmt-monitor 7.0, models, read 2026-11-22.
_RECEIVERS = {
    "emailReceivers": ("emailAddress",),
    "smsReceivers": ("countryCode", "phoneNumber"),
    "webhookReceivers": ("serviceUri",),
    "itsmReceivers": ("workspaceId", "connectionId", "ticketConfiguration", "region"),
    "azureAppPushReceivers": ("emailAddress",),
    "automationRunbookReceivers": ("automationAccountId", "runbookName", "webhookResourceId", "isGlobalRunbook"),
    "voiceReceivers": ("countryCode", "phoneNumber"),
    "logicAppReceivers": ("resourceId", "callbackUrl"),
    "azureFunctionReceivers": ("functionAppResourceId", "functionName", "httpTriggerUrl"),
    "armRoleReceivers": ("roleId",),
    "eventHubReceivers": ("eventHubNameSpace", "eventHubName", "subscriptionId"),
}


def prepare(draft: Draft) -> Document:
    """The action group to store. Refuses a missing or long short name and receivers that could not be reached."""
    properties = draft.properties
    if not isinstance(properties.get("enabled", True), bool):
        raise invalid_content("'properties.enabled' must be true or false.")
    stored: Document = {"groupShortName": _short_name(draft), "enabled": properties.get("enabled", True)}
    seen: set[str] = set()
    for kind, needed in _RECEIVERS.items():
        stored[kind] = [_receiver(kind, needed, receiver, seen) for receiver in objects(properties.get(kind))]
    # Action groups are global or regional; the service stores the location as it was given.
    location = text(draft.body.get("location")) or "Global"
    return {"location": location, "tags": tags(draft), "properties": stored}


def _short_name(draft: Draft) -> str:
    name = text(draft.properties.get("groupShortName"))
    if not name:
        raise bad_request("The action group short name is missing. Please specify groupShortName.")
    if len(name) > _SHORT_NAME_CHARACTERS:
        # Azure/bellhop#72 (2021-04), Azure/AzureMonitorStarterPacks#109 (2023-12).
        raise bad_request(
            f"The action group short name '{name}' is too long. Please specify a short name with "
            f"'{_SHORT_NAME_CHARACTERS}' or less characters.",
            "GroupShortNameIsTooLong",
        )
    return name


def _receiver(kind: str, needed: tuple[str, ...], receiver: Document, seen: set[str]) -> Document:
    name = text(receiver.get("name"))
    if not name or any(receiver.get(field) in (None, "") for field in needed):
        fields = ", ".join(("name", *needed))
        raise bad_request(f"A receiver in {kind} is incomplete. Each one needs: {fields}.")
    if name.lower() in seen:
        raise bad_request(f"The receiver name '{name}' is used twice. Names are unique within an action group.")
    seen.add(name.lower())
    _check_addresses(receiver)
    # The service adds the status; a local mailbox confirms itself.
    return {**receiver, "status": "Enabled"} if kind in ("emailReceivers", "smsReceivers") else dict(receiver)


def _check_addresses(receiver: Document) -> None:
    email, uri = receiver.get("emailAddress"), receiver.get("serviceUri")
    if email is not None and not is_email(email):
        raise bad_request(f"The email address '{email}' of the receiver '{receiver['name']}' is invalid.")
    if uri is not None and not str(uri).lower().startswith(("http://", "https://")):
        raise bad_request(f"The serviceUri '{uri}' of the receiver '{receiver['name']}' is not an http(s) URL.")


def is_email(value: object) -> bool:
    """True for text with one @ and a dot somewhere behind it."""
    local, at, domain = str(value).partition("@")
    return bool(local and at and "@" not in domain and "." in domain.strip(".")) and " " not in str(value)


ACTION_GROUPS = ResourceType(name=TYPE, prepare=prepare, system_data=False)
