import json
import os
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from opentelemetry import trace

from labkit import monitoring
from labkit.errors import InvalidRequestError, LabkitError
from labkit.localazure import LocalAzure
from labkit.monitoring import Monitoring, configure_monitoring
from labkit.telemetry import PROVIDER, Telemetry
from labkit.telemetry.instruments import METRICS
from tests.collector import Collector, attributes
from tests.scripted import completion
from tests.test_telemetry_page import QUERIES

PYPROJECT = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")


def test_flush_without_anything_configured_is_done():
    """Nothing waits, so all of it went out."""
    assert monitoring.flush() is True


@pytest.mark.parametrize("given", ["", "https://dc.services.visualstudio.com", 7])
def test_what_is_no_connection_string_is_refused(given):
    """The error says what one looks like and where to get it, and does not repeat what was given."""
    with pytest.raises(InvalidRequestError, match=r"component\.connection_string") as refusal:
        configure_monitoring(given)
    assert "visualstudio" not in str(refusal.value)


def test_monitoring_goes_to_one_place_for_a_process(monkeypatch):
    """The same place again is fine; another one is an error that says what to do, without the key."""
    before = Monitoring("InstrumentationKey=one")
    monkeypatch.setattr(monitoring, "_configured", before)
    assert configure_monitoring("InstrumentationKey=one") == configure_monitoring() == before
    for elsewhere in ({"connection_string": "InstrumentationKey=two"}, {"otlp_endpoint": "http://localhost:4318"}):
        with pytest.raises(LabkitError, match="Restart the kernel") as refusal:
            configure_monitoring(**elsewhere)
        assert "Key=" not in str(refusal.value)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"APPLICATIONINSIGHTS_CONNECTION_STRING": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"},
    ],
    ids=["unset", "empty", "switched off"],
)
def test_nothing_is_started_where_the_environment_names_nothing(environment, monkeypatch):
    """What comes back is false and says so; OpenTelemetry stays as it was."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = configure_monitoring()
    assert (bool(done), str(done)) == (False, "Nothing was configured.")
    assert not hasattr(trace.get_tracer_provider(), "add_span_processor")


def test_what_was_configured_is_shown_without_the_key():
    """In a notebook, too, where it may be the last line of a cell."""
    done = Monitoring("InstrumentationKey=secret", "http://localhost:4318")
    assert str(done) == "Telemetry goes to Application Insights and the OTLP collector at http://localhost:4318."
    assert "secret" not in repr(done) + str(done)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "localhost:4318",
        "ftp://x",
        "http://",
        "http://[",
        "http://user:secret@host:4318",
        "http://h:4318/v1/traces",
        7,
    ],
)
@pytest.mark.parametrize("source", ["argument", "environment"])
def test_what_is_no_address_of_a_collector_is_refused(endpoint, source, monkeypatch):
    """The error says where it came from and what one looks like, and repeats no credentials."""
    if source == "argument":
        given, options = "otlp_endpoint", {"otlp_endpoint": endpoint}
    elif isinstance(endpoint, str) and endpoint:
        given, options = "OTEL_EXPORTER_OTLP_ENDPOINT", {}
        monkeypatch.setenv(given, endpoint)
    else:
        return
    with pytest.raises(InvalidRequestError, match=rf"^{given} is not .*http://localhost:4318") as refusal:
        configure_monitoring(**options)
    assert "secret" not in str(refusal.value)


def test_another_protocol_than_http_is_refused(monkeypatch):
    """Rather than sent to a port that does not understand it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(InvalidRequestError, match="'grpc'.*'http/protobuf'.*4318"):
        configure_monitoring(otlp_endpoint="http://localhost:4317")


@pytest.mark.parametrize("missing", ["opentelemetry.exporter.otlp.proto.http", "opentelemetry.exporter"])
def test_a_missing_exporter_names_the_command_that_installs_it(missing, monkeypatch):
    """With the version that fits, which is the one pinned."""

    def find_spec(name):
        if missing != name:
            raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    with pytest.raises(LabkitError) as refusal:
        configure_monitoring(otlp_endpoint="http://localhost:4318")
    pin = str(refusal.value).rpartition(" ")[2]
    assert pin == f"opentelemetry-exporter-otlp-proto-http=={version('opentelemetry-sdk')}"
    assert pin in PYPROJECT


def test_content_can_be_asked_for_and_kept_out(monkeypatch):
    """For the telemetry of this process; not saying anything leaves it as it is."""
    telemetry = Telemetry()
    monkeypatch.setattr(monitoring, "process_telemetry", lambda: telemetry)
    for asked in (True, None, False):
        configure_monitoring(capture_content=asked)
        assert telemetry.captures_content is (asked is not False)


def run(program: str, *arguments: str, **environment: str) -> dict:
    """What ``program`` prints as JSON; a process of its own, because OpenTelemetry is configured once."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        env={**os.environ, **environment},
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


COLLECTED = """
    import json, logging, socket, sys
    asked, connect = set(), socket.socket.connect
    def noting(self, address):
        asked.add(f"http://{address[0]}:{address[1]}")
        return connect(self, address)
    socket.socket.connect = noting

    from labkit.monitoring import configure_monitoring, flush
    from labkit.telemetry import process_telemetry
    telemetry = process_telemetry()
    telemetry.note_breaker("big", "open")  # before there is anywhere to report to
    done = [configure_monitoring(**json.loads(sys.argv[1])) for _ in range(2)]
    from openai.types.chat import ChatCompletion
    answer = ChatCompletion.model_validate_json(sys.argv[2])
    for _ in range(3):
        with telemetry.chat("big", {}, message_count=1, stream=True) as operation:
            operation.answer, operation.duration_s, operation.first_token_s = answer, 1.5, 0.25
    logging.getLogger("labkit.service").info("done")
    telemetry.note_breaker("small", "half_open")
    telemetry.count_cache("big", "hit")
    telemetry.count_retry("big", TimeoutError())
    telemetry.count_cost("big", "gpt-4o", 0.5)
    print(json.dumps({"done": str(done[1]), "sent": flush(), "asked": sorted(asked)}))
