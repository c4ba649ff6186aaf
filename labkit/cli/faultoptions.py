"""What the commands under ``labkit azure fault`` share: whom they ask, and the options that say which calls."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, NamedTuple

import typer

from labkit.cli.durations import seconds
from labkit.cli.faultwords import described
from labkit.cli.terminal import give_up

Fields = dict[str, Any]
_What = Callable[..., Fields]


class Service(NamedTuple):
    """Which local Azure to break, or whose for a class, and the key that opens it."""

    url: str
    key: str

    def ask(self, method: str, path: str, body: Fields | None = None) -> list[tuple[str, Any]]:
        """What it answers, beside an empty name; of a class, what each student's answers, beside the student's.

        The command ends when there is no address or no key.
        """
        if not self.url.startswith(("http://", "https://")):
            give_up("Which local Azure? Set LABKIT_AZURE_URL to the address that `labkit azure` prints, or add --url.")
        if not self.key:
            give_up("Set LABKIT_ADMIN_SECRET to the secret that `labkit azure` prints, or add --secret.")
        return [(name, self._ask(url, method, path, body)) for name, url in self._places()]

    def _places(self) -> list[tuple[str, str]]:
        url = self.url.rstrip("/")
        if "students" not in self._ask(url, "GET", ""):
            return [("", url)]
        return [(row["student"], row["url"]) for row in self._ask(url, "GET", "class")["students"]]

    def _ask(self, url: str, method: str, path: str, body: Fields | None = None) -> Any:
        from labkit import labapi

        advice = f": {url}. Is it the address that `labkit azure` prints, and does that still run?"
        return labapi.ask(url, self.key, method, path, body=body, advice=advice)


def say(student: str, fault: Fields, more: str = "") -> None:
    """Print a fault in a line, with whose it is in a class."""
    whose = f"{student}: " if student else ""
    typer.echo(whose + described(fault) + more)


def _which(
    deployment: Annotated[str | None, typer.Option("--deployment", "-d", help="Only calls of this deployment.")] = None,
    operation: Annotated[str | None, typer.Option(help="Only chat, embeddings or responses.")] = None,
    contains: Annotated[str | None, typer.Option(help="Only calls whose last user message contains this.")] = None,
    times: Annotated[int | None, typer.Option(min=1, help="So many calls, then no more.")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="Each second, third, … call; 1 is every call.")] = None,
    share: Annotated[float | None, typer.Option(min=0, max=1, help="A share of the calls, 0 to 1.")] = None,
    in_: Annotated[
        float | None, typer.Option("--in", parser=seconds, metavar="TIME", help="Begin later: 30s, 2m.")
    ] = None,
    for_: Annotated[
        float | None, typer.Option("--for", parser=seconds, metavar="TIME", help="End by itself: 30s, 2m.")
    ] = None,
) -> Fields:
    given = {
        "deployment": deployment,
        "operation": operation,
        "contains": contains,
        "times": times,
        "every": every,
        "share": share,
        "after_s": in_,
        "for_s": for_,
    }
    return {name: value for name, value in given.items() if value is not None}


def command(app: typer.Typer, name: str, *, lasts: bool = False) -> Callable[[_What], Callable[..., None]]:
    """Makes a command of a function that returns what happens: adds ``_which``, sets the fault, says what was set.

    One that ``lasts`` hits every call until it is cleared, unless told otherwise.
    """

    def made(what: _What) -> Callable[..., None]:
        own, shared = signature(what).parameters, signature(_which).parameters

        @wraps(what)
        def run(context: typer.Context, **given: Any) -> None:
            which = _which(**{name: given[name] for name in shared})
            if lasts and not which.keys() & {"times", "every", "share", "for_s"}:
                which["every"] = 1
            fields = {**what(**{name: given[name] for name in own}), **which}
            for student, added in context.obj.ask("POST", "faults", fields):
                say(student, added)

        context = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        options = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*own.values(), *shared.values())]
        run.__signature__ = signature(run).replace(parameters=[context, *options])  # type: ignore[attr-defined]
        app.command(name)(run)
        return run

    return made
