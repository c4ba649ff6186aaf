"""The inference face: limits, failures, and the headers of answers."""

import dataclasses
from typing import Any

import pytest

from labkit.localazure.faults import Fault
from labkit.localazure.resources import Deployment
from labkit.localazure.state import Azure
from tests.localazure.asking import OMNI, SMALL, account_of, deploy
from tests.localazure.conformance.cases import Case, check, error, text
from tests.localazure.conformance.sent import ANSWERED, LIMITED, NUMBER, UUID, chat
from tests.localazure.conftest import Caller


def faulty(status: int, retry_after_s: float | None = None) -> Any:
    """Prepares a local Azure whose next call fails."""
    return lambda azure: azure.faults.add(Fault(status=status, retry_after_s=retry_after_s))


def small(capacity_ktpm: int) -> Any:
    """Prepares a deployment with little capacity."""
    return lambda azure: deploy(azure, SMALL, capacity_ktpm=capacity_ktpm)


def small_deployment(azure: Azure) -> Deployment:
    """The deployment with little capacity."""
    found = azure.resources.deployment(account_of(azure), SMALL)
    assert found is not None
    return found


LIMITS = (
    Case(
        "over the tokens of a minute",
        chat(deployment=SMALL, max_tokens=2_000),
        429,
        "vanderschaarlab/climb#1 (2025-01); headers: openai/openai-python#937 (2023-12)",
        error(
            "429",
            r"^Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2025-01-01-preview have "
            r"exceeded token rate limit of your current OpenAI S0 pricing tier\. Please retry after 60 seconds\. "
            r"Please go here: https://aka\.ms/oai/quotaincrease if you would like to further increase the default .+\. "
            r"This request alone counts as 2002 tokens, more than the 1000 tokens per minute of the deployment: lower ",
        ),
        {**LIMITED, "x-ratelimit-reset-tokens": "60", "policy-id": "DeploymentRatelimit-Token"},
        given=small(1),
    ),
    Case(
        "over the requests of a window",
        chat(deployment=SMALL),
        429,
        "openai/openai-python#3271 (2026-05); vanderschaarlab/climb#1 (2025-01)",
        error(
            "429", r"have exceeded call rate limit of your current OpenAI S0 pricing tier\. Please retry after \d+ sec"
        ),
        {**LIMITED, "x-ratelimit-reset-requests": NUMBER, "policy-id": "DeploymentRatelimit-Call"},
        given=lambda azure: [small(1)(azure), azure.limits.of(small_deployment(azure)).take(azure.clock.now(), 0)],
    ),
)

FAULTS = (
    Case(
        "timeout",
        chat(),
        408,
        "Azure/azure-sdk-for-net#39141 (2023-10)",
        error("Timeout", r"^The operation was timeout\.$"),
        given=faulty(408),
    ),
    Case(
        "failure of the server",
        chat(),
        500,
        "ours: the words of OpenAI's guide to error codes",
        error("InternalServerError", r"^The server had an error while processing your request\. Sorry about that!$"),
        given=faulty(500),
    ),
    Case(
        "unavailable",
        chat(),
        503,
        "ours: code and words after the other statuses",
        error("ServiceUnavailable", r"temporarily unable to process your request"),
        {"retry-after": "3", "retry-after-ms": "2500"},
        given=faulty(503, 2.5),
    ),
    Case(
        "rate limit on purpose",
        chat(),
        429,
        "vanderschaarlab/climb#1 (2025-01)",
        error("429", r"have exceeded call rate limit of your current OpenAI S0 pricing tier\. Please retry later\."),
        {"policy-id": "DeploymentRatelimit-Call"},
        given=faulty(429),
    ),
)

HEADERS = (
    Case(
        "headers of a completion",
        chat(deployment=OMNI),
        200,
        "openai/openai-python#937 (2023-12); openai/openai-python#3271 (2026-05)",
        headers=ANSWERED,
    ),
    Case(
        "headers of a stream",
        chat(deployment=OMNI, stream=True),
        200,
        "openai/openai-python#937 (2023-12)",
        headers={**ANSWERED, "content-type": text("^text/event-stream")},
    ),
    Case(
        "headers of an error",
        chat(deployment="gpt-nope"),
        404,
        "openai/openai-python#937 (2023-12)",
        headers={"content-type": "application/json", "apim-request-id": UUID, "x-request-id": UUID},
    ),
    Case(
        "id of the client",
        dataclasses.replace(chat(), headers={"x-ms-client-request-id": "mine"}),
        200,
        "ours: the client's own id comes back; that there is such a header is openai/openai-python#937",
        headers={"x-ms-client-request-id": "mine", "x-request-id": UUID},
    ),
)

CASES = (*LIMITS, *FAULTS, *HEADERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status, body and headers are those that the source shows."""
    check(case, call)
