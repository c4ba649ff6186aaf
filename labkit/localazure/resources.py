"""What exists in the local Azure: one document for each resource id, and a quick way to an account's deployments."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from labkit.catalog import Model
from labkit.localazure.clock import Clock

SUBSCRIPTION_ID = "00000000-0000-4000-8000-000000000013"
RESOURCE_GROUP = "rg-session13"
ACCOUNT = "aoai-session13"
LOCATION = "swedencentral"
GROUP_ID = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}"

Document = dict[str, Any]


@dataclass(slots=True)
class Resource:
    """One resource: ``document`` is what was PUT with defaults filled in; times come from the clock.

    ``secrets`` (account keys) never leave through ``document`` or the repr. It provisions until ``ready_at_s``.
    ``size_bytes`` is how much JSON it comes to.
    """

    id: str
    type: str
    document: Document
    created_at_s: float
    changed_at_s: float
    ready_at_s: float = 0.0
    revision: int = 1
    size_bytes: int = 0
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2]

    @property
    def properties(self) -> Document:
        """The document's ``properties``."""
        properties: Document = self.document.setdefault("properties", {})
        return properties

    @property
    def etag(self) -> str:
        """Changes with every write, and is the same in every run that makes the same writes."""
        return str(uuid5(NAMESPACE_URL, f"{self.id.lower()}#{self.revision}"))


@dataclass(frozen=True, slots=True)
class Account:
    """A Cognitive Services account as the inference face needs it; it answers under ``endpoint_name``."""

    id: str
    name: str
    endpoint_name: str
    location: str
    keys: tuple[str, str] = field(repr=False)
    local_auth_disabled: bool


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model deployment as the inference face needs it; a new object after every write to it.

    ``capacity_ktpm`` counts thousands of tokens per minute. It answers from ``ready_at_s`` on.
    """

    id: str
    name: str
    account_id: str
    model: Model
    sku: str
    capacity_ktpm: int
    ready_at_s: float


class ResourceStore:
    """Every resource by its id, which Azure compares without regard to case.

    Accounts and deployments are also kept as small typed objects, found in constant time by the inference face;
    ``changes`` counts how often one of them was set or dropped.
    ``changed`` has the ids (in lower case) of what was written or deleted since it was last saved; None when there is
    no state file to save it to.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.changed: set[str] | None = None
        self._resources: dict[str, Resource] = {}
        self._accounts: dict[str, Account] = {}
        self._deployments: dict[tuple[str, str], Deployment] = {}
        self.changes = 0

    # -- documents ---------------------------------------------------------------------------------------------

    def get(self, id: str) -> Resource | None:
        """The resource with ``id``, or None."""
        return self._resources.get(id.lower())

    def put(self, resource: Resource) -> None:
        """Store ``resource`` under its id."""
        self._resources[resource.id.lower()] = resource
        self._note([resource])

    def delete(self, id: str) -> list[Resource]:
        """Remove the resource and everything under it; returns what was removed, children first."""
        key = id.lower()
        gone = [key for key in self._resources if key.startswith(f"{id.lower()}/")]
        removed = [self._resources.pop(child) for child in sorted(gone, reverse=True)]
        removed += [self._resources.pop(key)] if key in self._resources else []
        self._note(removed)
        return removed

    def _note(self, changed: Iterable[Resource]) -> None:
        if self.changed is not None:
            self.changed.update(resource.id.lower() for resource in changed)

    def of_type(self, type: str, under: str = "") -> list[Resource]:
        """The resources of ``type`` (any case) whose id starts with ``under``, in the order they were made."""
        wanted, prefix = type.lower(), under.lower().rstrip("/") + "/"
        return [r for r in self if r.type.lower() == wanted and r.id.lower().startswith(prefix)]

    def size_bytes(self, *, besides: str = "") -> int:
        """How much JSON all resources come to, the one with the id ``besides`` left out."""
        return sum(resource.size_bytes for resource in self if resource.id != besides)

    def __iter__(self) -> Iterator[Resource]:
        # A copy in one step, for readers in other threads.
        return iter(tuple(self._resources.values()))

    def __len__(self) -> int:
        return len(self._resources)

    # -- accounts and deployments, for the inference face -------------------------------------------------------

    def account(self, prefix: str = "") -> Account | None:
        """The account that ``prefix`` (what stands before ``/openai/`` in the path) addresses.

        A prefix that ends in ``/name`` addresses the account that answers under ``name``; any other one, the empty
        one included, addresses the course's account. None when that was deleted.
        """
        if prefix:
            named = self._accounts.get(prefix.rstrip("/").rpartition("/")[2].lower())
            if named is not None:
                return named
        return self._accounts.get(ACCOUNT)

    def deployment(self, account: Account, name: str) -> Deployment | None:
        """The deployment ``name`` of ``account``; None when there is none or it is still being made."""
        found = self._deployments.get((account.id, name.lower()))
        if found is None or found.ready_at_s > self._clock.now():
            return None
        return found

    def deployments(self, account: Account) -> tuple[Deployment, ...]:
        """Every deployment of ``account``, those still being made included."""
        return tuple(d for d in tuple(self._deployments.values()) if d.account_id == account.id)

    def accounts(self) -> tuple[Account, ...]:
        """Every account."""
        return tuple(self._accounts.values())

    def set_account(self, account: Account) -> None:
        """Make ``account`` answer under its endpoint name, and no longer under an earlier one."""
        self.drop_account(account.id)
        self.changes += 1
        self._accounts[account.endpoint_name.lower()] = account

    def drop_account(self, id: str) -> None:
        """Stop answering for the account; its deployments are dropped one by one before it."""
        self.changes += 1
        self._accounts = {name: account for name, account in self._accounts.items() if account.id != id}

    def set_deployment(self, deployment: Deployment) -> None:
        """Make ``deployment`` answer from its ``ready_at_s`` on."""
        self.changes += 1
        self._deployments[deployment.account_id, deployment.name.lower()] = deployment

    def drop_deployment(self, account_id: str, name: str) -> None:
        """Stop answering for the deployment; nothing happens when there is none."""
        self.changes += 1
        self._deployments.pop((account_id, name.lower()), None)
