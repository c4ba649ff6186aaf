"""Environment variables that are set for a while, and read with care."""

import os

import pytest

from labkit import settings


def test_what_was_set_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable gets its earlier value back, or disappears when it had none, however often it was set."""
    monkeypatch.setenv("LABKIT_SEED", "1")
    for value in ("2", "3"):
        settings.set_all({"LABKIT_SEED": value, "LABKIT_LAB_KEY": value})
    assert os.environ["LABKIT_LAB_KEY"] == "3"
    settings.take_back()
    assert os.environ["LABKIT_SEED"] == "1"
    assert "LABKIT_LAB_KEY" not in os.environ


def test_what_somebody_else_changed_since_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's last word counts."""
    monkeypatch.setenv("LABKIT_SEED", "1")
    settings.set_all({"LABKIT_SEED": "2"})
    os.environ["LABKIT_SEED"] = "9"
    settings.take_back()
    assert os.environ["LABKIT_SEED"] == "9"


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        pytest.param(None, None, "here", id="none"),
        pytest.param("a, b", None, "a,b,here", id="lower-case"),
        pytest.param(None, "a", "a,here", id="upper-case"),
        pytest.param("a,here", "b", "a,here", id="already-there"),
    ],
)
def test_no_proxy_keeps_what_was_exempt(
    monkeypatch: pytest.MonkeyPatch, lower: str | None, upper: str | None, expected: str
) -> None:
    """The host is added to the list that was there; both spellings say the same afterwards."""
    for name, value in (("no_proxy", lower), ("NO_PROXY", upper)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert settings.without_proxy("here") == {"NO_PROXY": expected, "no_proxy": expected}


def test_numbers_have_the_type_of_their_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable counts as not set."""
    monkeypatch.setenv("LABKIT_SEED", "")
    assert settings.number("LABKIT_SEED", 13) == 13
    monkeypatch.setenv("LABKIT_SEED", "7")
    assert settings.number("LABKIT_SEED", 13) == 7
    assert settings.number("LABKIT_SEED", 0.5) == 7.0
