"""``/labkit/clock``: the local Azure's time, and moving it forward.

Alerts, budgets and rate limits take minutes and months; a class has neither. Moving the clock is in the journal, under
the face "lab": whoever reads the evidence sees which minutes really passed.
"""

from labkit.localazure.admin.asked import Asked, bad, only
from labkit.localazure.clock import iso
from labkit.localazure.journal import Entry
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, json_reply

_LONGEST_S = 31 * 86_400
_END_S = 4_102_444_800  # 2100-01-01: far beyond any exercise, and before dates stop having four digits


async def read(azure: Azure, asked: Asked) -> Reply:
    """The time, in seconds since 1970 and as Azure writes it."""
    return json_reply(_time(azure))


async def advance(azure: Azure, asked: Asked) -> Reply:
    """The time after ``{"advance_s": …}`` seconds have passed at once."""
    given = only(await asked.document("How far to move the clock"), ("advance_s",), "Moving the clock")
    delay_s = _seconds(given.get("advance_s"))
    if azure.clock.now() + delay_s > _END_S:
        raise bad("The local Azure's clock ends with the year 2099; start another local Azure.")
    azure.advance(delay_s)
    azure.journal.add(
        Entry(
            at_s=azure.clock.now(),
            face="lab",
            method=asked.request.method,
            path=asked.request.path,
            operation="clock.advance",
            status=200,
            auth=asked.by,
            params={"advance_s": delay_s},
        )
    )
    return json_reply(_time(azure))


def _seconds(given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= _LONGEST_S:
        return float(given)
    raise bad(f"advance_s is seconds, 0 to {_LONGEST_S} (31 days) at a time, not {given!r:.100}.")


def _time(azure: Azure) -> dict[str, object]:
    now_s = azure.clock.now()
    return {"now_s": now_s, "now": iso(now_s)}
