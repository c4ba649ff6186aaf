"""One door to Azure, local or real: ``connect()`` at the top of a notebook says where its calls go."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import urlsplit

from labkit import __version__, launch, settings
from labkit.errors import NoConnectionError, VersionMismatchError

_DEFAULT_SEED = 13
# Simulated seconds pass fifty times as fast as real ones: a call still feels like a call, a notebook takes seconds.
_DEFAULT_LATENCY_SCALE = 0.02
_ANSWER_TIMEOUT_S = 5.0
# Where a real account's endpoint tells its name. Microsoft Learn, "Custom subdomain names", read 2026-11-22.
_ACCOUNT_DOMAINS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, repr=False)
class Connection:
    """Which account the calls go to. It holds no key and no token."""

    endpoint: str
    management_url: str
    subscription_id: str
    resource_group: str
    account: str
    is_local: bool
    known_location: str | None = None

    def __repr__(self) -> str:
        """One line: where you are, and whether it costs money."""
        where = f"(account {self.account} in {self.resource_group})"
        if not self.is_local:
            return f"Real Azure {where}: calls cost money"
        host = urlsplit(self.endpoint).hostname
        machine = "this machine" if host in _LOOPBACK else f"the class server {host}"
        return f"Local Azure {where}: runs on {machine}, costs nothing"

    @property
    def resource_group_id(self) -> str:
        """The resource group's id: the scope of a budget, for example."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"

    @property
    def account_id(self) -> str:
        """The account's resource id: what an alert watches, for example."""
        return f"{self.resource_group_id}/providers/Microsoft.CognitiveServices/accounts/{self.account}"

    @property
    def console_url(self) -> str:
        """The page to look at in a browser: the local Azure's own, or the account's in the Azure portal."""
        if self.is_local:
            return f"{self.management_url}/"
        return f"https://portal.azure.com/#resource{self.account_id}"

    @cached_property
    def location(self) -> str:
        """The account's region; on real Azure the control plane is asked, once."""
        if self.known_location is not None:
            return self.known_location
        from labkit import clients

        account = clients.cognitive_services(self).accounts.get(self.resource_group, self.account)
        return account.location or ""


_current: Connection | None = None
_child: launch.Child | None = None


def connect(*, seed: int | None = None) -> Connection:
    """The connection that everything in labkit uses from now on.

    1. ``LABKIT_AZURE_URL`` set: attaches to the local Azure there (a grader's or a class server's).
    2. ``AZURE_OPENAI_ENDPOINT`` set: real Azure, where calls cost money. It also takes ``AZURE_SUBSCRIPTION_ID``,
       ``AZURE_RESOURCE_GROUP`` and, when the endpoint does not tell it, ``AZURE_OPENAI_ACCOUNT``.
    3. Otherwise a local Azure is started, or the one started before is used again. It ends with this process.
       ``seed`` (else ``LABKIT_SEED``, else 13) decides its simulated answers; another seed starts it anew, empty.

    For a local Azure this sets environment variables (``LABKIT_*``, ``IDENTITY_*``, ``AZURE_TOKEN_CREDENTIALS``,
    ``NO_PROXY``), so that ``DefaultAzureCredential`` and every process started from here find it. For real Azure it
    sets none, and takes those back.

    ``NoConnectionError`` when nothing answers or a setting is missing, ``VersionMismatchError`` when the local Azure
    belongs to another release.
    """
    global _current
    url = os.environ.get("LABKIT_AZURE_URL")
    # A URL that an earlier connect() put there is no wish of the user's.
    if url and not (_child and url == _child.url):
        _current = _attach(url)
    elif os.environ.get("AZURE_OPENAI_ENDPOINT"):
        _stop_child()
        _current = _real(os.environ["AZURE_OPENAI_ENDPOINT"])
    else:
        _current = _start(seed)
    return _current


def current() -> Connection:
    """The last connection made; ``NoConnectionError`` when there is none yet."""
    if _current is None:
        raise NoConnectionError("Not connected yet. Run `azure = labkit.connect()` first: it opens every notebook.")
    return _current


def disconnect() -> None:
    """Forgets the connection, closes its clients, ends a local Azure of ours and gives the environment back."""
    global _current
    from labkit import clients

    clients.close()
    _current = None
    _stop_child()


