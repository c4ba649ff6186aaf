"""The journal: every request is in it, in order, bounded, and without secrets."""

import json

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.journal import Entry, Journal

from .conftest import Caller, deployment


def entry(**changes: object) -> Entry:
    """One entry."""
    base = {
        "at_s": 0.0,
        "face": "inference",
        "method": "POST",
        "path": "/",
        "operation": "chat.completions",
        "status": 200,
    }
    return Entry(**{**base, **changes})  # type: ignore[arg-type]


def test_entries_are_numbered_in_order() -> None:
    """Ids start at 1 and go on counting after a clear."""
    journal = Journal()
    assert [journal.add(entry()).id for _ in range(3)] == [1, 2, 3]
    journal.clear()
    assert (len(journal), journal.dropped, journal.last_id, journal.add(entry()).id) == (0, 3, 3, 4)


def test_journal_is_bounded() -> None:
    """The oldest entries go first, and how many is known."""
    journal = Journal(capacity=2)
    for number in range(5):
        journal.add(entry(deployment=str(number)))
    assert [kept.deployment for kept in journal] == ["3", "4"]
    assert (len(journal), journal.dropped) == (2, 3)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, [1, 2, 3]),
        ({"id": 1}, [2, 3]),
        ({"operation": "embeddings"}, [2]),
        ({"deployment": "big"}, [1, 3]),
        ({"face": "management"}, [3]),
        ({"deployment": "big", "id": 1}, [3]),
    ],
)
def test_journal_can_be_filtered(filters: dict[str, object], ids: list[int]) -> None:
    """By what came after an entry, by operation, deployment and face."""
    journal = Journal()
    journal.add(entry(deployment="big"))
    journal.add(entry(operation="embeddings", deployment="vectors"))
    journal.add(entry(face="management", deployment="big"))
    assert [found.id for found in journal.after(**filters)] == ids  # type: ignore[arg-type]


def test_entry_is_plain_data_with_its_id_first() -> None:
    """As JSON it starts with the id and has every field."""
    data = Journal().add(entry(params={"temperature": 0})).as_dict()
    assert next(iter(data)) == "id"
    assert data.keys() == set(Entry.__slots__)
    assert json.loads(json.dumps(data)) == data


def test_every_face_leaves_an_entry(call: Caller, clock: ManualClock) -> None:
    """Identity, control plane and ingestion, the refused ones too; the local Azure's own API does not."""
    secret = call.azure.identity.header_secret
    token = call(
        "GET", "/msi/token", headers={"X-IDENTITY-HEADER": secret}, resource="https://management.azure.com"
    ).json["access_token"]
    group = "/subscriptions/00000000-0000-4000-8000-000000000013/resourceGroups/rg-session13/providers"
    path = f"{group}/Microsoft.CognitiveServices/accounts/aoai-session13/deployments/big"
    headers = {"Authorization": f"Bearer {token}", "x-ms-client-request-id": "mine", "User-Agent": "test"}
    clock.advance(5)
    call("PUT", path, deployment(), headers=headers, **{"api-version": "2025-09-01"})
    call("PUT", path, deployment("gpt-9"), headers=headers, **{"api-version": "2025-09-01"})
    call("GET", path)
    track = call("POST", "/v2.1/track", [])
    assert len(track.headers["x-ms-request-id"]) == 36
    call("GET", "/labkit")
    call("GET", "/labkit/journal", headers={"x-labkit-key": call.azure.lab_key})
    entries = list(call.azure.journal)
    assert [(e.face, e.operation, e.status, e.error_code) for e in entries] == [
        ("identity", "token", 200, None),
        ("management", "deployments.write", 201, None),
        ("management", "deployments.write", 400, "DeploymentModelNotSupported"),
        ("management", "deployments.read", 401, "AuthenticationFailed"),
        ("telemetry", "track", 200, None),
    ]
    write = entries[1]
    assert (write.deployment, write.model, write.auth, write.at_s) == ("big", "gpt-4-turbo", "entra", clock.now())
    assert (write.client_request_id, write.user_agent, write.path) == ("mine", "test", path)
    assert [e.auth for e in entries] == ["none", "entra", "entra", "none", "none"]


def test_journal_holds_no_secret(call: Caller) -> None:
    """Neither what was sent to prove something nor what was given out."""
    secret = call.azure.identity.header_secret
    token = call(
        "GET", "/msi/token", headers={"X-IDENTITY-HEADER": secret}, resource="https://management.azure.com"
    ).json["access_token"]
    accounts = (
        "/subscriptions/00000000-0000-4000-8000-000000000013/resourceGroups/rg-session13/providers/"
        "Microsoft.CognitiveServices/accounts"
    )
    keys = call(
        "POST",
        f"{accounts}/aoai-session13/listKeys?api-version=2025-09-01",
        headers={"Authorization": f"Bearer {token}"},
    ).json
    written = json.dumps([e.as_dict() for e in call.azure.journal])
    for hidden in (secret, token, keys["key1"], keys["key2"], call.azure.admin_secret, call.azure.lab_key):
        assert hidden not in written
