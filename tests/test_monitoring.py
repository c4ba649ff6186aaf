import json
import subprocess
import sys
import textwrap
import time

import pytest

from labkit import monitoring
from labkit.errors import InvalidRequestError, LabkitError
from labkit.localazure import LocalAzure
from labkit.monitoring import configure_monitoring
from labkit.telemetry import PROVIDER
from tests.scripted import completion


def test_flush_without_anything_configured_is_done():
    """Nothing waits, so all of it went out."""
    assert monitoring.flush() is True


@pytest.mark.parametrize("given", ["", None, "https://dc.services.visualstudio.com", 7])
def test_what_is_no_connection_string_is_refused(given):
    """The error says what one looks like and where to get it, and does not repeat what was given."""
    with pytest.raises(InvalidRequestError, match=r"component\.connection_string") as refusal:
        configure_monitoring(given)
    assert "visualstudio" not in str(refusal.value)


def test_monitoring_goes_to_one_place_for_a_process(monkeypatch):
    """The same place again is fine; another one is an error that says what to do, without the key."""
    monkeypatch.setattr(monitoring, "_configured_with", "InstrumentationKey=one")
    configure_monitoring("InstrumentationKey=one")
    with pytest.raises(LabkitError, match="Restart the kernel") as refusal:
        configure_monitoring("InstrumentationKey=two")
    assert "Key=" not in str(refusal.value)


def run(program: str, *arguments: str) -> dict:
    """What ``program`` prints as JSON; a process of its own, because OpenTelemetry is configured once."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


REPORTING = """
    import json, logging, socket, sys
    asked, connect = set(), socket.socket.connect
    def noting(self, address):
        asked.add(f"http://{address[0]}:{address[1]}")
        return connect(self, address)
    socket.socket.connect = noting

    from labkit.monitoring import configure_monitoring, flush
    from labkit.telemetry import process_telemetry
    process_telemetry()  # made before there is anywhere to report to, as an optimizer in an earlier cell does
    for _ in range(2):
        configure_monitoring(sys.argv[1])
    from openai.types.chat import ChatCompletion
    answer = ChatCompletion.model_validate_json(sys.argv[2])
    for _ in range(12):
        with process_telemetry().chat("big", {"max_tokens": 5}, message_count=1) as operation:
            operation.answer, operation.duration_s = answer, 1.5
            logging.getLogger("labkit.service").info("done")
    try:
        with process_telemetry().chat("big", {}, message_count=1) as operation:
            raise TimeoutError
    except TimeoutError:
        pass
    other = logging.getLogger("somebody.else")
    other.addHandler(logging.NullHandler())
    other.warning("not labkit's")
    print(json.dumps({"sent": flush(), "asked": sorted(asked)}))
"""


def test_the_real_exporter_reports_to_application_insights():
    """Traces, metrics, errors and log lines arrive once each, all of them, and nobody else is called."""
    key = "00000000-0000-4000-8000-00000000beef"
    with LocalAzure() as azure:
        url = azure.url
        azure.azure.telemetry.allow(key, "app", "appi-test")
        connection_string = f"InstrumentationKey={key};IngestionEndpoint={url}/;LiveEndpoint={url}/"
        seen = run(REPORTING, connection_string, completion().model_dump_json())
        tables = {
            name: azure.azure.telemetry.rows(name)
            for name in ("dependencies", "customMetrics", "exceptions", "traces", "requests")
        }
    assert seen == {"sent": True, "asked": [url]}
    calls = tables["dependencies"]
    assert [row["success"] for row in calls] == [True] * 12 + [False]
    assert (calls[0]["name"], calls[0]["type"], calls[0]["duration"]) == ("chat big", f"GenAI | {PROVIDER}", 1500)
    assert calls[0]["customDimensions"]["deployment"] == "big"
    metrics = {(row["name"], row["customDimensions"].get("gen_ai.token.type")): row for row in tables["customMetrics"]}
    assert metrics["gen_ai.client.token.usage", "input"]["valueCount"] == 12
    assert ("gen_ai.client.operation.duration", None) in metrics
    assert [row["type"] for row in tables["exceptions"]] == ["TimeoutError"]
    assert [row["message"] for row in tables["traces"]] == ["done"] * 12
    assert tables["requests"] == []


GONE = """
    import json, sys
    from labkit.monitoring import configure_monitoring
    from labkit.telemetry import process_telemetry
    configure_monitoring(sys.argv[1])
    with process_telemetry().chat("big", {}, message_count=1):
        pass
    print(json.dumps({"ended": True}))
"""


def test_an_endpoint_that_is_gone_does_not_hold_up_the_end():
    """Telemetry is lost then; the process ends within seconds, with its own result."""
    started_s = time.monotonic()
    # The discard port: nobody listens.
    gone = "InstrumentationKey=00000000-0000-4000-8000-00000000beef;IngestionEndpoint=http://127.0.0.1:9/"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GONE), gone], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, {"ended": True})
    assert time.monotonic() - started_s < 20
