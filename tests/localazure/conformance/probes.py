"""Small requests that can be sent to a real account and to the local Azure alike, to compare what comes back."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.localazure.asking import RESPONSES_VERSION
from tests.localazure.conftest import Answer, Caller

_TIMEOUT_S = 60


@dataclass(frozen=True)
class Probe:
    """A request. ``{deployment}``, ``{embedding}`` and ``{response}`` in it are filled in; ``keyless`` sends no key."""

    name: str
    method: str
    path: str
    document: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    keyless: bool = False


# Answers a probe: a real account over https, or the local Azure.
Send = Callable[[str, str, bytes, Mapping[str, str]], Answer]

_DATED = f"?api-version={RESPONSES_VERSION}"
_CHAT = "/openai/deployments/{deployment}/chat/completions" + _DATED
_HELLO = [{"role": "user", "content": "Answer with the word hello."}]
_WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
_RESPONSE = {"model": "{deployment}", "input": "Answer with the word hello.", "max_output_tokens": 1_000}

PROBES = (
    Probe("chat", "POST", _CHAT, {"messages": _HELLO, "max_completion_tokens": 1_000}),
    Probe("chat on v1", "POST", "/openai/v1/chat/completions", {"model": "{deployment}", "messages": _HELLO}),
    Probe("chat stream", "POST", _CHAT, {"messages": _HELLO, **_STREAMED}),
    Probe(
        "chat with a tool",
        "POST",
        _CHAT,
        {
            "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
            "tools": [{"type": "function", "function": _WEATHER}],
            "tool_choice": "required",
        },
    ),
    Probe("no messages", "POST", _CHAT, {}),
    Probe("impossible temperature", "POST", _CHAT, {"messages": _HELLO, "temperature": 9}),
    Probe("unknown parameter", "POST", _CHAT, {"messages": _HELLO, "engine": "x"}),
    Probe("unknown deployment", "POST", _CHAT.replace("{deployment}", "no-such-deployment"), {"messages": _HELLO}),
    Probe("no api-version", "POST", _CHAT.replace(_DATED, ""), {"messages": _HELLO}),
    Probe("wrong key", "POST", _CHAT, {"messages": _HELLO}, {"api-key": "0" * 32}, keyless=True),
    Probe("no key", "POST", _CHAT, {"messages": _HELLO}, keyless=True),
    Probe("embeddings", "POST", "/openai/deployments/{embedding}/embeddings" + _DATED, {"input": ["hello", "world"]}),
    Probe("chat on an embedding model", "POST", _CHAT.replace("{deployment}", "{embedding}"), {"messages": _HELLO}),
    Probe("response", "POST", "/openai/v1/responses", _RESPONSE),
    Probe("response again", "GET", "/openai/v1/responses/{response}"),
    Probe("input of the response", "GET", "/openai/v1/responses/{response}/input_items"),
    Probe("end of the response", "DELETE", "/openai/v1/responses/{response}"),
    Probe("response that is gone", "GET", "/openai/v1/responses/{response}"),
    Probe("response stream", "POST", "/openai/responses" + _DATED, {**_RESPONSE, "stream": True}),
    Probe(
        "response with a tool",
        "POST",
        "/openai/v1/responses",
        {**_RESPONSE, "tools": [{"type": "function", **_WEATHER}], "tool_choice": "required"},
    ),
    Probe("unknown previous response", "POST", "/openai/v1/responses", {**_RESPONSE, "previous_response_id": "resp_x"}),
    Probe("models", "GET", "/openai/models" + _DATED),
)


def answers(send: Send, key: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Answer]:
    """What ``send`` answers to each probe, by its name. A probe for which a name is missing is left out."""
    names = dict(names)
    found: dict[str, Answer] = {}
    for probe in PROBES:
        stated = json.dumps([probe.path, probe.document])
        for name, value in names.items():
            stated = stated.replace(f"{{{name}}}", value)
        if "{embedding}" in stated or "{response}" in stated:
            continue
        path, document = json.loads(stated)
        body = b"" if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json", **probe.headers, **({} if probe.keyless else key)}
        answer = found[probe.name] = send(probe.method, path, body, headers)
        if probe.name == "response" and answer.status == 200:
            names["response"] = answer.json["id"]
    return found


def over_http(endpoint: str) -> Send:
    """Sends to the account at ``endpoint``."""

    def send(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(
            endpoint.rstrip("/") + path, data=body or None, headers=dict(headers), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
                return Answer(reply.status, dict(reply.headers), reply.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, dict(refused.headers), refused.read())

    return send


def to_local(call: Caller) -> Send:
    """Sends to the local Azure, without a server in between."""
    return lambda method, path, body, headers: call(method, path, body=body, headers=headers)
