"""Durations, times and intervals as the monitoring APIs write them."""

import pytest

from labkit.localazure.timespan import duration_s, interval_s, iso_duration, moment_s

NOW_S = 1_795_608_000.0  # 2026-11-25T12:00:00Z


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("PT1H", 3_600), ("PT5M", 300), ("P1D", 86_400), ("P1DT12H", 129_600), ("PT3600.0S", 3_600), ("P2W", 1_209_600)],
)
def test_durations_are_read(text: str, expected_s: float) -> None:
    """Weeks to seconds."""
    assert duration_s(text) == expected_s


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "PT1", "P1H", "PT-1H", "P999999D", "PT" + "9" * 200 + "S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nor one longer than a century."""
    with pytest.raises(ValueError, match=r"no ISO 8601 duration|longer than a century"):
        duration_s(text)


@pytest.mark.parametrize("text", ["PT1M", "PT15M", "PT1H", "P1D", "P7D", "PT30S"])
def test_durations_are_written_back(text: str) -> None:
    """The way they were read."""
    assert iso_duration(duration_s(text)) == text


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("PT1H", (NOW_S - 3_600, NOW_S)),
        ("2026-11-25T11:00:00Z/2026-11-25T11:30:00Z", (NOW_S - 3_600, NOW_S - 1_800)),
        ("2026-11-25T12:00:00+01:00/PT30M", (NOW_S - 3_600, NOW_S - 1_800)),
        ("PT30M/2026-11-25T11:30", (NOW_S - 3_600, NOW_S - 1_800)),
        ("0001-01-01/9999-12-31T23:59:59Z", (0.0, 253_402_300_799.0)),
    ],
)
def test_intervals_are_read(text: str, expected_s: tuple[float, float]) -> None:
    """A duration ends now; the rest is as it stands."""
    assert interval_s(text, NOW_S) == expected_s


@pytest.mark.parametrize("text", ["", "/", "PT1H/", "yesterday/PT1H", "PT1H/PT1H", "2026-11-25/2026-11-24", "x" * 500])
def test_what_is_no_interval_is_refused(text: str) -> None:
    """With a reason."""
    with pytest.raises(ValueError, match=r"no ISO 8601|ends before"):
        interval_s(text, NOW_S)


def test_times_without_a_zone_are_utc() -> None:
    """As the services take them."""
    assert moment_s("2026-11-25T12:00:00") == moment_s("2026-11-25T12:00:00Z") == NOW_S
