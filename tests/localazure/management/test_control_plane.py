"""The control plane: accounts, deployments, models, quota and keys, through the real SDK and directly."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential, get_bearer_token_provider
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient
from openai import AuthenticationError, AzureOpenAI, NotFoundError

from labkit.catalog import MODELS
from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.resources import ACCOUNT, GROUP_ID, RESOURCE_GROUP, SUBSCRIPTION_ID
from labkit.localazure.state import Azure
from tests.localazure.conftest import ACCOUNT_ID, MANAGEMENT_SCOPE, Answer, Caller, HttpBearerPolicy, deployment

Arm = Callable[..., Answer]
ACCOUNTS = "Microsoft.CognitiveServices/accounts"
DEPLOYMENTS = f"{ACCOUNTS}/{ACCOUNT}/deployments"


def account(**changes: Any) -> dict[str, Any]:
    """The body of an account's PUT."""
    return {"location": "swedencentral", "kind": "OpenAI", "sku": {"name": "S0"}, "properties": {}, **changes}


# -- the real SDK -----------------------------------------------------------------------------------------------


@pytest.fixture
def cognitive(sdk: Callable[..., Any]) -> CognitiveServicesManagementClient:
    """The real management client."""
    client: CognitiveServicesManagementClient = sdk(CognitiveServicesManagementClient)
    return client


@pytest.fixture
def cognitive_by_hand(
    azure_by_hand: LocalAzure, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CognitiveServicesManagementClient]:
    """The real management client of a local Azure whose clock is moved by hand."""
    for name, value in azure_by_hand.environment().items():
        monkeypatch.setenv(name, value)
    with DefaultAzureCredential() as credential:
        policy = HttpBearerPolicy(credential, MANAGEMENT_SCOPE)
        with CognitiveServicesManagementClient(
            credential, SUBSCRIPTION_ID, base_url=azure_by_hand.url, authentication_policy=policy
        ) as client:
            yield client


def test_account_of_the_course_is_there(cognitive: Any, azure: LocalAzure) -> None:
    """The session starts with an account, and its endpoint is this server."""
    found = cognitive.accounts.get(RESOURCE_GROUP, ACCOUNT)
    assert (found.id, found.location, found.kind, found.sku.name) == (ACCOUNT_ID, "swedencentral", "OpenAI", "S0")
    assert found.properties.endpoint == f"{azure.url}/"
    assert found.properties.provisioning_state == "Succeeded"
    assert [a.name for a in cognitive.accounts.list()] == [ACCOUNT]
    assert [a.name for a in cognitive.accounts.list_by_resource_group(RESOURCE_GROUP)] == [ACCOUNT]


def test_deployment_lives_and_dies(cognitive: Any) -> None:
    """Created in the background, listed, read, changed, deleted."""
    poller = cognitive.deployments.begin_create_or_update(RESOURCE_GROUP, ACCOUNT, "big", deployment(capacity=40))
    made = poller.result()
    assert (made.name, made.sku.capacity, made.properties.provisioning_state) == ("big", 40, "Succeeded")
    assert (made.properties.model.name, made.properties.model.version) == ("gpt-4", "turbo-2024-04-09")
    assert {limit.key: limit.count for limit in made.properties.rate_limits} == {"request": 40.0, "token": 40_000.0}

    changed = cognitive.deployments.begin_update(RESOURCE_GROUP, ACCOUNT, "big", {"sku": {"capacity": 20}}).result()
    assert (changed.sku.name, changed.sku.capacity, changed.properties.model.name) == ("Standard", 20, "gpt-4")
    assert changed.etag != made.etag

    assert [d.name for d in cognitive.deployments.list(RESOURCE_GROUP, ACCOUNT)] == ["big"]
    cognitive.deployments.begin_delete(RESOURCE_GROUP, ACCOUNT, "big").result()
    assert list(cognitive.deployments.list(RESOURCE_GROUP, ACCOUNT)) == []
    with pytest.raises(ResourceNotFoundError) as missing:
        cognitive.deployments.get(RESOURCE_GROUP, ACCOUNT, "big")
    assert missing.value.error.code == "ResourceNotFound"
    cognitive.deployments.begin_delete(RESOURCE_GROUP, ACCOUNT, "big").result()  # gone already: no error


