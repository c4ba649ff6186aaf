"""The inference face: who gets in, and which addresses there are."""

import dataclasses

import pytest

from labkit.localazure.state import Azure
from tests.localazure.asking import BIG, VERSION, account_of
from tests.localazure.conformance.cases import Case, check, error, text
from tests.localazure.conformance.sent import INFERENCE, MANAGEMENT, NO_PATH, Sent, chat
from tests.localazure.conftest import Caller


def keyless(azure: Azure) -> None:
    """The account takes no keys."""
    azure.resources.set_account(dataclasses.replace(account_of(azure), local_auth_disabled=True))


CALLERS = (
    Case(
        "wrong key",
        dataclasses.replace(chat(auth="none"), headers={"api-key": "0" * 32}),
        401,
        "SciSharp/BotSharp#386 (2024-04); microsoft/semantic-kernel#10337 (2025-01)",
        error(
            "401",
            r"^Access denied due to invalid subscription key or wrong API endpoint\. Make sure to provide a valid key "
            r"for an active subscription and use a correct regional API endpoint for your resource\.$",
        ),
    ),
    Case(
        "no credential",
        chat(auth="none"),
        401,
        "Azure-Samples/azure-search-openai-demo#2219 (2024-12)",
        {
            "statusCode": 401,
            "message": text(r"^Unauthorized\. Access token is missing, invalid, audience is incorrect"),
        },
    ),
    Case(
        "token for another audience",
        chat(auth=MANAGEMENT),
        401,
        "Azure-Samples/azure-search-openai-demo#2219 (2024-12)",
        {"statusCode": 401, "message": text("audience is incorrect")},
    ),
    Case("Entra token", chat(auth=INFERENCE), 200, "Azure-Samples/azure-search-openai-demo#2219 (2024-12)"),
    Case(
        "key where keys are disabled",
        chat(),
        403,
        "microsoft/sample-app-aoai-chatGPT#1000 (2024-07)",
        error("AuthenticationTypeDisabled", r"^Key based authentication is disabled for this resource\.$"),
        given=keyless,
    ),
)

ADDRESSES = (
    Case(
        "unknown deployment",
        chat(deployment="gpt-nope"),
        404,
        "MicrosoftDocs/azure-docs#114013 (2023-08)",
        error(
            "DeploymentNotFound",
            r"^The API deployment for this resource does not exist\. If you created the deployment within the last 5 "
            r"minutes, please wait a moment and try again\.$",
        ),
    ),
    Case(
        "no api-version",
        Sent("POST", f"/openai/deployments/{BIG}/chat/completions", {}, auth="key"),
        404,
        "MicrosoftDocs/azure-docs#114602 (2023-09)",
        NO_PATH,
    ),
    Case(
        "wrong path",
        Sent("POST", "/openai/nothing", {}, auth="key"),
        404,
        "stulzq/azure-openai-proxy#52 (2023-07)",
        NO_PATH,
    ),
    Case("no face", Sent("GET", "/nothing"), 404, "stulzq/azure-openai-proxy#52 (2023-07)", NO_PATH),
    Case(
        "unknown model of the list",
        Sent("GET", f"/openai/models/gpt-9?api-version={VERSION}", auth="key"),
        404,
        "ours: the code is Resource Manager's, the list of models is what there is",
        error("ResourceNotFound", r"There are: gpt-4-turbo-2024-04-09"),
    ),
    Case(
        "body over the limit",
        dataclasses.replace(chat(), headers={"content-length": str(17 * 2**20)}),
        413,
        "ours: the limit and its wording; RFC 9110 has the status",
        error("RequestContentTooLarge", r"exceeds the maximum size of 16 MB\.$"),
    ),
)

CASES = (*CALLERS, *ADDRESSES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status, body and headers are those that the source shows."""
    check(case, call)
