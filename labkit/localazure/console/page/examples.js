// Queries to begin with, over the tables of Application Insights.

export const EXAMPLES = [
  {
    name: "Calls to models: latest",
    query: `dependencies
| project timestamp, name, target, duration, success, resultCode
| order by timestamp desc
| take 20`,
  },
  {
    name: "Latency percentiles by operation",
    query: `dependencies
| where timestamp > ago(1h)
| summarize calls = count(), p50_ms = percentile(duration, 50), p95_ms = percentile(duration, 95) by name
| order by calls desc`,
  },
  {
    name: "Failures by minute",
    query: `dependencies
| where success == false
| summarize failures = count() by bin(timestamp, 1m), resultCode
| order by timestamp desc`,
  },
  {
    name: "Tokens by model (spans)",
    query: `dependencies
| extend model = tostring(customDimensions["gen_ai.request.model"])
| extend input = toint(customDimensions["gen_ai.usage.input_tokens"])
| extend output = toint(customDimensions["gen_ai.usage.output_tokens"])
| summarize calls = count(), input = sum(input), output = sum(output) by model`,
  },
  {
    name: "Log lines and exceptions",
    query: `union traces, exceptions
| project timestamp, itemType, severityLevel, message, outerMessage
| order by timestamp desc
| take 50`,
  },
  {
    name: "Custom metrics",
    query: `customMetrics
| summarize measured = count(), mean = avg(value), highest = max(valueMax) by name`,
  },
];
