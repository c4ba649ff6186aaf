"""``labkit run`` and ``labkit release``: the solved notebooks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.terminal import progress_bars

if TYPE_CHECKING:
    from rich.progress import Progress

    from labkit.grading.release import Change


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
    with progress_bars() as progress:
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
