"""Puts the locked cells of the release back into a submission, whatever became of them there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nbformat import NotebookNode

from labkit.grading.notebook import POSITION_ID, Mark, mark, node, seen_text


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing about a submission that the report mentions; ``kind`` is a word to sort by."""

    kind: str
    cell: str
    text: str


@dataclass(frozen=True, slots=True)
class Restored:
    """A submission that can be run: locked cells as released, the rest as handed in, and what had to be mended."""

    notebook: NotebookNode
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _Slot:
    """A cell on its way: the release's cell it stands for (its index there), or None for the student's own."""

    cell: NotebookNode
    rank: int | None = None


def restore(release: NotebookNode, submission: NotebookNode) -> Restored:
    """``submission`` with every locked cell of ``release`` in place, once, in order and as released.

    A cell is recognised by its grade id, else by its cell id, else by its text, so that editors which drop metadata
    raise no alarm. The student's own cells stay between the neighbours they had. Answers are never put back: a student
    who deleted the answer cell may have written the answer into a new one.
    """
    locked = {rank: cell for rank, cell in enumerate(release.cells) if _is_locked(cell)}
    slots = _matched(release.cells, submission.cells)
    slots, doubled = _without_doubles(slots, locked)
    slots, moved = _without_moved(slots, locked)
    edited = _put_back(slots, locked)
    present = {slot.rank for slot in slots}
    missing = [rank for rank in locked if rank not in present]
    for rank in missing:
        slots.insert(_place(slots, rank, len(release.cells)), _Slot(node(locked[rank]), rank))
    problems = [
        *_problems("edited", edited, locked, "was edited; the released cell ran instead"),
        *_problems("moved", moved, locked, "was moved; it ran where the release has it"),
        *_problems("deleted", set(missing) - moved, locked, "was deleted; it was put back"),
        *_problems("duplicated", doubled, locked, "was there more than once; it ran once"),
    ]
    notebook = node({**submission, "metadata": {}, "cells": _unmarked(slots, release.cells)})
    return Restored(notebook, tuple(problems))


def _is_locked(cell: NotebookNode) -> bool:
    marked = mark(cell)
    return marked is not None and marked.locked


def _matched(released: Sequence[NotebookNode], submitted: Iterable[NotebookNode]) -> list[_Slot]:
    """Each submitted cell with the release's cell it came from."""
    by_grade_id = {marked.grade_id: rank for rank, cell in enumerate(released) if (marked := mark(cell))}
    by_id = {cell.id: rank for rank, cell in enumerate(released) if not cell.id.startswith(POSITION_ID)}
    by_text = {(cell.cell_type, seen_text(cell.source)): rank for rank, cell in enumerate(released)}

    def rank(cell: NotebookNode) -> int | None:
        marked = mark(cell)
        if marked is not None and marked.grade_id in by_grade_id:
            return by_grade_id[marked.grade_id]
        return by_id.get(cell.id, by_text.get((cell.cell_type, seen_text(cell.source))))

    return [_Slot(node(cell), rank(cell)) for cell in submitted]


def _without_doubles(slots: list[_Slot], locked: dict[int, NotebookNode]) -> tuple[list[_Slot], set[int]]:
    """The slots with one cell for each rank: further copies of a locked cell go, others become the student's own."""
    seen: set[int] = set()
    doubled: set[int] = set()
    kept = []
    for slot in slots:
        if slot.rank in seen:
            if slot.rank in locked:
                doubled.add(slot.rank)
                continue
            slot.rank = None
        elif slot.rank is not None:
            seen.add(slot.rank)
        kept.append(slot)
    return kept, doubled


def _without_moved(slots: list[_Slot], locked: dict[int, NotebookNode]) -> tuple[list[_Slot], set[int]]:
    """The slots without the locked cells that are out of order; as few as possible are taken to be moved."""
    order = [slot.rank for slot in slots if slot.rank is not None and slot.rank in locked]
    moved = set(order) - set(_longest_rising(order))
    return [slot for slot in slots if slot.rank not in moved], moved


def _longest_rising(numbers: Sequence[int]) -> list[int]:
    best: list[list[int]] = []
    for index, number in enumerate(numbers):
        before = (best[earlier] for earlier in range(index) if numbers[earlier] < number)
        best.append([*max(before, key=len, default=[]), number])
    return max(best, key=len, default=[])


def _put_back(slots: list[_Slot], locked: dict[int, NotebookNode]) -> set[int]:
    """Replace each locked cell by the released one; returns the ranks of those that differed."""
    edited = set()
    for slot in slots:
        if slot.rank is not None and slot.rank in locked:
            released = locked[slot.rank]
            if (slot.cell.cell_type, seen_text(slot.cell.source)) != (released.cell_type, seen_text(released.source)):
                edited.add(slot.rank)
            slot.cell = node(released)
    return edited


def _place(slots: list[_Slot], rank: int, released: int) -> int:
    """Where the cell of ``rank`` belongs: before the next cell of the release that is there, else at the end.

    As late as the release allows, so that what the student wrote between the two has run by then.
    """
    at = {slot.rank: index for index, slot in enumerate(slots) if slot.rank is not None}
    return next((at[later] for later in range(rank + 1, released) if later in at), len(slots))


def _problems(kind: str, ranks: set[int], locked: dict[int, NotebookNode], what: str) -> list[Problem]:
    marks: list[Mark | None] = [mark(locked[rank]) for rank in sorted(ranks)]
    return [Problem(kind, marked.grade_id, f"The locked cell {marked.grade_id} {what}.") for marked in marks if marked]


def _unmarked(slots: list[_Slot], released: Sequence[NotebookNode]) -> list[NotebookNode]:
    """The cells; one that is not the release's loses its mark, and an answer gets back the mark it had there."""
    for index, slot in enumerate(slots):
        slot.cell.metadata.pop("nbgrader", None)
        if slot.rank is not None and "nbgrader" in released[slot.rank].metadata:
            slot.cell.metadata["nbgrader"] = node(released[slot.rank].metadata["nbgrader"])
        slot.cell["id"] = f"c{index}"
    return [slot.cell for slot in slots]
