"""Sends the telemetry of this process to Application Insights, and nothing to anybody else."""

import logging
import os

from labkit.errors import InvalidRequestError, LabkitError

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
_configured_with: str | None = None


def configure_monitoring(connection_string: str) -> None:
    """Send traces, metrics and labkit's own log lines of this process to an Application Insights component.

    Nothing else is sent or asked: no usage statistics, no remote settings, no cloud detection, no spans for single
    HTTP requests (each call would be counted twice), and every trace is kept. Calling it again with the same
    connection string does nothing. ``LabkitError`` when this process already reports elsewhere: OpenTelemetry's
    providers are set once.
    """
    global _configured_with
    _check_connection_string(connection_string)
    if connection_string == _configured_with:
        return
    _check_unconfigured()
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
    )
    logging.getLogger("labkit").setLevel(logging.INFO)
    _configured_with = connection_string


def flush(timeout_s: float = 10.0) -> bool:
    """Send what is waiting to be sent; True when all of it went out, also when nothing is configured."""
    from opentelemetry import metrics, trace
    from opentelemetry._logs import get_logger_provider

    providers = (trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider())
    flushes = [provider.force_flush for provider in providers if hasattr(provider, "force_flush")]
    sent = [flush(timeout_millis=round(timeout_s * 1000)) for flush in flushes]  # all, even when one fails
    return all(sent)


def _check_connection_string(connection_string: str) -> None:
    # Its text stays out of the message: it is all that is needed to write into someone's telemetry.
    if not isinstance(connection_string, str) or "InstrumentationKey=" not in connection_string:
        raise InvalidRequestError(
            "This is not a connection string of Application Insights (InstrumentationKey=…;IngestionEndpoint=…). "
            "Take the component's own: component.connection_string, as in task 3.1."
        )


def _check_unconfigured() -> None:
    from opentelemetry import trace

    if _configured_with is not None or hasattr(trace.get_tracer_provider(), "add_span_processor"):
        raise LabkitError(
            "This process already sends its telemetry somewhere else, and OpenTelemetry sets that once. "
            "Restart the kernel to send it to another component."
        )
