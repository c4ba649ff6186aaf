"""Application Insights: what exporters send, and where it is kept."""
