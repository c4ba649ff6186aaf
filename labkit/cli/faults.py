"""``labkit azure fault``: break a running local Azure on purpose, and mend it."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from typer.core import TyperGroup

from labkit.cli.durations import seconds
from labkit.cli.faultoptions import Fields, Service, command, say
from labkit.cli.terminal import give_up

EXAMPLES = """
Examples:

\b
  labkit azure fault 429 --deployment gpt-4-turbo --times 5 --retry-after 2s
  labkit azure fault 503 --every 3
  labkit azure fault 500 --share 0.2 --for 10m
  labkit azure fault slow --delay 5s            the next answer really takes five seconds longer
  labkit azure fault latency --times-as-slow 10
  labkit azure fault cut --after-chunks 5
  labkit azure fault outage --deployment gpt-4-turbo --in 30s --for 2m
  labkit azure fault script breakdown.json
  labkit azure fault list
  labkit azure fault clear

Without --times, --every, --share or --for only the next call is hit; latency and outage last until they are cleared.
"""


class _Group(TyperGroup):
    """Takes a status for a command: ``fault 429`` is ``fault status 429``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, ["status", *args] if args[0].isdigit() else args)


app = typer.Typer(cls=_Group, no_args_is_help=True, epilog=EXAMPLES, subcommand_metavar="STATUS | COMMAND [OPTIONS]")


@app.callback()
def fault(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="LABKIT_AZURE_URL", help="The address of the local Azure.", show_default=False)
    ] = "",
    secret: Annotated[
        str,
        typer.Option(
            envvar=["LABKIT_ADMIN_SECRET", "LABKIT_LAB_KEY"],
            help="Its admin secret; with the lab key you see and clear your own faults only. Others on this machine "
            "can read a command's options, so the environment is the better place.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Break a running local Azure on purpose: STATUS (429, 503, …) is what calls are answered with.

    What they run into is in the journal. Delays are really waited for, unless --simulated scales them like the
    models' latency. At the address of a class every student's local Azure breaks; with /class/STUDENT, one's.
    """
    context.obj = Service(url, secret)


# -- what happens ----------------------------------------------------------------------------------------------------

_Delay = Annotated[float, typer.Option("--delay", parser=seconds, metavar="TIME", help="How late: 500ms, 5s, 1m.")]
_Late = Annotated[
    float | None, typer.Option("--delay", parser=seconds, metavar="TIME", help="Let the caller wait before.")
]
_Simulated = Annotated[bool, typer.Option("--simulated", help="Scale the delay as the models' latency is scaled.")]


def _late(delay_s: float | None, simulated: bool) -> Fields:
    return {"delay_ms": round((delay_s or 0.0) * 1000), "real": not simulated}


@command(app, "status")
def status(
    status: Annotated[int, typer.Argument(min=400, max=599, metavar="STATUS", help="429, 500, 503, 408, …")],
    retry_after: Annotated[
        float | None, typer.Option(parser=seconds, metavar="TIME", help="What the answer says to wait: 2s, 100ms.")
    ] = None,
    delay: _Late = None,
    simulated: _Simulated = False,
) -> Fields:
    """Answer with an error in the service's own words; `fault 429` is short for `fault status 429`."""
    return {"kind": "status", "status": status, "retry_after_s": retry_after, **_late(delay, simulated)}


@command(app, "slow")
def slow(delay: _Delay, simulated: _Simulated = False) -> Fields:
    """Answer late; of a stream, the first token is late."""
    return {"kind": "slow", **_late(delay, simulated)}


@command(app, "first-byte")
def first_byte(delay: _Delay, simulated: _Simulated = False) -> Fields:
    """Send nothing at first, of a stream not even the headers."""
    return {"kind": "first_byte", **_late(delay, simulated)}


@command(app, "stream")
def stream(
    times_as_slow: Annotated[float | None, typer.Option(help="For each token, so many times as long.")] = None,
    per_token: Annotated[
        float | None, typer.Option(parser=seconds, metavar="TIME", help="For each token, so long: 200ms.")
    ] = None,
    simulated: _Simulated = False,
) -> Fields:
    """Let the tokens of a stream come slowly."""
    if (times_as_slow is None) == (per_token is None):
        raise typer.BadParameter("How slowly? Give --times-as-slow 10 or --per-token 200ms.")
    return {"kind": "slow_stream", "factor": times_as_slow, **_late(per_token, simulated)}


@command(app, "latency", lasts=True)
def latency(times_as_slow: Annotated[float, typer.Option(help="So many times the simulated latency.")]) -> Fields:
    """Make a deployment many times as slow as its model is, until cleared."""
    return {"kind": "latency", "factor": times_as_slow}


@command(app, "cut")
def cut(
    after_chunks: Annotated[int | None, typer.Option(min=0, help="After so many chunks of a stream.")] = None,
    after_bytes: Annotated[int | None, typer.Option(min=0, help="After so many bytes of the body.")] = None,
) -> Fields:
    """End the connection in the middle of the answer; half-way, unless told where."""
    return {"kind": "cut", "after_chunks": after_chunks, "after_bytes": after_bytes}


@command(app, "reset")
def reset(delay: _Late = None, simulated: _Simulated = False) -> Fields:
    """Reset the connection (TCP RST) instead of answering."""
    return {"kind": "reset", **_late(delay, simulated)}


@command(app, "drop")
def drop(delay: _Late = None, simulated: _Simulated = False) -> Fields:
    """Close the connection without an answer."""
    return {"kind": "drop", **_late(delay, simulated)}


@command(app, "outage", lasts=True)
def outage(
    by_reset: Annotated[bool, typer.Option("--reset", help="Reset connections instead of answering 503.")] = False,
) -> Fields:
    """Let every call fail with 503: now or --in a while, --for a time or until cleared."""
    return {"kind": "reset"} if by_reset else {"kind": "status", "status": 503}


# -- scripts, and what waits -----------------------------------------------------------------------------------------


@app.command("script")
def script(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A .json or .toml file.")],
) -> None:
    """Set and clear faults by the clock, in seconds from now, as FILE says.

    It holds events, as JSON [{"at_s": 60, "fault": {"deployment": "big", "status": 503}}, {"at_s": 180, "clear": true}]
    or the same as [[events]] in TOML. A fault's fields are the parameters of labkit.lab.fault.
    """
    for student, added in context.obj.ask("POST", "faults/script", {"events": _events(file)}):
        for each in added["faults"]:
            say(student, each)


def _events(file: Path) -> object:
    form, loads = ("TOML", tomllib.loads) if file.suffix == ".toml" else ("JSON", json.loads)
    try:
        found = loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        give_up(f"{file} cannot be read as {form}: {error}")
    return found.get("events", []) if isinstance(found, dict) else found


@app.command("list")
def list_(context: typer.Context) -> None:
    """Show the faults that wait."""
    waiting = [(student, each) for student, found in context.obj.ask("GET", "faults") for each in found["faults"]]
    for student, each in waiting:
        say(student, each, " (set with the lab key)" if each["by"] == "lab" else "")
    if not waiting:
        typer.echo("No fault waits.")


@app.command("clear")
def clear(
    context: typer.Context,
    id: Annotated[str | None, typer.Argument(help="One fault, as `list` names it; without it all of them.")] = None,
) -> None:
    """Take faults back: all of them, or one."""
    path = "faults" if id is None else f"faults/{quote(id, safe='')}"
    removed = sum(done["removed"] for _, done in context.obj.ask("DELETE", path))
    typer.echo(f"{removed} {'fault' if removed == 1 else 'faults'} taken back.")