def test_poller_waits_for_a_deployment_that_takes_time(cognitive_by_hand: Any, clock: ManualClock) -> None:
    """The SDK's poller follows the operation until the clock has moved on."""
    poller = cognitive_by_hand.deployments.begin_create_or_update(RESOURCE_GROUP, ACCOUNT, "big", deployment())
    assert not poller.done()
    state = cognitive_by_hand.deployments.get(RESOURCE_GROUP, ACCOUNT, "big").properties.provisioning_state
    assert state == "Creating"
    clock.advance(60)
    assert poller.result().properties.provisioning_state == "Succeeded"


def test_quota_goes_down_with_every_deployment(cognitive: Any) -> None:
    """Usages say what is used of what, for the region and for the account alike."""
    cognitive.deployments.begin_create_or_update(RESOURCE_GROUP, ACCOUNT, "big", deployment(capacity=40)).result()
    for usages in (
        list(cognitive.usages.list("Sweden Central")),
        cognitive.accounts.list_usages(RESOURCE_GROUP, ACCOUNT).value,
    ):
        rows = {usage.name.value: (usage.current_value, usage.limit) for usage in usages}
        assert rows["OpenAI.Standard.gpt-4-turbo"] == (40.0, 450.0)
        assert rows["OpenAI.GlobalStandard.gpt-4-turbo"] == (0.0, 450.0)
        assert len(rows) == 3 * len(MODELS)


def test_models_are_the_catalogues(cognitive: Any) -> None:
    """Names and versions are Azure's, and a retired model says so."""
    listed = [item.model for item in cognitive.models.list("swedencentral")]
    assert {(m.name, m.version) for m in listed} == {(m.azure_name, m.azure_version) for m in MODELS.values()}
    turbo = next(m for m in listed if m.version == "turbo-2024-04-09")
    assert (turbo.lifecycle_status, turbo.is_default_version) == ("Deprecated", True)
    mine = list(cognitive.accounts.list_models(RESOURCE_GROUP, ACCOUNT))
    assert {m.name for m in mine} == {m.azure_name for m in MODELS.values()}


def test_keys_can_be_listed_and_renewed(cognitive: Any, azure: LocalAzure) -> None:
    """A renewed key replaces the old one at once; the other one stays."""
    before = cognitive.accounts.list_keys(RESOURCE_GROUP, ACCOUNT)
    after = cognitive.accounts.regenerate_key(RESOURCE_GROUP, ACCOUNT, "Key1")
    assert after.key1 != before.key1
    assert after.key2 == before.key2
    known = azure.azure.resources.account()
    assert known is not None
    assert known.keys == (after.key1, after.key2)


def test_account_lives_and_dies(cognitive: Any, azure: LocalAzure) -> None:
    """A second account has an endpoint and deployments of its own, which go with it."""
    body = account(properties={"customSubDomainName": "second"})
    made = cognitive.accounts.begin_create(RESOURCE_GROUP, "aoai-second", body).result()
    assert made.properties.endpoint == f"{azure.url}/accounts/second/"
    cognitive.deployments.begin_create_or_update(RESOURCE_GROUP, "aoai-second", "big", deployment()).result()
    resources = azure.azure.resources
    second = resources.account("/accounts/second")
    assert second is not None
    assert second.name == "aoai-second"
    assert resources.deployment(second, "big") is not None
    first = resources.account("")
    assert first is not None
    assert resources.deployment(first, "big") is None

    cognitive.accounts.begin_update(RESOURCE_GROUP, "aoai-second", {"tags": {"team": "a"}}).result()
    assert cognitive.accounts.get(RESOURCE_GROUP, "aoai-second").tags == {"team": "a"}
    cognitive.accounts.begin_delete(RESOURCE_GROUP, "aoai-second").result()
    assert resources.deployments(second) == ()
    assert [a.name for a in cognitive.accounts.list()] == [ACCOUNT]


