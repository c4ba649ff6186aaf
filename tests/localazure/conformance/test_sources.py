"""Every row names its source, and no two rows of a table are the same."""

from collections import Counter

import pytest

from tests.localazure.conformance import (
    test_callers,
    test_chat,
    test_identity,
    test_management,
    test_monitoring,
    test_responses,
    test_telemetry,
    test_throttling,
)
from tests.localazure.conformance.cases import SOURCE, Case

FACES = (
    *(test_callers, test_chat, test_throttling, test_responses),
    *(test_identity, test_management, test_telemetry, test_monitoring),
)
CASES = [pytest.param(case, id=case.name) for face in FACES for case in face.CASES]


@pytest.mark.parametrize("case", CASES)
def test_row_has_a_source(case: Case) -> None:
    """With a date, or with the word that it is ours and why."""
    assert SOURCE.fullmatch(case.source), f"{case.name!r}: {case.source!r} is no source; see cases.SOURCE for the forms"


@pytest.mark.parametrize("source", ["", "GitHub", "a/b#1", "a/b#1 (May 2025)", "Microsoft Learn, how-to/x", "ours"])
def test_source_that_says_nothing_is_refused(source: str) -> None:
    """An address without a date, a page without the day it was read, a choice without a reason."""
    assert not SOURCE.fullmatch(source)


def test_rows_are_told_apart_by_their_names() -> None:
    """In each table."""
    for face in FACES:
        names = Counter(case.name for case in face.CASES)
        assert names.most_common(1)[0][1] == 1, names.most_common(1)
