"""The metrics that have values here: units, aggregations and dimensions.

Microsoft Learn, azure-monitor/reference/supported-metrics, microsoft-cognitiveservices-accounts-metrics and
microsoft-insights-components-metrics (generated 2026-07-31), read 2026-11-25. Dimensions without a meaning here (API
name, usage channel, rate limit key) are left out. Other metrics of these types are known by name (see
``management.providers.metrics``) and never have data.
"""

from dataclasses import dataclass

ACCOUNTS = "microsoft.cognitiveservices/accounts"
COMPONENTS = "microsoft.insights/components"
CUSTOM_NAMESPACE = "azure.applicationinsights"
AGGREGATIONS = ("Average", "Minimum", "Maximum", "Total", "Count")
INTERVALS_S = (60, 300, 900, 1_800, 3_600, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``aggregations`` are those that the service documents, its primary one first."""

    name: str
    display_name: str
    unit: str
    aggregations: tuple[str, ...]
    dimensions: tuple[str, ...]
    category: str


_SPREAD = ("Average", "Minimum", "Maximum")
_TOTAL = ("Total",)
_MODEL = ("Region", "ModelDeploymentName", "ModelName", "ModelVersion")
_CALL = ("OperationName", "Region", "StreamType", "ModelDeploymentName", "ModelName", "ModelVersion")
_STATUS = (*_CALL, "StatusCode")
_GENERAL = ("OperationName", "Region")
_HTTP, _LATENCY, _USAGE = "Azure OpenAI - HTTP Requests", "Azure OpenAI - Latency", "Azure OpenAI - Usage"
_M_HTTP, _M_LATENCY, _M_USAGE = "Models - HTTP Requests", "Models - Latency", "Models - Usage"
_COGNITIVE = "Cognitive Services - HTTP Requests"

_ACCOUNT_METRICS = (
    Metric("AzureOpenAIRequests", "Azure OpenAI Requests", "Count", _TOTAL, _STATUS, _HTTP),
    Metric("AzureOpenAIAvailabilityRate", "Azure OpenAI AvailabilityRate", "Percent", _SPREAD, _MODEL, _HTTP),
    Metric("AzureOpenAITimeToResponse", "Time to Response", "MilliSeconds", _SPREAD, _STATUS, _LATENCY),
    Metric("AzureOpenAITTLTInMS", "Time to Last Byte", "MilliSeconds", _SPREAD, _MODEL, _LATENCY),
    Metric("AzureOpenAITokenPerSecond", "Tokens Per Second", "Count", _SPREAD, _MODEL, _LATENCY),
    Metric("ProcessedPromptTokens", "Processed Prompt Tokens", "Count", _TOTAL, _MODEL, _USAGE),
    Metric("GeneratedTokens", "Generated Completion Tokens", "Count", _TOTAL, _MODEL, _USAGE),
    Metric("TokenTransaction", "Processed Inference Tokens", "Count", _TOTAL, _MODEL, _USAGE),
    Metric("ActiveTokens", "Active Tokens", "Count", ("Total", *_SPREAD), _MODEL, _USAGE),
    Metric(
        "AzureOpenAIContextTokensCacheMatchRate", "Prompt Token Cache Match Rate", "Percent", _SPREAD, _MODEL, _USAGE
    ),
    Metric("ModelRequests", "Model Requests", "Count", _TOTAL, _STATUS, _M_HTTP),
    Metric("ModelAvailabilityRate", "Model Availability Rate", "Percent", _SPREAD, _MODEL, _M_HTTP),
    Metric("TimeToResponse", "Time to Response", "MilliSeconds", _SPREAD, _STATUS, _M_LATENCY),
    Metric("TimeToLastByte", "Time to Last Byte", "MilliSeconds", _SPREAD, _CALL, _M_LATENCY),
    Metric("TokensPerSecond", "Tokens Per Second", "Count", _SPREAD, _CALL, _M_LATENCY),
    Metric("InputTokens", "Input Tokens", "Count", _TOTAL, _MODEL, _M_USAGE),
    Metric("OutputTokens", "Output Tokens", "Count", _TOTAL, _MODEL, _M_USAGE),
    Metric("TotalTokens", "Total Tokens", "Count", _TOTAL, _MODEL, _M_USAGE),
    Metric("TotalCalls", "Total Calls", "Count", _TOTAL, _GENERAL, _COGNITIVE),
    Metric("SuccessfulCalls", "Successful Calls", "Count", _TOTAL, _GENERAL, _COGNITIVE),
    Metric("ClientErrors", "Client Errors", "Count", _TOTAL, _GENERAL, _COGNITIVE),
    Metric("ServerErrors", "Server Errors", "Count", _TOTAL, _GENERAL, _COGNITIVE),
    Metric("TotalErrors", "Total Errors", "Count", _TOTAL, _GENERAL, _COGNITIVE),
    Metric("BlockedCalls", "Blocked Calls", "Count", _TOTAL, _GENERAL, _COGNITIVE),
    Metric("Latency", "Latency", "MilliSeconds", ("Average",), _GENERAL, _COGNITIVE),
    Metric("SuccessRate", "AvailabilityRate", "Percent", _SPREAD, _GENERAL, "Cognitive Services - SLI"),
)

_ROLE = ("operation/synthetic", "cloud/roleInstance", "cloud/roleName")
_REQUEST = ("request/performanceBucket", "request/resultCode", "request/success", *_ROLE)
_DEPENDENCY = (
    "dependency/type",
    "dependency/performanceBucket",
    "dependency/success",
    "dependency/target",
    "dependency/resultCode",
    *_ROLE,
)
_COUNT = ("Count",)
_COUNTER = ("Average", "Minimum", "Maximum")
_INSTANCE = ("cloud/roleInstance",)

_COMPONENT_METRICS = (
    Metric("requests/count", "Server requests", "Count", _COUNT, _REQUEST, "Server"),
    Metric("requests/duration", "Server response time", "MilliSeconds", _SPREAD, _REQUEST, "Server"),
    Metric("requests/failed", "Failed requests", "Count", _COUNT, _REQUEST, "Failures"),
    Metric("dependencies/count", "Dependency calls", "Count", _COUNT, _DEPENDENCY, "Usage"),
    Metric("dependencies/duration", "Dependency duration", "MilliSeconds", _SPREAD, _DEPENDENCY, "Usage"),
    Metric("dependencies/failed", "Dependency call failures", "Count", _COUNT, _DEPENDENCY, "Failures"),
    Metric(
        "exceptions/count", "Exceptions", "Count", _COUNT, ("cloud/roleName", *_INSTANCE, "client/type"), "Failures"
    ),
    Metric("exceptions/server", "Server exceptions", "Count", _COUNT, ("cloud/roleName", *_INSTANCE), "Failures"),
    Metric("traces/count", "Traces", "Count", _COUNT, ("trace/severityLevel", *_ROLE), "Usage"),
    Metric(
        "performanceCounters/processPrivateBytes", "Process private bytes", "Bytes", _COUNTER, _INSTANCE, "Counters"
    ),
    Metric("performanceCounters/processCpuPercentage", "Process CPU", "Percent", _COUNTER, _INSTANCE, "Counters"),
    Metric("performanceCounters/processorCpuPercentage", "Processor time", "Percent", _COUNTER, _INSTANCE, "Counters"),
    Metric("performanceCounters/memoryAvailableBytes", "Available memory", "Bytes", _COUNTER, _INSTANCE, "Counters"),
)

WITH_DATA: dict[str, tuple[Metric, ...]] = {ACCOUNTS: _ACCOUNT_METRICS, COMPONENTS: _COMPONENT_METRICS}


def find(resource_type: str, name: str) -> Metric | None:
    """The metric ``name`` (any case) of a resource type, or None when it has none with values."""
    return next((one for one in WITH_DATA.get(resource_type.lower(), ()) if one.name.lower() == name.lower()), None)