def test_each_account_answers_at_its_own_endpoint(cognitive: Any) -> None:
    """The real client with the second account's endpoint and key calls the second account's deployment only."""
    cognitive.accounts.begin_create(RESOURCE_GROUP, "aoai-second", account()).result()
    cognitive.deployments.begin_create_or_update(RESOURCE_GROUP, "aoai-second", "big", deployment()).result()
    made = cognitive.accounts.get(RESOURCE_GROUP, "aoai-second")
    key = cognitive.accounts.list_keys(RESOURCE_GROUP, "aoai-second").key1
    first = cognitive.accounts.get(RESOURCE_GROUP, ACCOUNT)

    def ask(endpoint: str, **proof: Any) -> str:
        with AzureOpenAI(azure_endpoint=endpoint, api_version="2024-10-21", max_retries=0, **proof) as client:
            messages = [{"role": "user", "content": "Hello"}]
            return client.chat.completions.create(model="big", messages=messages).model  # type: ignore[arg-type]

    assert ask(made.properties.endpoint, api_key=key) == "gpt-4-turbo-2024-04-09"
    with pytest.raises(AuthenticationError):
        ask(first.properties.endpoint, api_key=key)
    with DefaultAzureCredential() as credential:
        provider = get_bearer_token_provider(credential, "https://cognitiveservices.azure.com/.default")
        assert ask(made.properties.endpoint, azure_ad_token_provider=provider)
        with pytest.raises(NotFoundError) as missing:
            ask(first.properties.endpoint, azure_ad_token_provider=provider)
    assert missing.value.code == "DeploymentNotFound"


def test_errors_arrive_as_the_sdks_own(cognitive: Any) -> None:
    """Code and message are readable from the exception, and the right class is raised."""
    begin = cognitive.deployments.begin_create_or_update
    with pytest.raises(HttpResponseError) as unknown:
        begin(RESOURCE_GROUP, ACCOUNT, "x", deployment("gpt-4-turbo", None))
    assert unknown.value.error.code == "DeploymentModelNotSupported"
    assert "gpt-4 turbo-2024-04-09" in unknown.value.error.message
    with pytest.raises(ResourceExistsError) as taken:
        cognitive.accounts.begin_create(
            RESOURCE_GROUP, "other", account(properties={"customSubDomainName": ACCOUNT.upper()})
        )
    assert taken.value.error.code == "CustomDomainInUse"


# -- Resource Manager itself ------------------------------------------------------------------------------------


def test_ids_are_compared_without_regard_to_case(arm: Arm) -> None:
    """Whatever the path's casing, the resource is the same and keeps its own spelling."""
    arm("PUT", f"{DEPLOYMENTS}/Big", deployment())
    shouted = f"{GROUP_ID}/PROVIDERS/{DEPLOYMENTS}/BIG".upper()
    answer = arm("GET", shouted)
    assert answer.json["id"] == f"{ACCOUNT_ID}/deployments/Big"
    assert arm("PUT", shouted, deployment(capacity=3)).status == 200
    assert [d["name"] for d in arm("GET", f"{DEPLOYMENTS.lower()}").json["value"]] == ["Big"]
    assert arm("POST", f"{ACCOUNTS}/{ACCOUNT}/LISTKEYS").status == 200


def test_doubled_slashes_count_as_one(arm: Arm) -> None:
    """Clients that join an endpoint's slash with a path's send two."""
    assert arm("GET", f"//subscriptions/{SUBSCRIPTION_ID}//resourceGroups").status == 200


