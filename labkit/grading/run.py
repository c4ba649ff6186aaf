"""Runs the solved notebooks with papermill, strictly, and stores what they print if asked to."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from labkit.errors import LabkitError
from labkit.grading import notebook as notebooks
from labkit.grading.play import CellRun, Rules, play

# A run never uses an Azure of the environment's: its outputs must come from a local one of its own.
_LEFT_OUT = (
    "LABKIT_AZURE_URL",
    "LABKIT_LAB_KEY",
    "LABKIT_SEED",
    "LABKIT_STRICT",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
)
_LEFT_OUT_PREFIXES = ("AZURE_", "OPENAI_")


class NoNotebooksError(LabkitError):
    """There is nothing to run under the paths given."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a notebook fared: ``error`` names the cell and what it raised, None when every cell ran."""

    path: Path
    error: str | None
    was_saved: bool = False


def find(paths: Iterable[Path]) -> list[Path]:
    """The notebooks ``paths`` name: files as they are, of folders every notebook directly in them."""
    found = [notebook for path in paths for notebook in _in(path)]
    if not found:
        raise NoNotebooksError(f"No notebooks (*.ipynb) in {', '.join(map(str, paths))}.")
    return found


def _in(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.glob("*.ipynb") if not one.name.startswith("."))
    if not path.is_file():
        raise NoNotebooksError(f"There is no {path}. Give notebooks, or a folder such as solutions/.")
    return [path]


def run(
    path: Path,
    *,
    strict: bool = True,
    save: bool = False,
    timeout_s: float = 120.0,
    on_cell: Callable[[int, int], None] = lambda done, total: None,
) -> Ran:
    """Run the notebook in ``path`` in its own folder, from the first cell to the first error.

    ``strict`` makes a check that fails an error. ``save`` stores the outputs in the notebook, tidied so that a second
    run writes the same bytes; a notebook with an error is never written. ``on_cell`` is told how many code cells ran.
    """
    try:
        notebook = notebooks.read(path)
    except notebooks.UnreadableNotebookError as error:
        return Ran(path, str(error))
    total = sum(map(notebooks.is_run, notebook.cells))
    ended: list[CellRun] = []

    def on_end(index: int, run: CellRun) -> None:
        ended.append(run)
        on_cell(len(ended), total)

    played = play(
        notebook,
        Rules(
            environment=environment(strict),
            folder=path.absolute().parent,
            timeout_s=lambda cell: timeout_s,
            stop_at_error=True,
            shut_down_politely=True,
            on_end=on_end,
        ),
    )
    error_text = _first_error(notebook, played.runs) or played.ended
    if error_text is None and save:
        notebooks.write_atomically(path, notebooks.dumps(notebooks.tidy(played.notebook)))
    return Ran(path, error_text, was_saved=error_text is None and save)


def environment(strict: bool) -> dict[str, str]:
    """The kernel's environment: this process's, without any Azure, so that each notebook starts its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _LEFT_OUT and not name.startswith(_LEFT_OUT_PREFIXES)
    }
    return {**kept, "LABKIT_STRICT": "1"} if strict else kept


def _first_error(notebook: NotebookNode, runs: Iterable[CellRun]) -> str | None:
    for index, (cell, one) in enumerate(zip(notebook.cells, runs, strict=True)):
        if one.status in ("error", "timeout"):
            return f"{notebooks.title(cell, index)}: {one.error}"
    return None
