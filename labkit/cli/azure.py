"""``labkit azure``: a local Azure by hand, or one for each student of a class, until Ctrl-C."""

import signal
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.cli import faults
from labkit.cli.exports import print_admin_secret, print_exports
from labkit.cli.terminal import LatencyScale, Seed, ending_signals, give_up

_EXAMPLES = """
Examples:

\b
  labkit azure                              one for today, on a free port
  labkit azure --port 8013 --state my.db    the same tomorrow: resources, telemetry, spend, keys
  labkit azure --port 8013 --tls            https, as the Azure CLI wants it (docs/azure-cli.md)
  labkit azure --port 8013 --class class.csv --state class/
                                            one server, a local Azure for each student
"""

# A group whose bare call starts the server: what is done to a running one are its commands.
app = typer.Typer()
app.add_typer(faults.app, name="fault")

_StateOption = typer.Option(
    "--state",
    metavar="FILE",
    help="Keep resources, telemetry, spend, alerts and keys in this file; with --class, in a file for each student "
    "in this folder. Made when it is not there. A crash loses nothing that was acknowledged.",
)
_ClassOption = typer.Option(
    "--class",
    metavar="ROSTER.csv",
    help="A local Azure for each student in this table: a column student (or id, login, email), and key if you choose "
    "the keys. What to hand out is written to ROSTER-keys.csv.",
)
_CaOption = typer.Option(
    "--ca",
    metavar="FILE",
    help="Where to write the certificate that clients trust; by default beside the state or the table, "
    "else a temporary file.",
)


@app.callback(invoke_without_command=True, epilog=_EXAMPLES)
def azure(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    seed: Seed = 13,
    latency_scale: LatencyScale = 0.02,
    quota_ktpm: Annotated[
        int | None, typer.Option(min=1, help="Quota of every model in thousands of tokens per minute, not Azure's own.")
    ] = None,
    state: Annotated[Path | None, _StateOption] = None,
    roster: Annotated[Path | None, _ClassOption] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak https under a private CA made on the spot.")] = False,
    ca: Annotated[Path | None, _CaOption] = None,
) -> None:
    """Start a local Azure by hand and print the environment that leads to it. Ctrl-C ends it.

    It listens on this machine only. A command does something to one that runs.
    """
    if context.invoked_subcommand is not None:
        return
    if ca is not None and not tls:
        give_up("--ca names the file for the certificate of a server that speaks https; add --tls.")
    if state is not None:
        from labkit.localazure.files import keep_new_files_private

        keep_new_files_private()
    stop = threading.Event()
    for number in ending_signals():
        signal.signal(number, lambda *_: stop.set())
    options = {"port": port, "seed": seed, "latency_scale": latency_scale, "quota_ktpm": quota_ktpm, "state": state}
    with ExitStack() as closing:
        ca_file = _ca_file(ca or _beside(state or roster), closing) if tls else None
        if roster is None:
            _serve_one(closing, ca_file=ca_file, **options)
        else:
            _serve_class(closing, roster, ca_file=ca_file, **options)
        while not stop.wait(0.2):
            pass
    typer.echo("The local Azure has stopped.")


def _beside(kept: Path | None) -> Path | None:
    return kept and kept.with_name(f"{kept.stem}-ca.pem")


def _ca_file(given: Path | None, closing: ExitStack) -> Path:
    """Where the certificate goes; a temporary one goes when the server does."""
    if given is not None:
        return given
    return Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="labkit-"))) / "ca.pem"


def _serve_one(closing: ExitStack, **options: Any) -> None:
    from labkit.localazure import LocalAzure

    local = closing.enter_context(LocalAzure(**options))
    typer.echo(f"Local Azure on {local.url}: runs on this machine, costs nothing. Ctrl-C ends it.")
    typer.echo(f"Console: {local.url}/#key={local.lab_key}")
    print_exports(local.environment())
    print_admin_secret(local.admin_secret, f"{local.url}/#key={local.admin_secret}")


def _serve_class(closing: ExitStack, roster: Path, **options: Any) -> None:
    from labkit.localazure.classserver import ClassServer

    served = closing.enter_context(ClassServer(roster, **options))
    count = len(served.students)
    typer.echo(f"Class server on {served.url}: a local Azure for each of {count} students. Ctrl-C ends it.")
    typer.echo(f"Hand out, a row for each student: {served.handout}")
    print_admin_secret(served.admin_secret, f"{served.url}/#key={served.admin_secret}")
