"""The local Azure's own API, under ``/labkit``: what a notebook asks with the lab key, a teacher with the secret."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from labkit.errors import InvalidRequestError, NoConnectionError

_TIMEOUT_S = 10.0


def ask(
    url: str,
    key: str,
    method: str,
    path: str,
    *,
    query: Mapping[str, object] | None = None,
    body: Mapping[str, object] | None = None,
    advice: str = "",
) -> Any:
    """What the local Azure at ``url`` answers to whom ``key`` belongs to; it is asked straight, past any proxy.

    ``InvalidRequestError`` in its words when it refuses; ``NoConnectionError`` with ``advice`` when it does not answer.
    """
    parameters = {name: value for name, value in (query or {}).items() if value is not None}
    request = urllib.request.Request(
        f"{url}/labkit/{path}?{urlencode(parameters)}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"x-labkit-key": key, "content-type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            raise InvalidRequestError(_message(error)) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise NoConnectionError(f"The local Azure does not answer ({reason}){advice}") from None
    except (ValueError, http.client.HTTPException):
        raise NoConnectionError(f"What answers there is not a local Azure{advice}") from None


def _message(error: urllib.error.HTTPError) -> str:
    try:
        message: str = json.load(error)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"The local Azure refuses this ({error.code})."
    return message
