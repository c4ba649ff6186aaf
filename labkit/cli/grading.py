"""``labkit sample`` and ``labkit grade``: a class and its points."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.terminal import give_up, progress_bars

if TYPE_CHECKING:
    from labkit.grading.grade import Graded

_Solutions = Annotated[Path, typer.Option(help="The folder with the solved notebooks and rubric/.")]


def sample(
    out: Annotated[Path, typer.Argument(help="The folder to write; made anew when it is a sample already.")],
    solutions: _Solutions = Path("solutions"),
) -> None:
    """Make a small class of submissions from the solutions: solved, half-done, untouched and three broken ones."""
    from labkit.grading import sample as samples

    students = samples.make(solutions, out)
    typer.echo(f"{out}: {len(students)} students: {', '.join(students)}.")


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
        with progress_bars() as progress:
            bar = progress.add_task("grading", total=None)
            graded = grading.grade_class(
                submissions, options, lambda step: progress.update(bar, completed=step.done, total=step.total)
            )
    except KeyboardInterrupt:
        give_up("Stopped. What is finished is kept; the same command goes on from there.", status=130)
    _print_class(graded)
    typer.echo(f"Graded {graded.fresh} notebooks, {graded.kept} were finished before.")
    typer.echo(f"Reports: {out}/<student>.json · class table: {out}/class.csv")
    if graded.needs_a_person:
        give_up("Some need a person; the lines above say which and why.", status=1)


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
