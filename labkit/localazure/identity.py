"""Who is calling: issues managed-identity tokens and checks tokens and keys for the other faces."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import jwt
import orjson

from labkit.localazure.clock import Clock, iso
from labkit.localazure.errors import AzureError
from labkit.localazure.resources import Account
from labkit.localazure.secrets import Secrets
from labkit.localazure.wire import Reply, Request, json_reply

TENANT_ID = "13131313-0000-4000-8000-000000000000"
OBJECT_ID = "13131313-0000-4000-8000-00000000000a"
APP_ID = "13131313-0000-4000-8000-00000000000b"

MANAGEMENT = (
    "https://management.core.windows.net/",
    "https://management.core.windows.net",
    "https://management.azure.com/",
    "https://management.azure.com",
)
INFERENCE = ("https://cognitiveservices.azure.com", "https://ai.azure.com")
_TELEMETRY = (
    "https://monitor.azure.com",
    "https://api.applicationinsights.io",
    "https://api.loganalytics.io",
    "https://api.loganalytics.azure.com",
    "https://metrics.monitor.azure.com",
)
_RESOURCES = frozenset(url.rstrip("/") for url in (*MANAGEMENT, *INFERENCE, *_TELEMETRY))

_LIFETIME_S = 86_400
_CACHED_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token speaks for, for which ``audience`` (no trailing slash) and until when."""

    object_id: str
    app_id: str
    audience: str
    expires_s: float


class InvalidToken(Exception):
    """The token is not one that this server signed."""


