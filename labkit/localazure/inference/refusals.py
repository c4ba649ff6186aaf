"""What the inference face says when it does not answer a well-formed request."""

import math

from labkit.catalog import Model
from labkit.localazure.errors import AzureError, Headers
from labkit.localazure.faults import Fault
from labkit.localazure.inference import routes
from labkit.localazure.inference.contentfilter import Verdict
from labkit.localazure.inference.limits import Limiter, Refusal

_NOUNS = {routes.CHAT: "chatCompletion", routes.EMBEDDINGS: "embeddings", routes.COMPLETIONS: "completion"}
# That of responses is ours, after the pattern of the others.
_OPERATION_IDS = {
    routes.CHAT: "ChatCompletions_Create",
    routes.EMBEDDINGS: "Embeddings_Create",
    routes.RESPONSES: "Responses_Create",
}
_REASONING_SINCE = "2024-12-01"
# A fault's status, in the words the service has for it. Timeout: Azure/azure-sdk-for-net#39141 (2023-10).
_FAULT_WORDS = {
    408: ("Timeout", "The operation was timeout."),
    500: ("InternalServerError", "The server had an error while processing your request. Sorry about that!"),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request. Please try again later."),
}


def no_deployment() -> AzureError:
    """The account has no such deployment, or it is still being made (MicrosoftDocs/azure-docs#114013, 2023-08)."""
    return AzureError(
        404,
        "DeploymentNotFound",
        "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
        "please wait a moment and try again.",
    )


def wrong_operation(operation: str, model: Model) -> AzureError:
    """The deployment's model cannot do this at all (microsoft/graphrag#1557, 2025-01)."""
    return AzureError(
        400,
        "OperationNotSupported",
        f"The {_NOUNS[operation]} operation does not work with the specified model, {model.azure_name}. Please choose "
        "different model and try again. You can learn more about which models can be used with each operation here: "
        "https://go.microsoft.com/fwlink/?linkid=2197993.",
    )


def not_simulated(operation: str) -> AzureError:
    """The service can do this and the local Azure cannot. The code is the service's, the words are ours."""
    return AzureError(
        400,
        "OperationNotSupported",
        f"The {operation} operation is not supported by the local Azure. It answers chat/completions, responses, "
        "embeddings and models.",
    )


def check_version(version: str, model: Model) -> None:
    """``AzureError`` 400 when ``model`` came later than the API ``version`` (langchain4j/langchain4j#2636, 2025-03)."""
    if model.is_reasoning and version != "v1" and version < _REASONING_SINCE:
        message = f"Model {model.azure_name} is enabled only for api versions {_REASONING_SINCE}-preview and later"
        raise AzureError(400, "BadRequest", message)


def over_limit(refusal: Refusal, limiter: Limiter, operation: str, version: str, estimate: int) -> AzureError:
    """The 429 of a deployment whose minute or window is used up (vanderschaarlab/climb#1, 2025-01)."""
    after_s = refusal.retry_after_s
    message = _exceeded(operation, version, refusal.kind, f"Please retry after {_seconds(after_s)}.")
    if refusal.too_big:
        message += (
            f" This request alone counts as {estimate} tokens, more than the {limiter.tpm} tokens per minute of the "
            "deployment: lower max_tokens or raise the capacity."
        )
    name = b"requests" if refusal.kind == "call" else b"tokens"
    policy = b"DeploymentRatelimit-Call" if refusal.kind == "call" else b"DeploymentRatelimit-Token"
    headers = (
        *_retry_headers(refusal.wait_s),
        (b"x-ratelimit-reset-" + name, b"%d" % after_s),
        (b"x-ratelimit-remaining-requests", b"%d" % limiter.remaining_requests),
        (b"x-ratelimit-remaining-tokens", b"%d" % limiter.remaining_tokens),
        (b"x-ratelimit-limit-requests", b"%d" % limiter.rpm),
        (b"x-ratelimit-limit-tokens", b"%d" % limiter.tpm),
        (b"policy-id", policy),
    )
    return AzureError(429, "429", message, headers=headers)


def fault(planned: Fault, operation: str, version: str) -> AzureError:
    """The answer that a fault of the kind ``status`` asks for, in the words the service has for that status."""
    after_s = planned.retry_after_s
    headers = () if after_s is None else _retry_headers(after_s)
    if planned.status == 429:
        advice = "Please retry later." if after_s is None else f"Please retry after {_seconds(math.ceil(after_s))}."
        message = _exceeded(operation, version, "call", advice)
        return AzureError(429, "429", message, headers=(*headers, (b"policy-id", b"DeploymentRatelimit-Call")))
    code, message = _FAULT_WORDS.get(planned.status, (str(planned.status), "The request could not be processed."))
    return AzureError(planned.status, code, message, headers=headers)


def prompt_filtered(verdict: Verdict) -> AzureError:
    """The refusal of a prompt by the content filter (microsoft/TinyTroupe#85, 2024-12; the key is singular)."""
    return AzureError(
        400,
        "content_filter",
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please "
        "modify your prompt and retry. To learn more about our content filtering policies please read our "
        "documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
        param="prompt",
        extra={
            "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": verdict.results()},
        },
    )


def _exceeded(operation: str, version: str, kind: str, advice: str) -> str:
    return (
        f"Requests to the {_OPERATION_IDS[operation]} Operation under Azure OpenAI API version {version} have exceeded "
        f"{kind} rate limit of your current OpenAI S0 pricing tier. {advice} Please go here: "
        "https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
    )


def _retry_headers(wait_s: float) -> Headers:
    return (
        (b"retry-after", b"%d" % max(math.ceil(wait_s), 0)),
        (b"retry-after-ms", b"%d" % math.ceil(wait_s * 1000)),
    )


def _seconds(count: int) -> str:
    return f"{count} second" if count == 1 else f"{count} seconds"
