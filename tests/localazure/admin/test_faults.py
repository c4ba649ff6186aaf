"""Faults through the local Azure's own API: set, scripted, seen and cleared, each key its own."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.localazure.clock import ManualClock
from labkit.localazure.faults import Fault
from labkit.localazure.state import Azure
from tests.localazure.asking import BIG, Asker
from tests.localazure.conftest import Answer, Caller


def test_faults_are_set_seen_and_cleared_by_their_owner(
    call: Caller, admin: Callable[..., Answer], lab: Callable[..., Answer]
) -> None:
    """A student sees and clears the student's own; the admin all."""
    hidden = admin("POST", "faults", {"deployment": "big", "kind": "drop", "times": 3})
    own = lab("POST", "faults", {"status": 503, "retry_after_s": 2, "contains": "hello"})
    assert (hidden.status, hidden.json["by"], own.json["by"]) == (201, "admin", "lab")
    assert [fault["id"] for fault in lab("GET", "faults").json["faults"]] == [own.json["id"]]
    assert len(admin("GET", "faults").json["faults"]) == 2
    assert lab("DELETE", "faults").json == {"removed": 1}
    assert admin("GET", "faults").json["faults"][0]["times_left"] == 3
    assert admin("DELETE", "faults").json == {"removed": 1}
    assert call.azure.faults.take("big") == ()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "explode"}, "one of status, slow, first_byte"),
        ({"times": 0}, "whole number"),
        ({"status": 200}, "400 to 599"),
        ({"by": "admin"}, "A fault has no by"),
        ({"id": "f1"}, "It has: deployment, kind"),
        ({"deploymnet": "big"}, "A fault has no deploymnet"),
        ([], "JSON object"),
    ],
)
def test_impossible_faults_are_refused(lab: Callable[..., Answer], fault: object, said: str) -> None:
    """A mistyped field is not ignored, and nobody can pass for the admin."""
    answer = lab("POST", "faults", fault)
    assert answer.error == (400, "BadRequest")
    assert said in answer.json["error"]["message"]


def test_one_fault_is_seen_and_cleared_by_its_id(admin: Callable[..., Answer], lab: Callable[..., Answer]) -> None:
    """The lab key finds only its own; what is over or never was is 404 for both."""
    hidden = admin("POST", "faults", {"status": 503, "for_s": 60}).json["id"]
    own = lab("POST", "faults", {"kind": "cut"}).json["id"]
    assert lab("GET", f"faults/{own}").json["kind"] == "cut"
    assert admin("GET", f"faults/{hidden}").json["ends_in_s"] == 60
    for method in ("GET", "DELETE"):
        assert lab(method, f"faults/{hidden}").error == (404, "NotFound")
        assert admin(method, "faults/f99").error == (404, "NotFound")
    assert admin("DELETE", f"faults/{own}").json == {"removed": 1}
    assert admin("DELETE", f"faults/{own}").error == (404, "NotFound")
    assert [fault["id"] for fault in admin("GET", "faults").json["faults"]] == [hidden]


def test_script_breaks_the_service_on_time(
    ask: Asker, clock: ManualClock, admin: Callable[..., Answer], lab: Callable[..., Answer]
) -> None:
    """Its times count from its loading; the lab key does not see the teacher's."""
    events = [
        {"at_s": 600, "fault": {"deployment": BIG, "status": 503, "for_s": 120}},
        {"at_s": 900, "fault": {"share": 1}},
        {"at_s": 960, "clear": True},
    ]
    loaded = admin("POST", "faults/script", {"events": events})
    assert (loaded.status, [fault["id"] for fault in loaded.json["faults"]]) == (201, ["f1", "f2"])
    assert lab("GET", "faults").json == {"faults": []}
    seen = []
    for step_s in (0, 600, 119, 1, 180, 59, 1):
        clock.advance(step_s)
        seen.append((ask.chat().status, ask.azure.journal.after()[-1].fault))
    assert seen == [(200, None), (503, "f1"), (503, "f1"), (200, None), (429, "f2"), (429, "f2"), (200, None)]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "list of 1 to 1000 events"),
        ({"events": {}}, "list of 1 to 1000 events"),
        ({"events": [{"at_s": 0, "fault": {"kind": "explode"}}]}, "Event 1 of the script cannot be. A fault's kind"),
        ({"event": []}, "A script has no event. It has: events."),
        ([], "A script is a JSON object."),
    ],
)
def test_impossible_scripts_are_refused(lab: Callable[..., Answer], document: object, said: str) -> None:
    """With the event that is wrong, and nothing of it set."""
    answer = lab("POST", "faults/script", document)
    assert answer.error == (400, "BadRequest")
    assert said in answer.json["error"]["message"]
    assert lab("GET", "faults").json == {"faults": []}


def test_full_queue_is_said(lab: Callable[..., Answer], admin: Callable[..., Answer]) -> None:
    """The lab key's loop ends at a thousand; the teacher's faults still find room."""
    events = [{"at_s": 0, "fault": {}}] * 600
    assert lab("POST", "faults/script", {"events": events}).status == 201
    assert "clear some first" in lab("POST", "faults/script", {"events": events}).json["error"]["message"]
    assert admin("POST", "faults", {}).status == 201


def test_large_bodies_are_refused(call: Caller) -> None:
    """A fault is small."""
    answer = call("POST", "/labkit/faults", body=b" " * 70_000, headers={"x-labkit-key": call.azure.lab_key})
    assert answer.error == (413, "RequestContentTooLarge")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
_FAULTS = st.dictionaries(st.sampled_from([*(field.name for field in fields(Fault)), "other"]), _JSON, max_size=6)
_EVENTS = st.fixed_dictionaries({"at_s": _JSON}, optional={"fault": _FAULTS, "clear": _JSON})


@settings(max_examples=150)
@given(fault=_FAULTS, events=st.lists(_EVENTS | _JSON, max_size=3) | _JSON)
def test_nothing_breaks_the_faults_themselves(fault: Any, events: Any) -> None:
    """Whatever is sent is set or refused with a reason, and calls go on being answered."""
    ask = Asker(Caller(Azure(ManualClock())))
    key = {"x-labkit-key": ask.azure.lab_key}
    for path, document in (("faults", fault), ("faults/script", {"events": events})):
        answer = ask.call("POST", f"/labkit/{path}", document, headers=key)
        assert answer.status in (201, 400), answer.body
    assert ask.call("GET", "/labkit/faults", headers=key).status == 200
    ask.call("DELETE", "/labkit/faults", headers=key)
    assert ask.chat().status == 200
