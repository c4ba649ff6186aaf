"""One call to one deployment, whole or as a stream: sent, retried, paced, measured and traced."""
