"""Telemetry kept in memory, and read back as plain data."""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from labkit.telemetry import Telemetry


class Recorded:
    """A ``Telemetry`` of its own and everything that was reported to it."""

    def __init__(self, *, capture_content: bool | None = None) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracer_provider=tracers, meter_provider=meters, capture_content=capture_content)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended, in the order they did."""
        return self._spans.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        """The only span."""
        (span,) = self.spans
        return span

    def points(self, metric: str) -> list[dict[str, Any]]:
        """The points of one metric: attributes, and count, sum and bounds or the value."""
        return [
            {**point.attributes, **_numbers(point)}
            for each in self._metrics()
            if each.name == metric
            for point in each.data.data_points
        ]

    @property
    def metrics(self) -> dict[str, tuple[str, str]]:
        """Unit and description of every metric that has a point."""
        return {each.name: (each.unit, each.description) for each in self._metrics()}

    def everything(self) -> str:
        """All of it as text, to search for what must not be in it."""
        spans = [span.to_json() for span in self.spans]
        return "\n".join([*spans, *(each.to_json() for each in self._metrics())])

    def _metrics(self) -> list[Metric]:
        data = self._reader.get_metrics_data()
        return [each for scope in data.resource_metrics[0].scope_metrics for each in scope.metrics] if data else []


def _numbers(point: Any) -> dict[str, Any]:
    if hasattr(point, "value"):
        return {"value": point.value}
    return {"count": point.count, "sum": point.sum, "bounds": point.explicit_bounds}


def seconds(span: ReadableSpan) -> float:
    """How long a span lasted."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9
