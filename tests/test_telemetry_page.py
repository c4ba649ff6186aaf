"""docs/telemetry.md names what is sent, and its queries find it."""

import re
from pathlib import Path

import pytest

from labkit.telemetry.instruments import METRICS
from tests.recorded import Recorded
from tests.scripted import ask, completion

PAGE = (Path(__file__).parents[1] / "docs" / "telemetry.md").read_text("utf-8")
QUERIES = re.findall(r"^```kql\n(.+?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_has_the_table_of_metrics():
    """Name, kind and unit of each, in the order of the code's table."""
    rows = re.findall(r"^\| `([\w.]+)` \| (histogram|counter|gauge) \| `(.+?)` \|", PAGE, re.MULTILINE)
    assert rows == [(metric.name, metric.kind, metric.unit) for metric in METRICS]


def test_the_page_names_every_attribute():
    """Of a stream that fails and of a call with everything set."""
    recorded = Recorded(capture_content=True)
    telemetry = recorded.telemetry
    numbers = ("max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")
    params = {**dict.fromkeys(numbers, 1), "n": 2}
    with telemetry.chat("big", params, messages=ask(), stream=True) as operation:
        operation.answer, operation.first_token_s = completion(cached_tokens=1, reasoning_tokens=1), 0.1
    with pytest.raises(TimeoutError), telemetry.chat("big", {}, messages=ask()):
        raise TimeoutError
    telemetry.count_cache("big", "hit")
    telemetry.count_retry("big", TimeoutError())
    telemetry.count_cost("big", "gpt-4o", 0.5)
    telemetry.note_breaker("big", "open")
    sent = {name for span in recorded.spans for name in span.attributes}
    sent |= {name for metric in METRICS for point in recorded.points(metric.name) for name in point}
    named = set(re.findall(r"`([\w.]+)`", PAGE))
    assert sent - {"count", "sum", "bounds", "value"} <= named
    assert {name for name in named if name.startswith("gen_ai.")} <= sent | {metric.name for metric in METRICS}


def test_the_page_has_queries():
    """Each is run in tests/test_monitoring.py, on what a real exporter sent."""
    assert len(QUERIES) == 7
