"""The ``labkit`` command: one verb for each thing a student or an instructor does from a terminal.

Exit status: 0 done · 1 done, and something in it failed (a notebook, a comparison) · 2 could not be done as asked ·
130 stopped by Ctrl-C.
"""

from labkit.cli.app import main

__all__ = ["main"]