"""


@pytest.mark.parametrize("source", ["argument", "environment"])
def test_the_real_exporter_reports_to_a_collector(source):
    """Traces, every metric and log lines arrive decoded, with the headers asked for, and nobody else is called."""
    with Collector() as collector:
        options = {"otlp_endpoint": collector.url + "/"} if source == "argument" else {}
        environment = {} if options else {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-team=blue"}
        seen = run(COLLECTED, json.dumps(options), completion().model_dump_json(), **environment, **headers)
        url = collector.url
    assert seen == {"done": f"Telemetry goes to the OTLP collector at {url}.", "sent": True, "asked": [url]}
    assert [(span.name, span.end_time_unix_nano - span.start_time_unix_nano) for span in collector.spans] == [
        ("chat big", 1_500_000_000)
    ] * 3
    assert attributes(collector.spans[0])["gen_ai.usage.input_tokens"] == 20
    assert set(collector.metrics) == {metric.name for metric in METRICS}
    first_chunk = collector.metrics["gen_ai.client.operation.time_to_first_chunk"]
    (point,) = first_chunk.histogram.data_points
    assert (first_chunk.unit, point.count, point.sum) == ("s", 3, 0.75)
    (point,) = collector.metrics["labkit.cost"].sum.data_points
    assert (point.as_double, attributes(point)["gen_ai.request.model"]) == (0.5, "big")
    states = collector.metrics["labkit.breaker.state"].gauge.data_points
    assert {attributes(point)["gen_ai.request.model"]: point.as_int for point in states} == {"big": 2, "small": 1}
    assert collector.lines == ["done"]
    assert collector.service_names == {"labkit"}
    assert collector.headers["x-team"] == "blue"


def test_application_insights_and_a_collector_at_once():
    """Both get the same spans and metrics, once each; the name of the service is the one of the environment."""
    key = "00000000-0000-4000-8000-00000000beef"
    with LocalAzure() as azure, Collector() as collector:
        azure.azure.telemetry.allow(key, "app", "appi-test")
        options = {
            "connection_string": f"InstrumentationKey={key};IngestionEndpoint={azure.url}/",
            "otlp_endpoint": collector.url,
        }
        answer = completion().model_dump_json()
        seen = run(COLLECTED, json.dumps(options), answer, OTEL_SERVICE_NAME="shop")
        rows = {name: azure.azure.telemetry.rows(name) for name in ("dependencies", "customMetrics", "traces")}
        answers = [azure.azure.telemetry.query(kql).rows for kql in QUERIES]
        urls = sorted([azure.url, collector.url])
    assert (seen["sent"], seen["asked"]) == (True, urls)
    assert len(rows["dependencies"]) == len(collector.spans) == 3
    assert {row["name"] for row in rows["customMetrics"]} == set(collector.metrics) == {m.name for m in METRICS}
    assert [row["message"] for row in rows["traces"]] == collector.lines == ["done"]
    assert collector.service_names == {"shop"}
    # The queries of docs/telemetry.md, in their order.
    calls, tokens, cost, hits, retries, first_chunk, breakers = answers
    assert calls == [["big", 3, 0, 1500.0]]
    assert sorted(tokens) == [["big", "input", 60.0], ["big", "output", 15.0]]
    assert (cost, hits, retries) == ([["gpt-4o", 0.5]], [[1.0]], [["TimeoutError", 1.0]])
    assert first_chunk == [["big", 0.25]]
    assert sorted([row[0], row[-1]] for row in breakers) == [["big", 2.0], ["small", 1.0]]


ALREADY = """
    import json
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    trace.set_tracer_provider(TracerProvider())
    from labkit.monitoring import configure_monitoring
    print(json.dumps({"done": bool(configure_monitoring())}))
"""


def test_a_program_that_has_set_up_opentelemetry_keeps_it():
    """Reading the environment then does nothing: labkit's spans go where the program's go."""
    assert run(ALREADY, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") == {"done": False}


GONE = """
    import json, sys
    from labkit.monitoring import configure_monitoring
    from labkit.telemetry import process_telemetry
    configure_monitoring(**json.loads(sys.argv[1]))
    with process_telemetry().chat("big", {}, message_count=1):
        pass
    print(json.dumps({"ended": True}))
"""


@pytest.mark.parametrize(
    "place",
    [
        {
            "connection_string": "InstrumentationKey=00000000-0000-4000-8000-00000000beef;"
            "IngestionEndpoint=http://127.0.0.1:9/"
        },
        {"otlp_endpoint": "http://127.0.0.1:9"},
    ],
    ids=["application-insights", "collector"],
)
def test_an_endpoint_that_is_gone_does_not_hold_up_the_end(place):
    """Telemetry is lost then; the process ends within seconds, with its own result."""
    started_s = time.monotonic()
    # The discard port: nobody listens.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GONE), json.dumps(place)], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, {"ended": True})
    assert time.monotonic() - started_s < 20
