"""Microsoft.CostManagement: what was spent, asked for with a query at any scope."""

from typing import TYPE_CHECKING

from labkit.localazure.costs import query
from labkit.localazure.errors import AzureError, method_not_allowed
from labkit.localazure.management.providers.base import invalid_content
from labkit.localazure.management.resourceids import Target
from labkit.localazure.wire import Reply, Request, json_reply, parse_object

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

NAMESPACE = "Microsoft.CostManagement"
_BODY_LIMIT = 256 * 1024


async def answer(azure: "Azure", request: Request, found: Target) -> Reply:
    """The answer to a request for ``{scope}/providers/Microsoft.CostManagement/query``."""
    if [part.lower() for part in found.parts] != ["query"]:
        raise AzureError(
            404,
            "InvalidResourceType",
            f"The resource type '{'/'.join(found.parts[::2])[:100]}' could not be found in the namespace "
            f"'{NAMESPACE}'. The local Azure knows: query (POST).",
        )
    request.operation = "query.usage"
    if request.method != "POST":
        raise method_not_allowed(request.method, request.path)
    asked = parse_object(await request.body(_BODY_LIMIT), invalid_content("a JSON object was expected."))
    return json_reply(query.run(azure, found.scope, asked))
