"""The inference face: what the ``openai`` clients talk to."""
