"""Stored responses: who may ask for them again, how long they stay, and how many there can be."""

from typing import Any

import pytest

from labkit.localazure.inference.responses import store
from labkit.localazure.inference.responses.store import ResponseStore, Stored
from tests.localazure.asking import OMNI, RESPONSES_VERSION, Asker, account_of, error_of
from tests.localazure.pictures import png, url

DAY_S = 86_400


def said_in(ask: Asker, id: str, **query: object) -> list[str]:
    """The texts of a response's input items."""
    items = ask.stored(id, "/input_items", **query).json["data"]
    return [item["content"][0]["text"] for item in items]


def test_response_is_stored_unless_told_otherwise(ask: Asker) -> None:
    """What comes back later is what was answered; without ``store`` nothing does."""
    kept, gone = ask.respond().json, ask.respond(store=False).json
    assert (kept["store"], gone["store"]) == (True, False)
    assert ask.stored(kept["id"]).json == kept
    error = error_of(ask.stored(gone["id"]))
    assert (error["code"], error["type"]) == (None, "invalid_request_error")
    assert error["message"] == f"Response with id '{gone['id']}' not found."


def test_response_is_deleted_once(ask: Asker) -> None:
    """A second time it is not found, and neither are its items nor a conversation that goes on from it."""
    id = ask.respond().json["id"]
    assert ask.stored(id, method="DELETE").json == {"id": id, "object": "response", "deleted": True}
    assert ask.stored(id, method="DELETE").status == ask.stored(id, "/input_items").status == 404
    assert error_of(ask.respond(previous_response_id=id)) == {
        "message": f"Previous response with id '{id}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }


def test_conversation_goes_on(ask: Asker) -> None:
    """The model reads all that was said, but not the instructions of earlier responses."""
    first = ask.respond("My name is Ann.", instructions="Be brief.", temperature=0).json
    second = ask.respond("And my dog is Rex.", previous_response_id=first["id"], temperature=0).json
    third = ask.respond("Who am I?", previous_response_id=second["id"], temperature=0).json
    assert (third["previous_response_id"], third["instructions"]) == (second["id"], None)
    texts = [first["output"][0]["content"][0]["text"], second["output"][0]["content"][0]["text"]]
    said = ["My name is Ann.", texts[0], "And my dog is Rex.", texts[1], "Who am I?"]
    assert said_in(ask, third["id"], order="asc") == said
    roles = ["user", "assistant", "user", "assistant", "user"]
    ask.chat([{"role": role, "content": text} for role, text in zip(roles, said, strict=True)], OMNI)
    entries = ask.azure.journal.after(operation="responses")
    assert entries[-1].prompt_digest == ask.azure.journal.after(operation="chat.completions")[0].prompt_digest


def test_conversation_may_branch(ask: Asker) -> None:
    """Two responses go on from the same one without knowing each other."""
    first = ask.respond("one").json["id"]
    branches = [ask.respond(said, previous_response_id=first).json["id"] for said in ("two", "three")]
    assert [said_in(ask, id)[0] for id in branches] == ["two", "three"]
    assert len(said_in(ask, branches[1])) == 3


def test_input_items_come_in_pages(ask: Asker) -> None:
    """Newest first unless asked otherwise; a page says whether there is more."""
    given = [{"role": "user", "content": str(number)} for number in range(30)]
    id = ask.respond(given).json["id"]
    assert said_in(ask, id) == [str(number) for number in range(29, 9, -1)]
    page: dict[str, Any] = ask.stored(id, "/input_items", order="asc", limit=25).json
    assert (page["object"], page["has_more"], len(page["data"])) == ("list", True, 25)
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    rest: dict[str, Any] = ask.stored(id, "/input_items", order="asc", after=page["last_id"]).json
    assert ([item["content"][0]["text"] for item in rest["data"]][0], rest["has_more"]) == ("25", False)
    assert len({item["id"] for item in page["data"] + rest["data"]}) == 30


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ({"order": "up"}, "invalid_value", "order"),
        ({"limit": "0"}, "integer_below_min_value", "limit"),
        ({"limit": "101"}, "integer_above_max_value", "limit"),
        ({"limit": "many"}, "invalid_type", "limit"),
        ({"limit": "9" * 5_000}, "invalid_type", "limit"),
        ({"limit": "²"}, "invalid_type", "limit"),
        ({"after": "msg_x"}, "invalid_value", "after"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, dict) else None,
)
def test_pages_that_cannot_be(ask: Asker, query: dict[str, str], code: str, param: str) -> None:
    """The error names the query parameter."""
    id = ask.respond().json["id"]
    error = error_of(ask.stored(id, "/input_items", **query))
    assert (error["code"], error["param"]) == (code, param)


