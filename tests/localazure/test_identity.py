"""Tokens and keys: who gets in, who does not, and in which words."""

import time
from typing import Any

import jwt
import pytest
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.errors import AzureError
from labkit.localazure.identity import TENANT_ID, Identity, InvalidToken
from labkit.localazure.resources import Account
from labkit.localazure.wire import Request

from .conftest import ACCOUNT_ID, Caller

ACCOUNT = Account("id", "a", "a", "swedencentral", ("key-one", "key-two"), local_auth_disabled=False)
KEYLESS = Account("id", "a", "a", "swedencentral", ("key-one", "key-two"), local_auth_disabled=True)
INFERENCE = "https://cognitiveservices.azure.com"


@pytest.fixture
def identity(clock: ManualClock) -> Identity:
    """The tokens of one local Azure."""
    return Identity(clock)


def request_with(**headers: str) -> Request:
    """A request with these headers (underscores stand for hyphens)."""
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": pairs}, receive)


# -- the endpoints ----------------------------------------------------------------------------------------------


def test_default_azure_credential_needs_only_the_environment(client_environment: LocalAzure) -> None:
    """The real credential finds the managed identity and gets a token that lasts a day."""
    with DefaultAzureCredential() as credential:
        token = credential.get_token("https://management.azure.com/.default")
    assert 86_300 < token.expires_on - time.time() <= 86_400
    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert (claims["aud"], claims["tid"]) == ("https://management.azure.com", TENANT_ID)


def test_virtual_machine_protocol_works_for_the_real_credential(
    azure: LocalAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved by AZURE_POD_IDENTITY_AUTHORITY_HOST, the SDK speaks the protocol of virtual machines (IMDS)."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure.url)
    with ManagedIdentityCredential() as credential:
        token = credential.get_token(f"{INFERENCE}/.default")
    assert azure.azure.identity.principal(token.token).audience == INFERENCE


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param("https%3A%2F%2Fmanagement.azure.com%2F", id="percent-encoded"),
        pytest.param("https://management.azure.com", id="raw"),
        pytest.param("https://management.azure.com/", id="with a slash"),
        pytest.param("https://management.azure.com/.default", id="as a scope"),
        pytest.param("https://management.core.windows.net/", id="the older name"),
    ],
)
def test_resource_may_be_written_in_several_ways(call: Caller, arm: Any, resource: str) -> None:
    """Clients encode the resource or not; the token they get opens the control plane."""
    secret = call.azure.identity.header_secret
    token = call(
        "GET", f"/msi/token?api-version=2019-08-01&resource={resource}", headers={"X-IDENTITY-HEADER": secret}
    ).json
    assert {"access_token", "expires_on", "expires_in", "resource", "token_type"} <= token.keys()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert call("GET", "/subscriptions?api-version=2022-12-01", headers=bearer).status == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Metadata": "true", "Host": "evil.example"}],
    ids=["no Metadata header", "another host name (DNS rebinding)"],
)
def test_virtual_machine_protocol_refuses_what_a_web_page_could_send(call: Caller, headers: dict[str, str]) -> None:
    """A page in a browser on the same machine must not get a token."""
    answer = call("GET", "/metadata/identity/oauth2/token", headers=headers, resource=INFERENCE)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


def test_virtual_machine_protocol_accepts_a_trailing_slash(call: Caller) -> None:
    """Some clients end the path with a slash."""
    answer = call("GET", "/metadata/identity/oauth2/token/", headers={"Metadata": "true"}, resource=INFERENCE)
    assert answer.json["token_type"] == "Bearer"


# -- the control plane's check ----------------------------------------------------------------------------------


def management_error(call: Caller, bearer: str | None) -> tuple[int, str]:
    """What the control plane says to this bearer token."""
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    answer = call("GET", "/subscriptions?api-version=2022-12-01", headers=headers)
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    return answer.error


