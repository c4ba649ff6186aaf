"""The ``labkit`` command: one verb for each thing a student or an instructor does from a terminal.

Exit status: 0 done · 1 done, and something in it failed (a notebook, a comparison) · 2 could not be done as asked ·
130 stopped by Ctrl-C.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from urllib.parse import quote

import typer

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from rich.progress import Progress

    from labkit.grading.grade import Graded
    from labkit.grading.release import Change
    from labkit.localazure import LocalAzure

_FIRST_NOTEBOOK = Path("notebooks/en/01_deployment.ipynb")
_STOP_TIMEOUT_S = 15.0
# What the extra "instructor" adds (pyproject.toml); `labkit lab` and `labkit azure` do without.
_INSTRUCTORS_ONLY = ("jupyter_client", "nbclient", "nbformat", "papermill", "psutil")

app = typer.Typer(
    name="labkit",
    help="The workbook of session 13: open it, run it, release it, grade it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Seed = Annotated[int, typer.Option(help="Decides what the simulated models answer.")]
_LatencyScale = Annotated[float, typer.Option(min=0, help="1 is as slow as the real models, 0 answers at once.")]
_Solutions = Annotated[Path, typer.Option(help="The folder with the solved notebooks and rubric/.")]


def main() -> None:
    """Run the command line. What cannot be done is said in a line or two, never as a traceback."""
    # Being told to end is like Ctrl-C: what was started is stopped first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except (LabkitError, OSError) as error:
        _give_up(str(error))
    except ModuleNotFoundError as error:
        if error.name not in _INSTRUCTORS_ONLY:
            raise
        _give_up(
            f"This needs {error.name}, which a student's set-up leaves out. "
            "Install the instructor's part, `pip install --editable '.[instructor]'`, or run `make .venv/test.done`."
        )


def _give_up(message: str, status: int = 2) -> NoReturn:
    typer.echo(f"labkit: {message}", err=True)
    sys.exit(status)


# -- lab and azure: servers until Ctrl-C ---------------------------------------------------------------------------


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    notebook: Annotated[Path, typer.Option(help="The notebook to open first.")] = _FIRST_NOTEBOOK,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open no browser.")] = False,
    port: Annotated[int | None, typer.Option(help="JupyterLab's port on 127.0.0.1; by default a free one.")] = None,
    seed: _Seed = 13,
    latency_scale: _LatencyScale = 0.02,
) -> None:
    """Open the workbook in JupyterLab on a local Azure of its own.

    Both end with Ctrl-C. Further options are JupyterLab's.
    """
    from labkit.localazure import LocalAzure

    if not notebook.is_file():
        _give_up(f"There is no {notebook}. Run this in the workbook's folder, or name a notebook with --notebook.")
    with LocalAzure(seed=seed, latency_scale=latency_scale) as azure:
        command = [sys.executable, "-m", "jupyterlab", *_jupyterlab_options(notebook, port, no_browser), *context.args]
        status = _run_until_told(command, {**os.environ, **azure.environment(), **_jupyter_settings()})
    if status != 0:
        _give_up(f"JupyterLab ended with status {status}; what it said is above.", status=1)


def _jupyterlab_options(notebook: Path, port: int | None, no_browser: bool) -> list[str]:
    options = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={notebook.parent.absolute()}",
        f"--LabApp.default_url=/lab/tree/{quote(notebook.name)}",
        # These would call out; the workbook works without a network.
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
    ]
    if port is not None:
        options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if no_browser:
        options.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # containers; it listens on loopback and asks for its token
    return options


def _jupyter_settings() -> dict[str, str]:
    """The environment that makes JupyterLab read our default settings (no question about news) before the user's."""
    paths = [str(Path(__file__).parent / "data" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def _run_until_told(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run ``command`` until it ends or this process is told to; returns its status, 0 when it was told."""
    told: list[int] = []
    for number in _ending_signals():
        signal.signal(number, lambda number, _: told.append(number))
    # In a group of its own it does not get Ctrl-C itself, and so does not ask whether it was meant.
    child = subprocess.Popen(command, env=dict(environment), start_new_session=os.name == "posix")
    while True:
        try:
            status = child.wait(timeout=0.2)
            return 0 if told else status
        except subprocess.TimeoutExpired:
            if told:
                _end(child)
                return 0


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        child.wait()


def _ending_signals() -> Iterable[signal.Signals]:
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@app.command()
def azure(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    seed: _Seed = 13,
    latency_scale: _LatencyScale = 0.02,
) -> None:
    """Start a local Azure by hand and print the environment that leads to it. Ctrl-C ends it."""
    import threading

    from labkit.localazure import LocalAzure

    stop = threading.Event()
    for number in _ending_signals():
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


# -- run and release: the solved notebooks ---------------------------------------------------------------------------


@app.command()
def run(
    paths: Annotated[list[Path] | None, typer.Argument(help="Notebooks, or folders of notebooks.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Store the outputs in the notebooks.")] = False,
    strict: Annotated[bool, typer.Option(help="A check that does not pass stops its notebook.")] = True,
    timeout_s: Annotated[float, typer.Option(min=1, help="Seconds one cell may take.")] = 120.0,
) -> None:
    """Run solved notebooks from the first cell to the last, each on a local Azure of its own."""
    from labkit.grading import run as runs

    found = runs.find(paths or [Path("solutions")])
    failed = 0
    with _progress() as progress:
        overall = progress.add_task("notebooks", total=len(found))
        for path in found:
            on_cell = _cell_bar(progress, path)
            ran = runs.run(path, strict=strict, save=save, timeout_s=timeout_s, on_cell=on_cell)
            failed += ran.error is not None
            said = ran.error or ("ran to its last cell, outputs stored" if ran.was_saved else "ran to its last cell")
            progress.console.print(f"{path}: {said}", markup=False, highlight=False, soft_wrap=True)
            progress.update(overall, advance=1)
    typer.echo(f"{len(found) - failed} of {len(found)} notebooks ran.")
    if failed:
        raise typer.Exit(1)


def _cell_bar(progress: "Progress", path: Path) -> Callable[[int, int], None]:
    """A bar for the cells of the notebook in ``path``; call it with how many of how many have run."""
    bar = progress.add_task(path.stem, total=None)

    def advance(done: int, total: int) -> None:
        progress.update(bar, completed=done, total=total)

    return advance


@app.command()
def release(
    solutions: Annotated[Path, typer.Argument(help="The folder with the solved notebooks.")] = Path("solutions"),
    notebooks: Annotated[Path, typer.Argument(help="The folder for the derived ones.")] = Path("notebooks"),
    check: Annotated[bool, typer.Option("--check", help="Change nothing; say what would change.")] = False,
) -> None:
    """Derive the notebooks students open from the solved ones."""
    from labkit.grading import release as releases

    changes = releases.plan(solutions, notebooks)
    for change in changes:
        typer.echo(f"{change.path}: {change.verb}")
    if not check:
        releases.carry_out(changes)
    typer.echo(_release_summary(changes, solutions, check))
    if check and changes:
        raise typer.Exit(1)


def _release_summary(changes: Sequence["Change"], solutions: Path, check: bool) -> str:
    if not changes:
        return f"The derived notebooks are what {solutions} makes."
    if check:
        return f"{len(changes)} derived notebooks differ from {solutions}. `labkit release` brings them up to date."
    return f"{len(changes)} derived notebooks brought up to date."


# -- sample and grade: a class ---------------------------------------------------------------------------------------


@app.command()
def sample(
    out: Annotated[Path, typer.Argument(help="The folder to write; made anew when it is a sample already.")],
    solutions: _Solutions = Path("solutions"),
) -> None:
    """Make a small class of submissions from the solutions: solved, half-done, untouched and three broken ones."""
    from labkit.grading import sample as samples

    students = samples.make(solutions, out)
    typer.echo(f"{out}: {len(students)} students: {', '.join(students)}.")


@app.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="The folder that holds one folder for each student.")],
    out: Annotated[Path, typer.Option(help="The folder for the reports; also keeps what is finished.")],
    solutions: _Solutions = Path("solutions"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Notebooks at the same time; by default one a CPU.")] = None,
    timeout_s: Annotated[float, typer.Option(min=1, help="Seconds one cell may take.")] = 20.0,
    deadline_s: Annotated[float, typer.Option(min=1, help="Seconds one notebook may take, probes aside.")] = 120.0,
    again: Annotated[bool, typer.Option("--again", help="Grade anew what is finished already.")] = False,
) -> None:
    """Grade a class; what is finished is kept, so that the same command goes on where it was stopped.

    Hidden inputs are drawn from LABKIT_GRADING_SECRET, or else from a secret made once and kept in OUT/.labkit.
    """
    from labkit.grading import grade as grading
    from labkit.grading.attempt import Limits

    options = grading.Options(
        solutions=solutions,
        out=out,
        jobs=jobs or os.cpu_count() or 1,
        limits=Limits(cell_s=timeout_s, notebook_s=deadline_s),
        again=again,
    )
    try:
        with _progress() as progress:
            bar = progress.add_task("grading", total=None)
            graded = grading.grade_class(
                submissions, options, lambda step: progress.update(bar, completed=step.done, total=step.total)
            )
    except KeyboardInterrupt:
        _give_up("Stopped. What is finished is kept; the same command goes on from there.", status=130)
    _print_class(graded)
    typer.echo(f"Graded {graded.fresh} notebooks, {graded.kept} were finished before.")
    typer.echo(f"Reports: {out}/<student>.json · class table: {out}/class.csv")
    if graded.needs_a_person:
        _give_up("Some need a person; the lines above say which and why.", status=1)


def _print_class(graded: "Graded") -> None:
    """The points as a table, and under it what a person should look at."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from labkit.grading.report import remarks, total

    tasks = sorted({result.task for found in graded.results.values() for result in found})
    table = Table("student", *tasks, "total")
    said = []
    for student, found in sorted(graded.results.items()):
        points = {result.task: f"{result.points:g} / {result.max_points:g}" for result in found}
        table.add_row(escape(student), *(points.get(task, "") for task in tasks), f"{total(found):g}")
        said += [f"{student}: {remark}" for remark in remarks(found)]
    console = Console()
    console.print(table)
    for line in said:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _progress() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


if __name__ == "__main__":
    main()