class Identity:
    """Signs tokens with a key that only this server knows, and recognises them again.

    ``has_imds`` says whether the instance metadata endpoint, which asks for no secret, gives out tokens.
    """

    def __init__(self, clock: Clock, secrets: Secrets | None = None) -> None:
        secrets = secrets or Secrets.fresh()
        self.header_secret = secrets.identity_header
        self.has_imds = True
        self._clock = clock
        self._ahead_s = 0.0
        self._signing_key = secrets.token_signing.encode()
        self._verified: dict[str, Principal] = {}

    def advance(self, delay_s: float) -> None:
        """Follow a clock that is moved forward by hand: tokens are dated by the clients' time, and do not age by it.

        Clients keep a token until their own clock says that it expires; they would not ask for another one earlier.
        """
        self._ahead_s += delay_s
        self._verified.clear()

    def issue(self, audience: str) -> dict[str, str]:
        """A token for ``audience`` as the managed-identity endpoints answer it: every value is text."""
        now = int(self._clock.now() - self._ahead_s)
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{TENANT_ID}/",
            "iat": now,
            "nbf": now,
            "exp": now + _LIFETIME_S,
            "oid": OBJECT_ID,
            "sub": OBJECT_ID,
            "appid": APP_ID,
            "tid": TENANT_ID,
            "idtyp": "app",
            "ver": "1.0",
        }
        return {
            "access_token": jwt.encode(claims, self._signing_key, algorithm="HS256"),
            "client_id": APP_ID,
            "expires_in": str(_LIFETIME_S),
            "expires_on": str(now + _LIFETIME_S),
            "not_before": str(now),
            "resource": audience,
            "token_type": "Bearer",
        }

    def principal(self, token: str) -> Principal:
        """Whom ``token`` speaks for, expired or not; ``InvalidToken`` when this server did not sign it.

        A token that was checked before is looked up, not checked again: this is on the hot path.
        """
        known = self._verified.get(token)
        if known is not None:
            return known
        if len(self._verified) >= _CACHED_TOKENS:
            self._verified.clear()
        principal = self._decode(token)
        self._verified[token] = principal
        return principal

    def expires_s(self, request: Request) -> float:
        """When the token that ``request`` was let in with expires, on the clock."""
        return self.principal(_bearer(request.headers.get(b"authorization"))).expires_s

    def _decode(self, token: str) -> Principal:
        # Expiry and audience are judged by the face that asks, on the local Azure's clock and with its own error.
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
        try:
            claims = jwt.decode(token, self._signing_key, algorithms=["HS256"], options=options)
        except (jwt.PyJWTError, ValueError):
            raise InvalidToken from None
        return Principal(claims["oid"], claims["appid"], claims["aud"].rstrip("/"), claims["exp"] + self._ahead_s)

    def authenticate(self, request: Request, account: Account) -> Literal["key", "entra"]:
        """How the caller of ``account``'s inference face proved itself; ``AzureError`` 401 or 403 when it did not.

        A key is taken from ``api-key`` or, as v1 clients send it, from ``Authorization: Bearer``. When both headers
        come, one that holds is enough.
        """
        bearer = _bearer(request.headers.get(b"authorization"))
        if bearer and self._is_for_inference(bearer):
            request.auth = "entra"
            return "entra"
        key, accepted = request.headers.get(b"api-key", b""), _accepted(account.keys)
        if key not in accepted and bearer.encode("latin-1") not in accepted:
            raise _wrong_key() if key else _unauthorized()
        if account.local_auth_disabled:
            raise _key_disabled()
        request.auth = "key"
        return "key"

    def _is_for_inference(self, token: str) -> bool:
        if token.count(".") != 2:
            return False  # a key: not worth trying to read it as a token
        try:
            principal = self.principal(token)
        except InvalidToken:
            return False
        return principal.audience in INFERENCE and principal.expires_s > self._clock.now()

    def bearer_for(self, request: Request, audiences: Collection[str]) -> Principal:
        """The principal of a request with a token for one of ``audiences``; ``InvalidToken`` when it has none."""
        principal = self.principal(_bearer(request.headers.get(b"authorization")))
        if principal.audience not in audiences or principal.expires_s <= self._clock.now():
            raise InvalidToken
        request.auth = "entra"
        return principal

    def authorize_management(self, request: Request) -> Principal:
        """The principal of a control plane request; ``AzureError`` 401 in Azure Resource Manager's words."""
        bearer = _bearer(request.headers.get(b"authorization"))
        if not bearer:
            raise _challenge("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
        try:
            principal = self.principal(bearer)
        except InvalidToken:
            raise _challenge("InvalidAuthenticationToken", "The access token is invalid.") from None
        self._check_management(principal)
        request.auth = "entra"
        return principal

    def _check_management(self, principal: Principal) -> None:
        now = self._clock.now()
        if principal.audience not in MANAGEMENT:
            allowed = ",".join(f"'{audience}'" for audience in MANAGEMENT)
            raise _challenge(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{principal.audience}'. "
                f"It should exactly match with one of the allowed audiences {allowed}.",
            )
        if principal.expires_s <= now:
            raise _challenge(
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{iso(principal.expires_s)}' is earlier than "
                f"current UTC time '{iso(now)}'.",
            )


async def answer(identity: Identity, request: Request) -> Reply:
    """The managed-identity endpoints: ``/msi/token`` (App Service) and ``/metadata/identity/oauth2/token`` (virtual
    machines, IMDS). Both give a token for ``resource``.

    Microsoft Learn, app-service/overview-managed-identity ("Using the REST protocol", api-version 2019-08-01) and
    managed-identities-azure-resources/how-to-use-vm-token ("Get a token using HTTP"), read 2026-11-22.
    """
    request.operation = "token"
    if request.method != "GET":
        raise AzureError(405, "invalid_request", f"Method {request.method} is not allowed; use GET.")
    if request.path.startswith("/msi/"):
        _check_app_service(identity, request)
    else:
        _check_imds(identity, request)
    resource = request.query.get("resource", "").removesuffix("/.default")
    if resource.rstrip("/") not in _RESOURCES:
        raise _unknown_resource(resource)
    return json_reply(identity.issue(resource))


def _check_app_service(identity: Identity, request: Request) -> None:
    sent = request.headers.get(b"x-identity-header", b"")
    if not hmac.compare_digest(sent, identity.header_secret.encode()):
        raise AzureError(401, "unauthorized", "The header X-IDENTITY-HEADER is missing or wrong; send IDENTITY_HEADER.")


def _check_imds(identity: Identity, request: Request) -> None:
    if not identity.has_imds:
        raise AzureError(
            403, "forbidden", "This server is shared by a class; sign in with IDENTITY_ENDPOINT and IDENTITY_HEADER."
        )
    # A web page can make a browser call this address; it cannot make it send these two.
    host = request.text(b"host").rsplit(":", 1)[0]
    if request.text(b"metadata").lower() != "true" or host not in ("127.0.0.1", "localhost"):
        raise AzureError(400, "invalid_request", "Required metadata header not specified")


def _unknown_resource(resource: str) -> AzureError:
    if not resource:
        return AzureError(400, "invalid_request", "The query parameter resource is missing.")
    known = ", ".join(sorted(_RESOURCES))
    return AzureError(
        400,
        "invalid_resource",
        f"AADSTS500011: The resource principal named {resource} was not found in the tenant. Known here: {known}.",
    )


def _bearer(header: bytes | None) -> str:
    if header is None or header[:7].lower() != b"bearer ":
        return ""
    return header[7:].strip().decode("latin-1")


@lru_cache
def _accepted(keys: tuple[str, str]) -> frozenset[bytes]:
    """The keys as they come in headers. Hashes of bytes are salted, so looking one up tells nothing by its time."""
    return frozenset(key.encode() for key in keys)


def _wrong_key() -> AzureError:
    # SciSharp/BotSharp#386 (2024-04), microsoft/semantic-kernel#10337 (2025-01).
    return AzureError(
        401,
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource.",
    )


def _unauthorized() -> AzureError:
    # Azure-Samples/azure-search-openai-demo#2219 (2024-12): the gateway's shape, not the service's.
    return AzureError(
        401,
        "Unauthorized",
        "Unauthorized. Access token is missing, invalid, audience is incorrect "
        "(https://cognitiveservices.azure.com), or have expired.",
        gateway=True,
    )


def _key_disabled() -> AzureError:
    # microsoft/sample-app-aoai-chatGPT#1000 (2024-07).
    return AzureError(403, "AuthenticationTypeDisabled", "Key based authentication is disabled for this resource.")


def _challenge(code: str, message: str) -> AzureError:
    # Audience and expiry: Azure-Samples/active-directory-dotnetcore-daemon-v2#145 (2022-11).
    challenge = f'Bearer authorization_uri="https://login.windows.net/{TENANT_ID}", error="invalid_token"'
    return AzureError(401, code, message, headers=((b"www-authenticate", challenge.encode()),))


def error_body(error: AzureError) -> bytes:
    """A refusal in the shapes of both managed-identity endpoints: OAuth 2.0's names, and those of App Service.

    msal 1.39.0, which the Azure CLI signs in with, shows statusCode and message (managed_identity.py, read 2026-11-25).
    """
    oauth = {"error": error.code, "error_description": error.message}
    return orjson.dumps({**oauth, "statusCode": error.status, "message": error.message})
