"""The metrics that Azure Monitor keeps for the resources of the course, by their names in the REST API."""

# Microsoft Learn, azure-monitor/reference/supported-metrics/microsoft-cognitiveservices-accounts-metrics (generated
# 2026-07-31), read 2026-11-22: the categories Azure OpenAI, Models, ContentSafety and Cognitive Services.
_ACCOUNTS = """
    AzureOpenAIRequests AzureOpenAIAvailabilityRate AzureOpenAITimeToResponse AzureOpenAITTLTInMS
    AzureOpenAINormalizedTTFTInMS AzureOpenAINormalizedTBTInMS AzureOpenAITokenPerSecond
    AzureOpenAIContextTokensCacheMatchRate AzureOpenAIProvisionedManagedUtilization
    AzureOpenAIProvisionedManagedUtilizationV2 ProcessedPromptTokens GeneratedTokens TokenTransaction ActiveTokens
    AudioPromptTokens AudioCompletionTokens RealtimeUsageTime FineTunedTrainingHours
    ModelRequests ModelAvailabilityRate InputTokens OutputTokens TotalTokens TimeToResponse TimeToLastByte
    NormalizedTimeToFirstToken NormalizedTimeBetweenTokens TokensPerSecond ProvisionedUtilization
    RAIRejectedRequests RAIHarmfulRequests RAISystemEvent RAITotalRequests
    BlockedCalls ClientErrors DataIn DataOut Latency Ratelimit ServerErrors SuccessfulCalls SuccessRate TotalCalls
    TotalErrors TotalTokenCalls
"""
# Microsoft Learn, azure-monitor/reference/supported-metrics/microsoft-insights-components-metrics (generated
# 2026-07-31), read 2026-11-22.
_COMPONENTS = """
    availabilityResults/availabilityPercentage availabilityResults/count availabilityResults/duration
    browserTimings/networkDuration browserTimings/processingDuration browserTimings/receiveDuration
    browserTimings/sendDuration browserTimings/totalDuration
    dependencies/count dependencies/duration dependencies/failed
    exceptions/browser exceptions/count exceptions/server
    pageViews/count pageViews/duration
    performanceCounters/exceptionsPerSecond performanceCounters/memoryAvailableBytes
    performanceCounters/processCpuPercentage performanceCounters/processIOBytesPerSecond
    performanceCounters/processPrivateBytes performanceCounters/processorCpuPercentage
    performanceCounters/requestExecutionTime performanceCounters/requestsInQueue performanceCounters/requestsPerSecond
    requests/count requests/duration requests/failed requests/rate
    traces/count
"""

KNOWN: dict[str, tuple[str, ...]] = {
    "microsoft.cognitiveservices/accounts": tuple(_ACCOUNTS.split()),
    "microsoft.insights/components": tuple(_COMPONENTS.split()),
}


def has(resource_type: str, metric: str) -> bool:
    """True when resources of ``resource_type`` have ``metric``; metric names are compared without regard to case."""
    return metric.lower() in {name.lower() for name in KNOWN.get(resource_type.lower(), ())}
