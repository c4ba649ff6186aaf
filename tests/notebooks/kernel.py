"""Runs cells of a notebook one by one in a real kernel, and reads the verdicts of their checks."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

REPO = Path(__file__).parents[2]
SOLUTIONS = REPO / "solutions"
NOTEBOOKS = REPO / "notebooks" / "en"
TASKS = ("01_deployment", "02_optimization", "03_monitoring", "04_cost")
RECORD = "application/vnd.labkit.check+json"


def read(path: Path) -> NotebookNode:
    """The notebook in ``path``."""
    return nbformat.read(path, as_version=4)


def grade_id(cell: NotebookNode) -> str | None:
    """The grade id of ``cell``, or None."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def verdicts(cell: NotebookNode) -> list[str]:
    """What the checks in ``cell`` said: ``passed``, ``failed``, ``error``, ``not_yet`` or ``skipped``."""
    outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [data[RECORD]["status"] for data in outputs if RECORD in data]


def text(cell: NotebookNode) -> str:
    """Everything ``cell`` wrote, as text: for messages of a failing test."""
    pieces = []
    for output in cell.get("outputs", []):
        pieces.append(output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue") or "")
    return "\n".join(pieces)


class Kernel:
    """A running kernel; a cell is run as if it stood alone."""

    def __init__(self, client: NotebookClient) -> None:
        self._client = client

    def run(self, cell: NotebookNode, source: str | None = None) -> NotebookNode:
        """A copy of ``cell`` (with another ``source`` when given) with the outputs it has now."""
        fresh = nbformat.v4.new_code_cell(cell.source if source is None else source, metadata=cell.metadata)
        self._client.nb.cells = [fresh]
        return self._client.execute_cell(fresh, 0)


@contextmanager
def kernel(folder: Path, **environment: str) -> Iterator[Kernel]:
    """A kernel with ``folder`` as its home and ``environment`` beside what a process needs; shut down afterwards."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    client = NotebookClient(notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    variables = {**inherited, "HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    with client.setup_kernel(env=variables):
        yield Kernel(client)
