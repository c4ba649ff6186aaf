"""Sends the telemetry of this process to Application Insights, to an OTLP collector, or to both; to nobody else."""

import logging
import os
from dataclasses import dataclass, field

from labkit.errors import InvalidRequestError, LabkitError
from labkit.telemetry import otlp, process_telemetry

# Everything of the Azure Monitor distribution that would call anyone but the component's own ingestion endpoint
# (usage statistics, remote settings, cloud detection). azure-monitor-opentelemetry 1.8.11, read 2026-11-22.
_QUIET = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "otel",
}
_INSTRUMENTED = (
    "azure_sdk",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "httpx2",
    "psycopg2",
    "requests",
    "urllib",
    "urllib3",
)
CONNECTION_STRING = "APPLICATIONINSIGHTS_CONNECTION_STRING"


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Where the telemetry of this process goes; false when it goes nowhere. The connection string is not shown."""

    connection_string: str | None = field(default=None, repr=False)
    otlp_endpoint: str | None = None

    @property
    def application_insights(self) -> bool:
        """True when a component of Application Insights gets it."""
        return self.connection_string is not None

    def __bool__(self) -> bool:
        return self.application_insights or self.otlp_endpoint is not None

    def __str__(self) -> str:
        component = ["Application Insights"] if self.application_insights else []
        collector = [f"the OTLP collector at {self.otlp_endpoint}"] if self.otlp_endpoint else []
        places = " and ".join([*component, *collector])
        return f"Telemetry goes to {places}." if places else "Nothing was configured."


_configured = Monitoring()


def configure_monitoring(
    connection_string: str | None = None, *, otlp_endpoint: str | None = None, capture_content: bool | None = None
) -> Monitoring:
    """Where the traces, metrics and labkit's own log lines of this process go from now on.

    To the Application Insights component of ``connection_string``, to the OTLP/HTTP collector at ``otlp_endpoint``, or
    to both. Without either the environment decides: ``APPLICATIONINSIGHTS_CONNECTION_STRING`` and
    ``OTEL_EXPORTER_OTLP_ENDPOINT``. When it names neither, or the program has set up OpenTelemetry itself, nothing is
    started. ``capture_content`` makes prompts and answers part of spans, or keeps them out, whatever the environment
    says.

    Nothing else is sent or asked: no usage statistics, no remote settings, no cloud detection, no spans for single
    HTTP requests (each call would be counted twice), and every trace is kept. Calling it again for the same place does
    nothing. ``LabkitError`` when this process already reports elsewhere, as OpenTelemetry's providers are set once, or
    when the OTLP exporter is not installed.
    """
    global _configured
    wanted = _wanted(connection_string, otlp_endpoint)
    if wanted and wanted != _configured:
        _check_unconfigured()
        _start(wanted)
        _configured = wanted
    if capture_content is not None:
        process_telemetry().capture_content = capture_content
    return _configured


def flush(timeout_s: float = 10.0) -> bool:
    """Send what is waiting to be sent; True when all of it went out, also when nothing is configured."""
    from opentelemetry import metrics, trace
    from opentelemetry._logs import get_logger_provider

    providers = (trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider())
    flushes = [provider.force_flush for provider in providers if hasattr(provider, "force_flush")]
    sent = [flush(timeout_millis=round(timeout_s * 1000)) for flush in flushes]  # all, even when one fails
    return all(sent)


def _wanted(connection_string: str | None, otlp_endpoint: str | None) -> Monitoring:
    if connection_string is None and otlp_endpoint is None:
        return Monitoring() if _configured else _of_environment()
    if connection_string is not None:
        _check_connection_string(connection_string)
    if otlp_endpoint is not None:
        otlp_endpoint = otlp.check_endpoint(otlp_endpoint, "otlp_endpoint")
        otlp.check_installed()
    return Monitoring(connection_string, otlp_endpoint)


def _of_environment() -> Monitoring:
    if _has_providers() or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Monitoring()
    # Empty means unset, in OpenTelemetry's specification of environment variables.
    connection_string, endpoint = os.environ.get(CONNECTION_STRING) or None, os.environ.get(otlp.ENDPOINT) or None
    if connection_string is None and endpoint is None:
        return Monitoring()
    return _wanted(connection_string, None if endpoint is None else otlp.check_endpoint(endpoint, otlp.ENDPOINT))


def _start(wanted: Monitoring) -> None:
    pipelines = otlp.pipelines(wanted.otlp_endpoint) if wanted.otlp_endpoint else None
    if wanted.connection_string is not None:
        _start_azure_monitor(wanted.connection_string, pipelines)
    elif pipelines is not None:
        otlp.set_providers(pipelines)
    logging.getLogger("labkit").setLevel(logging.INFO)


def _start_azure_monitor(connection_string: str, besides: otlp.Pipelines | None) -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from azure.monitor.opentelemetry import configure_azure_monitor

    configure_azure_monitor(
        connection_string=connection_string,
        sampling_ratio=1.0,  # the default keeps five traces a second; a course counts its calls
        logger_name="labkit",
        disable_offline_storage=True,
        enable_live_metrics=False,
        enable_performance_counters=False,
        instrumentation_options={name: {"enabled": False} for name in _INSTRUMENTED},
        # An endpoint that has gone away must not hold up the end of a notebook.
        retry_total=1,
        timeout=5.0,
        span_processors=[besides.spans] if besides else [],
        metric_readers=[besides.metrics] if besides else [],
        log_record_processors=[besides.logs] if besides else [],
    )


def _check_connection_string(connection_string: str) -> None:
    # Its text stays out of the message: it is all that is needed to write into someone's telemetry.
    if not isinstance(connection_string, str) or "InstrumentationKey=" not in connection_string:
        raise InvalidRequestError(
            "This is not a connection string of Application Insights (InstrumentationKey=…;IngestionEndpoint=…). "
            "Take the component's own: component.connection_string, as in task 3.1."
        )


def _check_unconfigured() -> None:
    if _configured or _has_providers():
        raise LabkitError(
            "This process already sends its telemetry somewhere else, and OpenTelemetry sets that once. "
            "Restart the kernel to send it to another place."
        )


def _has_providers() -> bool:
    from opentelemetry import trace

    return hasattr(trace.get_tracer_provider(), "add_span_processor")