def test_only_background_responses_can_be_streamed_again(ask: Asker) -> None:
    """The others are read as they are."""
    id = ask.respond().json["id"]
    assert error_of(ask.stored(id, stream="true"))["param"] == "stream"
    assert ask.stored(id, stream="false").status == 200


def test_responses_belong_to_an_account(ask: Asker, arm: Any) -> None:
    """Another account does not see them; they go with their account."""
    id = ask.respond().json["id"]
    other = {"location": "swedencentral", "kind": "OpenAI", "sku": {"name": "S0"}, "properties": {}}
    assert arm("PUT", "Microsoft.CognitiveServices/accounts/other", other).status in (200, 201)
    (account,) = [each for each in ask.azure.resources.accounts() if each.name == "other"]
    path = f"/accounts/other/openai/v1/responses/{id}"
    assert ask.call("GET", path, headers={"api-key": account.keys[0]}).status == 404
    ask.azure.responses.clear(account_of(ask.azure).id)
    assert ask.stored(id).status == 404


def test_key_is_needed(ask: Asker) -> None:
    """Reading and deleting are for callers of the account only."""
    id = ask.respond().json["id"]
    for method in ("GET", "DELETE"):
        assert ask.call(method, f"/openai/v1/responses/{id}").status == 401
    assert ask.stored(id).status == 200


@pytest.mark.parametrize(
    ("version", "status"), [(RESPONSES_VERSION, 200), ("2025-03-01-preview", 200), ("2024-10-21", 400), (None, 404)]
)
def test_dated_surface_has_them_since_march_2025(ask: Asker, version: str | None, status: int) -> None:
    """An older version is told from when on; without any the path is not found."""
    id = ask.respond().json["id"]
    query = {} if version is None else {"api-version": version}
    assert ask.call("GET", f"/openai/responses/{id}", headers=ask.key, **query).status == status
    assert ask.post("responses", {"model": OMNI, "input": "x"}, version=version).status == status


def test_responses_stay_for_thirty_days(ask: Asker) -> None:
    """On the local Azure's clock."""
    id = ask.respond().json["id"]
    ask.azure.clock.advance(30 * DAY_S)  # type: ignore[attr-defined]
    assert ask.stored(id).status == 200
    ask.azure.clock.advance(1)  # type: ignore[attr-defined]
    assert ask.stored(id).status == 404
    assert ask.respond(previous_response_id=id).status == 400


def stored(number: int, size: int = 10, given: str = "x") -> Stored:
    """A response with a body of ``size`` bytes."""
    item = {"id": f"msg_{number}", "type": "message", "content": given}
    return Stored(f"resp_{number}", 0.0, b"x" * size, (store.turn([item], []),))


def test_newest_responses_are_kept() -> None:
    """A thousand of each account; the oldest make room, and their items go with them."""
    kept = ResponseStore()
    for number in range(1_100):
        kept.put("a", stored(number))
    kept.put("b", stored(0))
    assert [kept.get("a", f"resp_{number}", 1.0) is None for number in (0, 99, 100, 1_099)] == [
        True,
        True,
        False,
        False,
    ]
    assert kept.item("a", "msg_99") is None
    assert kept.item("a", "msg_100") is not None
    assert kept.get("b", "resp_0", 1.0) is not None


def test_account_takes_limited_space() -> None:
    """Eight megabytes, whatever the number of responses."""
    kept = ResponseStore()
    for number in range(20):
        kept.put("a", stored(number, size=2**20))
    assert sum(kept.get("a", f"resp_{number}", 1.0) is not None for number in range(20)) == 7
    assert kept.put("a", stored(20, size=5 * 2**20)) is False
    assert kept.get("a", "resp_19", 1.0) is not None


def test_conversation_too_large_to_keep_says_so(ask: Asker) -> None:
    """It is answered, and its body says that it is not stored."""
    picture = {"type": "input_image", "image_url": url(png(100, 100)) + "A" * 5_000_000}
    body = ask.respond([{"role": "user", "content": [picture]}]).json
    assert body["store"] is False
    assert ask.stored(body["id"]).status == 404
