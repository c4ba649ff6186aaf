"""The inference face: chat completions, responses, embeddings and the list of models.

The order of the checks is the order in which a request can fail: address, caller, deployment, body, scripted fault,
operation, the model's own rules, content filter, context length, rate limits. Whatever the end, it is in the journal.
"""

from labkit.localazure.errors import AzureError, no_such_path
from labkit.localazure.inference import chat, embeddings, listing, parameters, refusals, routes
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.responses import operation as responses
from labkit.localazure.inference.responses import retrieval
from labkit.localazure.inference.routes import Route
from labkit.localazure.resources import Account, Deployment
from labkit.localazure.state import Azure
from labkit.localazure.wire import MIB, Dropped, Reply, Request, StreamReply

_BODY_LIMIT = 16 * MIB
_NAME_CHARACTERS = 100


async def answer(azure: Azure, request: Request) -> Reply | StreamReply:
    """The answer to a request for ``/openai/…``; ``AzureError`` in the service's words. Both are in the journal."""
    repeated = azure.repeats.answer(azure, request)
    if repeated is not None:
        return repeated
    call = Call(azure, request)
    try:
        return await _answer(call)
    except AzureError as error:
        call.refuse(error.status, error.code)
        await call.fail_late()
        raise call.name(error) from None
    except Dropped as dropped:
        call.refuse(0, "ConnectionReset" if dropped.reset else "ConnectionDropped")
        await call.fail_late()
        raise
    except Exception:
        call.refuse(500, "InternalServerError")
        raise


async def _answer(call: Call) -> Reply | StreamReply:
    azure, request = call.azure, call.request
    route = routes.find(request)
    call.entry.operation = route.operation
    version = routes.api_version(request, route)
    account = azure.resources.account(route.prefix)
    if account is None:
        raise no_such_path()
    call.entry.account = account.name
    azure.identity.authenticate(request, account)
    if not route.simulated:
        raise refusals.not_simulated(route.operation)
    if route.operation in (routes.MODELS, routes.MODEL):
        reply = listing.answer(route)
        call.answer()
        return reply
    if route.operation in (routes.RESPONSE, routes.RESPONSE_DELETE, routes.RESPONSE_INPUT):
        reply = retrieval.answer(call, account, route, version)
        call.answer()
        return reply
    return await _operate(call, account, route, version)


async def _operate(call: Call, account: Account, route: Route, version: str) -> Reply | StreamReply:
    deployment = None if route.name is None else _deployment(call, account, route.name)
    body = await call.request.body(_BODY_LIMIT)
    if deployment is None:
        deployment = _deployment(call, account, _name_in(body))
    target = Target(account, deployment, route.operation, version)
    call.aim(target)
    if route.operation == routes.CHAT:
        return await chat.answer(call, target, body)
    if route.operation == routes.RESPONSES:
        return await responses.answer(call, target, body)
    if route.operation == routes.EMBEDDINGS:
        return await embeddings.answer(call, target, body)
    raise refusals.wrong_operation(route.operation, target.model)


def _deployment(call: Call, account: Account, name: str) -> Deployment:
    call.entry.deployment = name[:_NAME_CHARACTERS]
    deployment = call.azure.resources.deployment(account, name)
    if deployment is None:
        raise refusals.no_deployment()
    return deployment


def _name_in(body: bytes) -> str:
    """The deployment that the body of a v1 request names; on dated addresses the body's ``model`` is ignored."""
    name = parameters.read_json(body).get("model")
    if not name:
        raise parameters.missing("model")
    return parameters.text("model", name)
