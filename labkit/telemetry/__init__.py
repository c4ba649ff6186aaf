"""Describes calls in OpenTelemetry's GenAI conventions, and what those have no name for. docs/telemetry.md lists it."""

from labkit.telemetry.telemetry import PROVIDER, Operation, Telemetry, error_kind, process_telemetry

__all__ = ["PROVIDER", "Operation", "Telemetry", "error_kind", "process_telemetry"]
