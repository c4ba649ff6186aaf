"""The Responses API: the same models as chat completions, with conversations that the service remembers."""
