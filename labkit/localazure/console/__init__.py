"""The page at ``/``: what a local Azure is doing, to look at in a browser."""
