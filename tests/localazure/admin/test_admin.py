"""The local Azure's own API: who may do what, and what comes back."""

from collections.abc import Callable

import pytest

from labkit.localazure.journal import Entry
from tests.localazure.conftest import Answer, Caller
from tests.localazure.telemetry.sending import send_calls

ROUTES = [
    ("GET", "/labkit/journal"),
    ("DELETE", "/labkit/journal"),
    ("GET", "/labkit/faults"),
    ("POST", "/labkit/faults"),
    ("DELETE", "/labkit/faults"),
    ("POST", "/labkit/faults/script"),
    ("GET", "/labkit/faults/f1"),
    ("DELETE", "/labkit/faults/f1"),
    ("GET", "/labkit/clock"),
    ("POST", "/labkit/clock"),
    ("GET", "/labkit/telemetry"),
    ("GET", "/labkit/telemetry/dependencies"),
    ("POST", "/labkit/query"),
    ("GET", "/labkit/nothing"),
    ("POST", "/labkit"),
    ("GET", "/labkit/"),
]


def test_description_is_open(call: Caller) -> None:
    """Who attaches can see what it is, its release and its fixed names, and no secret."""
    answer = call("GET", "/labkit")
    assert answer.status == 200
    assert answer.json["service"] == "labkit local Azure"
    assert (answer.json["resource_group"], answer.json["account"]) == ("rg-session13", "aoai-session13")
    assert answer.json["version"][0].isdigit()
    for secret in (call.azure.admin_secret, call.azure.lab_key, call.azure.identity.header_secret):
        assert secret.encode() not in answer.body


@pytest.mark.parametrize(("method", "path"), ROUTES[:-1])
def test_every_route_needs_a_key(call: Caller, method: str, path: str) -> None:
    """401 without one, 403 with a wrong one; neither says whether the path exists."""
    assert call(method, path, {}).error == (401, "KeyMissing")
    for wrong in ("wrong", call.azure.identity.header_secret, call.azure.admin_secret[:-1]):
        assert call(method, path, {}, headers={"x-labkit-key": wrong}).error == (403, "KeyWrong")


def test_lab_key_may_not_clear_the_journal(
    call: Caller, admin: Callable[..., Answer], lab: Callable[..., Answer]
) -> None:
    """It is the evidence; only the admin secret removes it."""
    call.azure.journal.add(Entry(0.0, "inference", "POST", "/", "chat.completions", 200))
    assert lab("DELETE", "journal").error == (403, "AdminOnly")
    assert len(call.azure.journal) == 1
    assert admin("DELETE", "journal").json == {"last_id": 1}
    assert len(call.azure.journal) == 0


def test_journal_is_read_on_from_an_entry(call: Caller, lab: Callable[..., Answer]) -> None:
    """After an id, by operation and deployment, and not more than asked for."""
    for number in range(5):
        operation = "embeddings" if number % 2 else "chat.completions"
        call.azure.journal.add(Entry(0.0, "inference", "POST", "/", operation, 200, deployment=f"d{number}"))
    everything = lab("GET", "journal").json
    assert ([e["id"] for e in everything["entries"]], everything["last_id"], everything["dropped"]) == (
        [1, 2, 3, 4, 5],
        5,
        0,
    )
    assert [e["id"] for e in lab("GET", "journal", after=3).json["entries"]] == [4, 5]
    assert [e["id"] for e in lab("GET", "journal", operation="embeddings", limit=1).json["entries"]] == [2]
    assert [e["id"] for e in lab("GET", "journal", deployment="d4").json["entries"]] == [5]
    assert lab("GET", "journal", limit=0).json["entries"] == []


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "9" * 20])
@pytest.mark.parametrize("name", ["after", "limit"])
def test_numbers_in_the_query_are_checked(lab: Callable[..., Answer], name: str, value: str) -> None:
    """With the name of the parameter in the answer."""
    answer = lab("GET", "journal", **{name: value})
    assert answer.status == 400
    assert name in answer.json["error"]["message"]


def test_telemetry_is_read_by_table(call: Caller, lab: Callable[..., Answer]) -> None:
    """An overview, one table, and only what is new."""
    call.azure.telemetry.allow("key", "app", "appi")
    for name in ("a", "b"):
        event = {
            "iKey": "key",
            "time": "2026-11-22T12:00:00Z",
            "data": {"baseType": "EventData", "baseData": {"name": name}},
        }
        call.azure.telemetry.add(event)
    assert lab("GET", "telemetry").json["tables"]["customEvents"] == 2
    page = lab("GET", "telemetry/customEvents", after=1).json
    assert ([row["name"] for row in page["rows"]], page["last"]) == (["b"], 2)
    unknown = lab("GET", "telemetry/secrets")
    assert unknown.status == 404
    assert "dependencies" in unknown.json["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("PUT", "journal"), ("PATCH", "faults"), ("POST", "telemetry/traces")])
def test_other_methods_are_not_allowed(admin: Callable[..., Answer], method: str, path: str) -> None:
    """405 in the same shape."""
    assert admin(method, path).error == (405, "MethodNotAllowed")


def test_unknown_paths_name_the_known_ones(admin: Callable[..., Answer]) -> None:
    """404 with what there is."""
    answer = admin("GET", "nothing")
    assert answer.error == (404, "NotFound")
    assert "journal, faults, faults/script, faults/{id}, telemetry" in answer.json["error"]["message"]


def test_telemetry_is_queried_in_kql(call: Caller, lab: Callable[..., Answer]) -> None:
    """Over every component, within a time span if there is one; mistakes come with their place."""
    send_calls(call.azure.telemetry, call.azure.clock.now())
    found = lab("POST", "query", {"kql": "requests | summarize n = count() | render card"}).json
    assert found == {
        "columns": [{"name": "n", "type": "long"}],
        "rows": [[6]],
        "is_partial": False,
        "render": found["render"],
    }
    assert found["render"]["visualization"] == "card"
    assert lab("POST", "query", {"kql": "requests | count", "timespan": "PT90S"}).json["rows"] == [[2]]
    wrong = lab("POST", "query", {"kql": "requests\n| wherex"})
    assert wrong.error == (400, "SyntaxError")
    assert [wrong.json["error"][name] for name in ("line", "position", "token")] == [2, 2, "wherex"]


@pytest.mark.parametrize("body", [{}, {"kql": 7}, {"kql": "print 1", "timespan": "soon"}, {"query": "print 1"}, []])
def test_queries_that_are_none(lab: Callable[..., Answer], body: object) -> None:
    """What is missing or mistyped is named."""
    assert lab("POST", "query", body).error == (400, "BadRequest")