@pytest.mark.parametrize(
    ("version", "error"),
    [
        ("", (400, "MissingApiVersionParameter")),
        ("newest", (400, "InvalidApiVersionParameter")),
        ("2025-09-01'", (400, "InvalidApiVersionParameter")),
    ],
    ids=["missing", "no date", "stray quote"],
)
def test_api_version_is_required(arm: Arm, version: str, error: tuple[int, str]) -> None:
    """On every request; any dated version will do."""
    assert arm("GET", f"{ACCOUNTS}/{ACCOUNT}", **{"api-version": version}).error == error
    assert arm("GET", f"{ACCOUNTS}/{ACCOUNT}", **{"api-version": "2023-05-01-preview"}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        pytest.param("GET", "/subscriptions/other", (404, "SubscriptionNotFound"), id="subscription"),
        pytest.param(
            "GET", f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg", (404, "ResourceGroupNotFound"), id="group"
        ),
        pytest.param(
            "PUT",
            f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg/providers/{ACCOUNTS}/a",
            (404, "ResourceGroupNotFound"),
            id="group of a resource",
        ),
        pytest.param("GET", f"{ACCOUNTS}/nope", (404, "ResourceNotFound"), id="account"),
        pytest.param("GET", f"{DEPLOYMENTS}/nope", (404, "ResourceNotFound"), id="deployment"),
        pytest.param("PATCH", f"{DEPLOYMENTS}/nope", (404, "ResourceNotFound"), id="patched deployment"),
        pytest.param("GET", f"{ACCOUNTS}/nope/deployments", (404, "ParentResourceNotFound"), id="list in no account"),
        pytest.param("GET", f"{ACCOUNTS}/nope/deployments/d", (404, "ParentResourceNotFound"), id="read in no account"),
        pytest.param("GET", f"{ACCOUNTS}/nope/deployments/d/skus", (404, "ParentResourceNotFound"), id="skus"),
        pytest.param("POST", f"{ACCOUNTS}/nope/listKeys", (404, "ResourceNotFound"), id="keys of no account"),
        pytest.param("PUT", f"{ACCOUNTS}/nope/deployments/d", (404, "ParentResourceNotFound"), id="parent"),
        pytest.param("GET", "Microsoft.Compute/virtualMachines/vm", (404, "InvalidResourceNamespace"), id="namespace"),
        pytest.param("GET", "Microsoft.CognitiveServices/plans/p", (404, "InvalidResourceType"), id="type"),
        pytest.param("POST", f"{ACCOUNTS}/{ACCOUNT}/explode", (404, "InvalidResourceType"), id="action"),
        pytest.param("GET", f"{ACCOUNTS}/{ACCOUNT}/listKeys", (404, "InvalidResourceType"), id="action by GET"),
        pytest.param("POST", f"{ACCOUNTS}/{ACCOUNT}", (405, "HttpMethodNotAllowed"), id="method on a resource"),
        pytest.param("PUT", ACCOUNTS, (405, "HttpMethodNotAllowed"), id="method on a list"),
        pytest.param("DELETE", GROUP_ID, (405, "HttpMethodNotAllowed"), id="method on the group"),
        pytest.param("GET", f"/subscriptions/{SUBSCRIPTION_ID}/nothing", (404, "InvalidResourceType"), id="path"),
        pytest.param("GET", "/providers", (404, "InvalidResourceType"), id="bare providers"),
        pytest.param(
            "PUT",
            f"/subscriptions/{SUBSCRIPTION_ID}/providers/{ACCOUNTS}/a",
            (404, "InvalidResourceType"),
            id="account outside of a group",
        ),
        pytest.param(
            "GET",
            f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.CognitiveServices/locations/mars/usages",
            (400, "LocationNotAvailableForResourceType"),
            id="location",
        ),
        pytest.param(
            "GET",
            f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.CognitiveServices/locations/l/operationStatuses/o",
            (404, "OperationNotFound"),
            id="operation",
        ),
        pytest.param("PUT", f"{ACCOUNTS}/-a", (400, "InvalidResourceName"), id="account's name"),
        pytest.param("PUT", f"{DEPLOYMENTS}/a%0d%0ab", (400, "InvalidResourceName"), id="deployment's name"),
        pytest.param("PUT", f"{DEPLOYMENTS}/{'d' * 65}", (400, "InvalidResourceName"), id="long name"),
    ],
)
def test_what_is_not_there_is_refused_by_name(arm: Arm, method: str, path: str, error: tuple[int, str]) -> None:
    """Every wrong turn has an error in Resource Manager's shape; none is an empty answer."""
    answer = arm(method, path, {"properties": {}} if method in ("PUT", "PATCH", "POST") else None)
    assert answer.error == error
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"a":NaN}'])
def test_malformed_bodies_are_bad_requests(arm: Arm, body: bytes) -> None:
    """Never a 500, whatever was sent."""
    assert arm("PUT", f"{DEPLOYMENTS}/d", body=body).error == (400, "InvalidRequestContent")


