"""One request to the local Azure's own API, once its caller is known."""

from typing import Any, NamedTuple

from labkit.localazure.errors import AzureError
from labkit.localazure.faults import By
from labkit.localazure.wire import Request, parse_object

_BODY_LIMIT = 64 * 1024
_DIGITS = 15


class Asked(NamedTuple):
    """A request, whose key came with it (``by``), and what its path named (``faults/{id}``), "" when nothing."""

    request: Request
    by: By
    name: str

    @property
    def own(self) -> By | None:
        """Whose things this caller sees and removes: the lab key the lab's, the admin secret everyone's (None)."""
        return None if self.by == "admin" else "lab"

    def whole(self, name: str, default: int) -> int:
        """The whole number of the query parameter ``name``; ``AzureError`` 400 when it is none."""
        given = self.request.query.get(name, "")
        if not given:
            return default
        if not given.isdecimal() or len(given) > _DIGITS:
            raise bad(f"{name} is a whole number from 0, not {given!r}.")
        return int(given)

    async def document(self, what: str, limit_bytes: int = _BODY_LIMIT) -> dict[str, Any]:
        """The body as a JSON object; ``AzureError`` 400 says that ``what`` is one, 413 that it is too large."""
        return parse_object(await self.request.body(limit_bytes), bad(f"{what} is a JSON object."))


def bad(message: str) -> AzureError:
    """A request that cannot be carried out as asked."""
    return AzureError(400, "BadRequest", message)


def only(fields: dict[str, Any], allowed: tuple[str, ...], what: str) -> dict[str, Any]:
    """``fields``; ``AzureError`` 400 when one of them is none of ``allowed``: a mistyped name is not ignored."""
    unknown = sorted(fields.keys() - set(allowed))
    if unknown:
        raise bad(f"{what} has no {', '.join(unknown)}. It has: {', '.join(allowed)}.")
    return fields