def _start(seed: int | None) -> Connection:
    global _child
    if _child and not (_child.is_running and seed in (None, _child.seed)):
        _stop_child()
    if _child is None:
        scale = settings.number("LABKIT_LATENCY_SCALE", _DEFAULT_LATENCY_SCALE)
        wanted = settings.number("LABKIT_SEED", _DEFAULT_SEED) if seed is None else seed
        _child = launch.start(seed=wanted, latency_scale=scale)
    settings.set_all(_child.environment)
    return _attach(_child.url)


def _stop_child() -> None:
    global _child
    if _child is not None:
        _child.stop()
        _child = None
    settings.take_back()


def _attach(url: str) -> Connection:
    url = url.rstrip("/")
    about = _about(url)
    _require_identity(url)
    settings.set_all(
        {
            **settings.without_proxy(urlsplit(url).hostname or ""),
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }
    )
    return Connection(
        endpoint=f"{url}/",
        management_url=url,
        subscription_id=about["subscription_id"],
        resource_group=about["resource_group"],
        account=about["account"],
        is_local=True,
        known_location=about["location"],
    )


def _about(url: str) -> dict[str, Any]:
    """What the local Azure at ``url`` says of itself; it is of the same release as this package."""
    # Straight there: a proxy cannot reach this machine's loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/labkit", timeout=_ANSWER_TIMEOUT_S) as reply:
            about = json.load(reply)
    except urllib.error.HTTPError as error:
        error.close()
        _nothing_there(url, f"something else answers there ({error.code})")
    except (OSError, ValueError) as error:
        _nothing_there(url, str(getattr(error, "reason", error)))
    if isinstance(about, dict) and "students" in about:
        _nothing_there(url, "that is the server of a class, where your address ends in /class/ and your name")
    if not isinstance(about, dict) or not {"version", "subscription_id"} <= about.keys():
        _nothing_there(url, "something else answers there")
    if about["version"] != __version__:
        raise VersionMismatchError(
            f"The local Azure at {url} belongs to labkit {about['version']}, this Python imports labkit {__version__}. "
            f"Start it again from this installation (`make lab`), or install labkit {about['version']} here."
        )
    return about


def _nothing_there(url: str, reason: str) -> NoReturn:
    raise NoConnectionError(
        f"No local Azure at {url}, which LABKIT_AZURE_URL names: {reason}. "
        "Start one with `make lab`, or unset LABKIT_AZURE_URL and one is started for you."
    )


def _require_identity(url: str) -> None:
    """Raises unless the environment holds the identity of the local Azure at ``url``, and of no other service.

    A real managed identity's token must not be sent there, least of all over plain http.
    """
    if missing := settings.missing("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        problem = f"{missing} not set, so nobody could sign in there"
    elif not os.environ["IDENTITY_ENDPOINT"].startswith(f"{url}/"):
        problem = "IDENTITY_ENDPOINT belongs to another service"
    else:
        return
    raise NoConnectionError(
        f"LABKIT_AZURE_URL names the local Azure at {url}, but {problem}. "
        "Set all the variables it was started with, or unset LABKIT_AZURE_URL and one is started for you."
    )


def _real(endpoint: str) -> Connection:
    address = urlsplit(endpoint)
    if address.scheme != "https" or not address.hostname:
        raise NoConnectionError(
            f"AZURE_OPENAI_ENDPOINT is {endpoint!r}, which is no address such as https://NAME.openai.azure.com/. "
            'Copy it from the page "Keys and Endpoint" of the resource, or unset it to use the local Azure.'
        )
    account = os.environ.get("AZURE_OPENAI_ACCOUNT") or _account_of(address.hostname)
    needed = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", *(() if account else ("AZURE_OPENAI_ACCOUNT",)))
    if missing := settings.missing(*needed):
        raise NoConnectionError(
            f"AZURE_OPENAI_ENDPOINT chooses real Azure, but {missing} not set. The resource's Overview page in "
            "portal.azure.com shows them (or `az cognitiveservices account list`). "
            "Set them, or unset AZURE_OPENAI_ENDPOINT to use the local Azure."
        )
    return Connection(
        endpoint=endpoint.rstrip("/") + "/",
        management_url="https://management.azure.com",
        subscription_id=os.environ["AZURE_SUBSCRIPTION_ID"],
        resource_group=os.environ["AZURE_RESOURCE_GROUP"],
        account=account,
        is_local=False,
    )


def _account_of(host: str) -> str:
    """The account's name as the endpoint tells it; an empty text for a regional endpoint, which does not."""
    for domain in _ACCOUNT_DOMAINS:
        if host.endswith(domain):
            return host.removesuffix(domain)
    return ""
