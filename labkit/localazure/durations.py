"""Durations as Azure Resource Manager writes them: ISO 8601, ``PT5M``."""

import re

_DURATION = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?")


def seconds(given: object) -> int:
    """The duration ``given`` in seconds; 0 when it is not one."""
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    days, hours, minutes, whole_seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    return ((days * 24 + hours) * 60 + minutes) * 60 + whole_seconds


def written(duration_s: int) -> str:
    """``duration_s`` as Azure Monitor lists its choices: in whole hours when it has any, a day as ``PT24H``."""
    if duration_s % 3_600 == 0:
        return f"PT{duration_s // 3_600}H"
    return f"PT{duration_s // 60}M"
