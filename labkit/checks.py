"""Checks that read like sentences: ``with check("2.1 a repeated question costs one call"):`` around plain asserts.

A check prints one line and lets the notebook go on, whatever happens inside, so that a half-solved notebook still runs
to its end. With ``LABKIT_STRICT=1`` it raises as well; solved notebooks are run that way.
"""

import linecache
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import FrameType, TracebackType
from typing import Literal

from labkit.errors import InvalidRequestError, NotLocalError

Status = Literal["passed", "not_yet", "failed", "error", "skipped"]

_MARKS: dict[Status, str] = {"passed": "✅", "not_yet": "⏳", "failed": "❌", "error": "❌", "skipped": "➖"}
_TITLE = re.compile(r"\d+\.\d+ \S")
_LONGEST_MESSAGE = 300
_LONGEST_SOURCE = 100
# What differs from run to run, and says nothing to the reader: addresses of objects, the local Azure's port.
_VOLATILE = ((re.compile(r"\b0x[0-9a-fA-F]{4,}"), "0x…"), (re.compile(r"(127\.0\.0\.1|localhost):\d+"), r"\1"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check found; ``message`` is empty when it passed."""

    title: str
    status: Status
    message: str = ""

    def __str__(self) -> str:
        """The one line a reader sees."""
        return f"{_MARKS[self.status]} {self.title}" + (f" — {self.message}" if self.message else "")


_verdicts: dict[str, Verdict] = {}


def check(title: str) -> "_Check":
    """A context manager that runs one self-check and shows its verdict in a line.

    The title starts with the exercise's number, as in ``"2.1 a repeated question costs one call"``. An assert that
    fails shows its message; ``NotImplementedError``, or a name that does not exist yet, shows "not yet"; a check that
    needs the local Azure is skipped on the real one; any other error shows with the line of the reader's own code it
    came from. A verdict replaces an earlier one of the same title.
    """
    if not _TITLE.match(title):
        raise InvalidRequestError(f"A check's title starts with its exercise's number, as in '2.1 …'; got {title!r}.")
    return _Check(title)


def scoreboard(total: int | None = None) -> None:
    """Shows how many checks pass and which remain; ``total`` also counts the checks that have not been run."""
    verdicts = list(_verdicts.values())
    passed = sum(verdict.status == "passed" for verdict in verdicts)
    remaining = [verdict for verdict in verdicts if verdict.status != "passed"]
    number = max(total or 0, len(verdicts))
    lines = [f"{passed} of {number} checks pass."]
    lines += [f"{_MARKS[verdict.status]} {verdict.title}" for verdict in remaining]
    if number > len(verdicts):
        lines.append(f"{number - len(verdicts)} not run yet.")
    titles = [verdict.title for verdict in remaining]
    _show("\n".join(lines), "scoreboard", {"passed": passed, "total": number, "remaining": titles})


class _Check:
    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is not None and not isinstance(error, Exception):
            return False  # KeyboardInterrupt, SystemExit and a cancelled task mean what they say.
        verdict = _judge(self._title, error, traceback)
        _verdicts[self._title] = verdict
        _show(str(verdict), "check", asdict(verdict))
        raises = os.environ.get("LABKIT_STRICT") == "1" and verdict.status != "skipped"
        return not raises


@dataclass(frozen=True, slots=True)
class _Place:
    """One step of a traceback."""

    frame: FrameType
    line: int

    @property
    def cell(self) -> str:
        """Which cell (or file) the code is from."""
        return self.frame.f_code.co_filename

    @property
    def function(self) -> str:
        """The function's name, with its class."""
        return self.frame.f_code.co_qualname.replace("<locals>.", "")

    @property
    def source(self) -> str:
        """The line of code itself; Jupyter keeps the text of cells where ``linecache`` finds it."""
        return _tidy(linecache.getline(self.cell, self.line, self.frame.f_globals), _LONGEST_SOURCE)


def _judge(title: str, error: Exception | None, traceback: TracebackType | None) -> Verdict:
    if error is None:
        return Verdict(title, "passed")
    if isinstance(error, NotLocalError):
        return Verdict(title, "skipped", "needs the local Azure: skipped")
    places = list(_places(traceback))
    if what := _unwritten(error, places):
        # A stub names its exercise, as the title does; once is enough.
        return Verdict(title, "not_yet", f"not yet: {what.removeprefix(title.split()[0] + ': ')}")
    said = " ".join(_tidy(part) for part in [_words(error), *getattr(error, "__notes__", ())])
    if isinstance(error, AssertionError):
        return Verdict(title, "failed", said or f"this did not hold: {_own(places).source}")
    name = type(error).__name__
    return Verdict(title, "error", (f"{name}: {said}" if said else name) + _where(places))


def _unwritten(error: BaseException, places: list[_Place]) -> str | None:
    """What the reader has still to write, if that is why ``error`` was raised."""
    for each in _with_causes(error):
        if isinstance(each, NotImplementedError):
            stub = (list(_places(each.__traceback__)) or places)[-1]
            return _tidy(_words(each)) or f"{stub.function}() is still to be written"
    missing = isinstance(error, NameError) and not isinstance(error, UnboundLocalError)
    # Only a name that the check itself uses: one missing inside the reader's function is a slip to be shown.
    if missing and places[-1].cell == places[0].cell:
        return f"{getattr(error, 'name', None)} does not exist so far"
    return None


def _with_causes(error: BaseException) -> list[BaseException]:
    """``error``, what it was raised from, and the members of an exception group (a ``TaskGroup`` raises one)."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or any(each is seen for seen in found):  # an error can be its own cause
            continue
        found.append(each)
        waiting += [*(each.exceptions if isinstance(each, BaseExceptionGroup) else ()), each.__cause__]
    return found


def _places(traceback: TracebackType | None) -> Iterator[_Place]:
    while traceback is not None:
        yield _Place(traceback.tb_frame, traceback.tb_lineno)
        traceback = traceback.tb_next


def _own(places: list[_Place]) -> _Place:
    """The last step in the reader's own code: it shares its globals with the cell that runs the check."""
    return [place for place in places if place.frame.f_globals is places[0].frame.f_globals][-1]


def _where(places: list[_Place]) -> str:
    place = _own(places)
    where = "of this cell" if place.cell == places[0].cell else f"of the cell with {place.function}()"
    return f" (line {place.line} {where}: {place.source})"


def _words(error: BaseException) -> str:
    """The error's message; none when it is a class of the reader's own that cannot say it."""
    try:
        return str(error)
    except Exception:
        return ""


def _tidy(message: str, longest: int = _LONGEST_MESSAGE) -> str:
    """``message`` on one line, without what changes from run to run, and not too long."""
    line = " ".join(message.split())
    for volatile, stand_in in _VOLATILE:
        line = volatile.sub(stand_in, line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _show(text: str, kind: str, record: dict[str, object]) -> None:
    """Shows ``text``, in Jupyter with the same as data beside it: nobody has to parse what is printed."""
    # Asked this way, because importing IPython where it is not running would cost half a second.
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display({"text/plain": text, f"application/vnd.labkit.{kind}+json": record}, raw=True)
        return
    encoding = sys.stdout.encoding or "utf-8"  # a Windows console may not know the marks
    print(text.encode(encoding, errors="replace").decode(encoding))
