"""What a resource type is made of: a name, hooks around its documents, and actions."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.localazure.errors import AzureError
from labkit.localazure.identity import APP_ID
from labkit.localazure.resources import Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource about to be written: ``body`` is what was sent, ``old`` what stands there now (None for a new one)."""

    azure: "Azure"
    id: str
    body: Document
    old: Resource | None

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.id.rpartition("/")[2]

    @property
    def properties(self) -> Document:
        """The body's ``properties``, empty when there are none; 400 when they are not an object."""
        properties = self.body.get("properties")
        if properties is None:
            return {}
        if not isinstance(properties, dict):
            raise invalid_content("'properties' must be an object.")
        return properties


@dataclass(frozen=True, slots=True)
class Act:
    """An action under way on ``resource`` (None for actions of a location), with the request's body."""

    azure: "Azure"
    resource: Resource | None
    location: str = ""
    body: Document = field(default_factory=dict)

    @property
    def target(self) -> Resource:
        """The resource the action is for; only actions of a location have none."""
        assert self.resource is not None
        return self.resource


def _nothing(azure: "Azure", resource: Resource) -> None:
    """Resource types without further state need nothing done."""


def _stored(azure: "Azure", resource: Resource) -> Document:
    return dict(resource.document)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """One type of resource, such as ``Microsoft.CognitiveServices/accounts/deployments``.

    ``prepare`` turns a draft into the document to store, or refuses it with an ``AzureError`` (None: the type has
    actions only, nothing is stored); ``show`` turns what is stored into what a GET answers, besides id, name and type;
    ``saved`` and ``removed`` keep other state in step. ``actions`` maps ``POST listKeys`` and the like to functions.

    A type that ``provisions`` is created in the background. ``group_only`` types live in a resource group; others at
    any scope, and are listed at exactly that scope. Names match ``name_pattern``, which ``name_rule`` says in words.
    ``etag_name`` is how the type spells its etag, if it has one. Before an ``evaluated`` type is read or written,
    everything that is due on the clock is evaluated; it is written outside the event loop.
    """

    name: str
    prepare: Callable[[Draft], Document] | None = None
    show: Callable[["Azure", Resource], Document] = _stored
    saved: Callable[["Azure", Resource], None] = _nothing
    removed: Callable[["Azure", Resource], None] = _nothing
    actions: Mapping[str, Callable[[Act], object]] = field(default_factory=dict)
    provisions: bool = False
    group_only: bool = True
    name_pattern: re.Pattern[str] = re.compile(r"[^<>*%&:\\?+/\x00-\x1f]{0,259}[^<>*%&:\\?+/.\s\x00-\x1f]")
    name_rule: str = "it has 1 to 260 characters, none of <>*%&:\\?+/, and does not end in a period or space"
    created_status: int = 201
    missing_delete_status: int = 204
    etag_name: str | None = None
    system_data: bool = True
    evaluated: bool = False

    @property
    def short_name(self) -> str:
        """The last part of the type's name: ``deployments``."""
        return self.name.rpartition("/")[2]


def system_data(created: str, changed: str) -> Document:
    """Who made and changed a resource and when, as Azure Resource Manager keeps it."""
    return {
        "createdBy": APP_ID,
        "createdByType": "Application",
        "createdAt": created,
        "lastModifiedBy": APP_ID,
        "lastModifiedByType": "Application",
        "lastModifiedAt": changed,
    }


def bad_request(message: str, code: str = "BadRequest") -> AzureError:
    """A 400 in the control plane's words."""
    return AzureError(400, code, message)


def invalid_content(reason: str) -> AzureError:
    """A body that is not what the resource type takes."""
    return bad_request(
        f"The request content was invalid and could not be deserialized: {reason}", "InvalidRequestContent"
    )


def number(value: object) -> float | None:
    """``value`` as a number when it is one (true and false are not), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def text(value: object) -> str:
    """``value`` when it is text that is not blank, else the empty string."""
    return value if isinstance(value, str) and value.strip() else ""


def objects(value: Any) -> list[Document]:
    """The objects in the list ``value``; empty when it is no list, 400 when something else is in it."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid_content("a list of objects was expected.")
    return value


def tags(draft: Draft) -> dict[str, str]:
    """The draft's tags, empty when there are none; 400 when they are not names with texts."""
    given = draft.body.get("tags") or {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise invalid_content("'tags' must be an object whose values are strings.")
    return given


_REGIONS = ("eastus", "eastus2", "northcentralus", "polandcentral", "swedencentral", "westeurope", "westus3")


def region(draft: Draft, type: str) -> str:
    """The draft's location as Azure writes it (``swedencentral``); 400 when missing or unknown, 409 when changed."""
    given = text(draft.body.get("location"))
    if not given:
        raise bad_request("The location property is required for this definition.", "LocationRequired")
    name = known_region(given, type)
    if draft.old is not None and draft.old.document.get("location") != name:
        raise AzureError(
            409,
            "InvalidResourceLocation",
            f"The resource '{draft.name}' already exists in location '{draft.old.document.get('location')}'. "
            f"A resource with the same name cannot be created in location '{name}'. "
            "Please select a new resource name.",
        )
    return name


def known_region(given: str, type: str) -> str:
    """``given`` without blanks and in lower case; 400 when there is no such region."""
    name = given.replace(" ", "").lower()
    if name not in _REGIONS:
        raise bad_request(
            f"The provided location '{given}' is not available for resource type '{type}'. "
            f"List of available regions for the resource type is '{','.join(_REGIONS)}'.",
            "LocationNotAvailableForResourceType",
        )
    return name
