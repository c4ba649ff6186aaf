"""Sends telemetry to an OpenTelemetry collector (OTLP over HTTP), or to anything else that speaks OTLP."""

import importlib.util
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labkit.errors import InvalidRequestError, LabkitError

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LogRecordProcessor
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
INSTALL = "python -m pip install opentelemetry-exporter-otlp-proto-http==1.45.1"
# A collector that has gone away must not hold up the end of a notebook.
_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Pipelines:
    """What carries spans, metrics and log lines to one endpoint, to be hooked into providers."""

    spans: "SpanProcessor"
    metrics: "MetricReader"
    logs: "LogRecordProcessor"


def check_endpoint(endpoint: object, given_as: str) -> str:
    """``endpoint`` without a slash at its end. ``InvalidRequestError`` when it is not the base address of a collector.

    What was given is not repeated: there may be a token in it.
    """
    text = endpoint.rstrip("/") if isinstance(endpoint, str) else ""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        fits = False
    if not fits or text.endswith(("/v1/traces", "/v1/metrics", "/v1/logs")):
        raise InvalidRequestError(
            f"{given_as} is not the base address of an OTLP/HTTP collector, such as http://localhost:4318 (/v1/traces "
            "and the others are added to it). Credentials belong in OTEL_EXPORTER_OTLP_HEADERS."
        )
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        raise InvalidRequestError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, and labkit sends 'http/protobuf'. Unset it, and give the "
            "collector's HTTP port (4318 where gRPC is 4317)."
        )
    return text


def check_installed() -> None:
    """Nothing, or ``LabkitError`` with the command that installs the exporter."""
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:  # one of the packages above it is missing
        found = None
    if found is None:
        raise LabkitError(f"Sending telemetry over OTLP needs one more package: {INSTALL}")


def pipelines(endpoint: str) -> Pipelines:
    """Exporters for ``endpoint``; the standard variables (``OTEL_EXPORTER_OTLP_HEADERS`` and so on) apply."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=_TIMEOUT_S)
    metrics = OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=_TIMEOUT_S)
    logs = OTLPLogExporter(f"{endpoint}/v1/logs", timeout=_TIMEOUT_S)
    return Pipelines(BatchSpanProcessor(spans), PeriodicExportingMetricReader(metrics), BatchLogRecordProcessor(logs))


def set_providers(to: Pipelines) -> None:
    """Make ``to`` the only place the global providers, and the log lines of labkit, report to."""
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.metrics import set_meter_provider
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import set_tracer_provider

    resource = _resource()
    tracers, meters, loggers = (
        TracerProvider(resource=resource),
        MeterProvider([to.metrics], resource),
        LoggerProvider(resource),
    )
    tracers.add_span_processor(to.spans)
    loggers.add_log_record_processor(to.logs)
    set_tracer_provider(tracers)
    set_meter_provider(meters)
    set_logger_provider(loggers)
    logging.getLogger("labkit").addHandler(LoggingHandler(logger_provider=loggers))


def _resource() -> "Resource":
    from opentelemetry.sdk.resources import Resource

    found = Resource.create()  # with OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    unnamed = str(found.attributes.get("service.name", "")).startswith("unknown_service")
    return found.merge(Resource({"service.name": "labkit"})) if unnamed else found
