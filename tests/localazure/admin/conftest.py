"""Callers of the local Azure's own API, each with its key."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.localazure.conftest import Answer, Caller


@pytest.fixture
def admin(call: Caller) -> Callable[..., Answer]:
    """Calls with the admin secret."""
    return _caller(call, call.azure.admin_secret)


@pytest.fixture
def lab(call: Caller) -> Callable[..., Answer]:
    """Calls with the lab key, as a notebook does."""
    return _caller(call, call.azure.lab_key)


def _caller(call: Caller, key: str) -> Callable[..., Answer]:
    def request(method: str, path: str, document: object = None, **query: Any) -> Answer:
        return call(method, f"/labkit/{path}", document, headers={"x-labkit-key": key}, **query)

    return request