def test_control_plane_refuses_an_old_token(call: Caller, clock: ManualClock) -> None:
    """A token is good for a day, to the second, on the local Azure's clock."""
    token = call.azure.identity.issue("https://management.azure.com")["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    clock.advance(86_398)
    assert call("GET", "/subscriptions?api-version=2022-12-01", headers=bearer).status == 200
    clock.advance(2)
    assert management_error(call, token) == (401, "ExpiredAuthenticationToken")


def forged(identity: Identity) -> dict[str, str]:
    """Tokens that were not issued by ``identity``, by what is wrong with them."""
    real = identity.issue("https://management.azure.com")["access_token"]
    claims = jwt.decode(real, options={"verify_signature": False})
    head, payload, signature = real.split(".")
    return {
        "another server's": Identity(ManualClock(time.time())).issue("https://management.azure.com")["access_token"],
        "unsigned": jwt.encode(claims, None, algorithm="none"),
        "changed": f"{head}.{payload[:-4]}AAAA.{signature}",
        "no token": "let-me-in",
        "without claims": jwt.encode({}, identity._signing_key, algorithm="HS256")[:-1] + "_",
    }


@pytest.mark.parametrize("kind", ["another server's", "unsigned", "changed", "no token", "without claims"])
def test_forged_tokens_are_refused(call: Caller, kind: str) -> None:
    """Only what this server signed counts."""
    assert management_error(call, forged(call.azure.identity)[kind]) == (401, "InvalidAuthenticationToken")


# -- the inference face's check ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"api_key": "key-one"}, id="api-key, first"),
        pytest.param({"api_key": "key-two"}, id="api-key, second"),
        pytest.param({"authorization": "Bearer key-one"}, id="as a bearer, the v1 way"),
        pytest.param({"api_key": "key-one", "authorization": "Bearer nonsense"}, id="with a bearer that is none"),
    ],
)
def test_key_lets_in(identity: Identity, headers: dict[str, str]) -> None:
    """Either key, in either header."""
    assert identity.authenticate(request_with(**headers), ACCOUNT) == "key"


@pytest.mark.parametrize("audience", [INFERENCE, f"{INFERENCE}/", "https://ai.azure.com"])
def test_token_for_the_models_lets_in(identity: Identity, audience: str) -> None:
    """Keyless, with or without a slash at the audience's end; also with a placeholder for a key beside it."""
    bearer = f"Bearer {identity.issue(audience)['access_token']}"
    request = request_with(authorization=bearer, api_key="placeholder")
    assert identity.authenticate(request, KEYLESS) == "entra"
    assert request.auth == "entra"


def refusal(identity: Identity, account: Account = ACCOUNT, **headers: str) -> AzureError:
    """How the inference face refuses these headers."""
    with pytest.raises(AzureError) as refused:
        identity.authenticate(request_with(**headers), account)
    return refused.value


def test_expired_and_misdirected_tokens_are_refused(identity: Identity, clock: ManualClock) -> None:
    """A token for the control plane does not call models; nor does yesterday's."""
    misdirected = identity.issue("https://management.azure.com")["access_token"]
    assert refusal(identity, authorization=f"Bearer {misdirected}").status == 401
    token = identity.issue(INFERENCE)["access_token"]
    assert identity.authenticate(request_with(authorization=f"Bearer {token}"), ACCOUNT) == "entra"
    clock.advance(86_400)
    assert refusal(identity, authorization=f"Bearer {token}").status == 401


def test_tokens_do_not_age_by_time_that_is_skipped(identity: Identity, clock: ManualClock) -> None:
    """A client keeps its token for a day of its own time, whatever the local Azure's clock was moved by."""
    token = identity.issue(INFERENCE)["access_token"]
    clock.advance(30 * 86_400)
    identity.advance(30 * 86_400)
    assert identity.authenticate(request_with(authorization=f"Bearer {token}"), ACCOUNT) == "entra"
    assert identity.issue(INFERENCE)["expires_on"] == str(int(clock.now()) - 29 * 86_400)
    clock.advance(86_400)
    assert refusal(identity, authorization=f"Bearer {token}").status == 401


def test_keys_can_be_switched_off(identity: Identity) -> None:
    """An account with disableLocalAuth answers a right key with 403, a wrong one still with 401."""
    error = refusal(identity, KEYLESS, api_key="key-one")
    assert (error.status, error.code) == (403, "AuthenticationTypeDisabled")
    assert refusal(identity, KEYLESS, api_key="wrong").status == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic a2V5LW9uZQ==", "Bearer \xff\xfe"])
def test_odd_authorization_headers_are_refused(identity: Identity, header: str) -> None:
    """Never an exception, whatever stands in the header."""
    assert refusal(identity, authorization=header).status == 401


def test_tokens_are_checked_once_and_forgotten_in_time(identity: Identity) -> None:
    """The cache on the hot path answers the same object and cannot grow without end."""
    token = identity.issue(INFERENCE)["access_token"]
    assert identity.principal(token) is identity.principal(token)
    for number in range(1_100):
        identity._verified[f"other-{number}"] = identity.principal(token)
    with pytest.raises(InvalidToken):
        identity.principal("unknown")
    assert len(identity._verified) < 1_100


def test_keys_and_tokens_are_not_in_any_repr(call: Caller) -> None:
    """What a traceback or a notebook might print holds no secret."""
    account = call.azure.resources.account()
    resource = call.azure.resources.get(ACCOUNT_ID)
    assert account is not None
    for key in account.keys:
        assert key not in repr(account)
        assert key not in repr(resource)
