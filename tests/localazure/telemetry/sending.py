"""Telemetry for tests: items as exporters send them, with times on the clock."""

from datetime import UTC, datetime
from typing import Any

from labkit.localazure.resources import GROUP_ID
from labkit.localazure.telemetry.store import Telemetry

KEY = "00000000-0000-4000-8000-00000000beef"
COMPONENT = f"{GROUP_ID}/providers/Microsoft.Insights/components/appi"


def item(kind: str, at_s: float, *, key: str = KEY, operation: str = "op", **data: Any) -> dict[str, Any]:
    """One item of the kind ``RequestData`` and so on."""
    return {
        "iKey": key,
        "time": datetime.fromtimestamp(at_s, UTC).isoformat(),
        "tags": {"ai.operation.id": operation, "ai.cloud.role": "lab"},
        "data": {"baseType": kind, "baseData": data},
    }


def seconds(duration_s: float) -> str:
    """A duration as exporters write it."""
    return f"0.00:00:{duration_s:09.6f}"


def send_calls(telemetry: Telemetry, now_s: float) -> None:
    """Six requests a minute apart, the newest now, taking 100 to 600 ms; the even ones call a model.

    Requests 1 and 4 failed. Request 0 is the newest.
    """
    telemetry.allow(KEY, "app-id", "appi", COMPONENT)
    items = []
    for number in range(6):
        at_s, operation = now_s - 60 * number, f"op{number}"
        took = seconds((number + 1) / 10)
        failed = number in (1, 4)
        common = {"success": not failed, "resultCode": "500" if failed else "200", "duration": took}
        properties = {"gen_ai.request.model": f"gpt-{number % 2}", "number": str(number)}
        request = {**common, "responseCode": common["resultCode"], "properties": properties}
        items.append(
            item("RequestData", at_s, operation=operation, id=f"r{number}", name=f"GET /{number % 3}", **request)
        )
        if number % 2 == 0:
            call = {**common, "name": "chat", "type": "GenAI", "id": f"d{number}", "properties": properties}
            items.append(item("RemoteDependencyData", at_s, operation=operation, **call))
    assert telemetry.add_all(items) == {}