def test_body_nested_too_deeply_is_refused_and_not_kept(arm: Arm) -> None:
    """What could not be answered again must not be stored."""
    deep = b'{"a":' * 400 + b"1" + b"}" * 400
    body = b'{"location":"swedencentral","kind":"OpenAI","sku":{"name":"S0"},"properties":{"x":' + deep + b"}}"
    assert arm("PUT", f"{ACCOUNTS}/deep", body=body).error == (400, "InvalidRequestContent")
    assert arm("GET", f"{ACCOUNTS}/deep").status == 404


def test_subscription_and_group_can_be_read(arm: Arm) -> None:
    """There is one of each."""
    assert arm("GET", "/subscriptions").json["value"][0]["subscriptionId"] == SUBSCRIPTION_ID
    assert arm("GET", f"/subscriptions/{SUBSCRIPTION_ID}").json["state"] == "Enabled"
    assert arm("GET", f"/subscriptions/{SUBSCRIPTION_ID}/resourcegroups").json["value"][0]["id"] == GROUP_ID
    assert arm("GET", GROUP_ID).json["name"] == RESOURCE_GROUP
    assert arm("HEAD", GROUP_ID).status == 204


def test_number_of_resources_is_bounded(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that creates resources without end meets a limit, as it does in Azure."""
    monkeypatch.setattr("labkit.localazure.management.documents._RESOURCES_OF_A_TYPE", 2)
    for number in range(2):
        assert arm("PUT", f"{DEPLOYMENTS}/d{number}", deployment(capacity=1)).status == 201
    assert arm("PUT", f"{DEPLOYMENTS}/d2", deployment(capacity=1)).error == (409, "ResourceQuotaExceeded")


def test_size_of_all_resources_is_bounded(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large documents meet a limit before they fill the memory; a smaller one in a large one's place is welcome."""
    monkeypatch.setattr("labkit.localazure.management.documents._ALL_RESOURCES_BYTES", 20_000)
    large = {"location": "swedencentral", "kind": "web", "tags": {"note": "x" * 15_000}}
    assert arm("PUT", "Microsoft.Insights/components/one", large).status == 200
    assert arm("PUT", "Microsoft.Insights/components/two", large).error == (409, "ResourceQuotaExceeded")
    assert arm("GET", "Microsoft.Insights/components/two").status == 404
    assert arm("PUT", "Microsoft.Insights/components/one", {**large, "tags": {}}).status == 200


def test_resources_are_the_same_in_every_run(clock: ManualClock) -> None:
    """Ids, etags and keys of instrumentation depend on what was done, not on when or on which port."""
    seen = []
    for port in (1, 2):
        call = Caller(Azure(clock))
        call.azure.url = f"http://127.0.0.1:{port}"
        token = call.azure.identity.issue("https://management.azure.com")["access_token"]
        for path, body in (
            (f"{DEPLOYMENTS}/d", deployment()),
            ("Microsoft.Insights/components/appi", {"location": "swedencentral", "kind": "web"}),
        ):
            answer = call(
                "PUT",
                f"{GROUP_ID}/providers/{path}",
                body,
                headers={"Authorization": f"Bearer {token}"},
                **{"api-version": "2025-09-01"},
            )
            seen.append(answer.body.replace(b"http://127.0.0.1:%d" % port, b"URL"))
    assert seen[:2] == seen[2:]
