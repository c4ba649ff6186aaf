"""``labkit azure``: a local Azure by hand, until Ctrl-C."""

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli import faults
from labkit.cli.terminal import LatencyScale, Seed, ending_signals

if TYPE_CHECKING:
    from labkit.localazure import LocalAzure

# A group whose bare call starts the server: what is done to a running one are its commands.
app = typer.Typer()
app.add_typer(faults.app, name="fault")


@app.callback(invoke_without_command=True)
def azure(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    seed: Seed = 13,
    latency_scale: LatencyScale = 0.02,
) -> None:
    """Start a local Azure by hand and print the environment that leads to it. Ctrl-C ends it."""
    from labkit.localazure import LocalAzure

    if context.invoked_subcommand is not None:
        return
    stop = threading.Event()
    for number in ending_signals():
        signal.signal(number, lambda *_: stop.set())
    with LocalAzure(port=port, seed=seed, latency_scale=latency_scale) as local:
        _print_environment(local)
        while not stop.wait(0.2):
            pass
    typer.echo("The local Azure has stopped.")


def _print_environment(local: "LocalAzure") -> None:
    variables = local.environment()
    typer.echo(f"Local Azure on {local.url}: runs on this machine, costs nothing. Ctrl-C ends it.")
    typer.echo("\n# bash, zsh")
    for name, value in variables.items():
        typer.echo(f"export {name}='{value}'")
    typer.echo("\n# PowerShell")
    for name, value in variables.items():
        typer.echo(f"$env:{name} = '{value}'")
    sys.stdout.flush()
