"""What the commands share: options, bars for progress, signals that end a command, and giving up in a line."""

import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

Seed = Annotated[int, typer.Option(help="Decides what the simulated models answer.")]
LatencyScale = Annotated[float, typer.Option(min=0, help="1 is as slow as the real models, 0 answers at once.")]


def give_up(message: str, status: int = 2) -> NoReturn:
    """End the command with ``status``, and ``message`` on standard error."""
    typer.echo(f"labkit: {message}", err=True)
    sys.exit(status)


def ending_signals() -> Iterable[signal.Signals]:
    """The signals that tell a program on this system to end."""
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def progress_bars() -> "Progress":
    """A context manager that shows bars of progress on the terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
