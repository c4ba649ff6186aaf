"""Resource ids and the paths of the control plane, taken apart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A path such as ``{scope}/providers/{namespace}/{type}/{name}/{type}/{name}``; ``parts`` follow the namespace."""

    scope: str
    namespace: str
    parts: tuple[str, ...]

    @property
    def names_resource(self) -> bool:
        """True when the path ends in a name: types and names come in pairs."""
        return len(self.parts) % 2 == 0

    @property
    def type(self) -> str:
        """The full type of the resource or collection, in lower case."""
        return "/".join((self.namespace, *self.parts[::2])).lower()

    @property
    def parent(self) -> "Target":
        """The same path without its last part."""
        return Target(self.scope, self.namespace, self.parts[:-1])

    @property
    def id(self) -> str:
        """The whole path, as it was written."""
        return "/".join((self.scope, "providers", self.namespace, *self.parts))


def split(path: str) -> list[str]:
    """The parts of ``path``; doubled slashes, which some clients send, count as one."""
    return [part for part in path.split("/") if part]


def target(parts: list[str]) -> Target | None:
    """What follows the last ``providers`` in a path, or None when there is none with a namespace and a type behind it.

    The last one counts because a resource can extend another: ``…/providers/Microsoft.Consumption/budgets/b`` may
    stand behind any scope, one with providers of its own included.
    """
    places = [index for index, part in enumerate(parts) if part.lower() == "providers"]
    if not places or len(parts) < places[-1] + 3:
        return None
    scope, behind = parts[: places[-1]], parts[places[-1] + 1 :]
    return Target("".join(f"/{part}" for part in scope), behind[0], tuple(behind[1:]))


def resource_group(scope: str) -> str:
    """The name of the resource group in ``scope``, or the empty string."""
    parts = split(scope)
    for index, part in enumerate(parts[:-1]):
        if part.lower() == "resourcegroups":
            return parts[index + 1]
    return ""
