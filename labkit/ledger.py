"""A file that keeps the answers of a batch as they come, so that a batch that was killed goes on where it was."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

logger = logging.getLogger(__name__)

# The first line of every ledger; a file without it is somebody else's and is not touched.
_FIRST_LINE = b'{"labkit":"batch answers","format":1}\n'
_PRIVATE = 0o600


class LedgerError(LabkitError, OSError):
    """The file to resume a batch from cannot be used: another process has it, or it is not one."""


class Entry(NamedTuple):
    """Which request of a batch an answer belongs to: its key, and how many of that key came before it."""

    key: str
    occurrence: int = 0


class Ledger:
    """The answers in the file at ``path``, made when it is not there; only its owner can read it.

    One line of JSON an answer, appended in one write before it counts: a kill loses no more than the line being
    written, which the next run cuts off. It outlives its process, not a power cut, after which the last seconds may be
    missing. One process at a time: ``LedgerError`` for a second one, and for a file that is something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = _opened(self.path)
        try:
            _lock(self._file, self.path)
            self._lines = self._read()
        except BaseException:
            os.close(self._file)
            raise
        self._is_open = True

    def get(self, entry: Entry) -> "ChatCompletion | None":
        """The answer kept for ``entry``, or None."""
        line = self._lines.get(entry)
        return None if line is None else _answer(orjson.loads(line)["answer"])

    def put(self, entry: Entry, answer: "ChatCompletion") -> None:
        """Keep ``answer``. When the disk is full a warning is logged: the answer itself must not be lost for that."""
        key = orjson.dumps(entry.key).decode()
        text = answer.model_dump_json(exclude_unset=True, warnings=False)
        line = f'{{"key":{key},"occurrence":{entry.occurrence},"answer":{text}}}\n'.encode()
        if self._append(line):
            self._lines[entry] = line

    def close(self) -> None:
        """Give the file free for others."""
        if self._is_open:
            self._is_open = False
            os.close(self._file)

    def __len__(self) -> int:
        return len(self._lines)

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> dict[Entry, bytes]:
        with open(os.dup(self._file), "rb") as file:
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and _FIRST_LINE.startswith(content):
            os.ftruncate(self._file, 0)
            self._append(_FIRST_LINE)
            return {}
        if not whole.startswith(_FIRST_LINE):
            raise LedgerError(
                f"{self.path} is not a file of batch answers, so it is left as it is. "
                "Name a new file to resume from, or one that an earlier batch has written."
            )
        os.ftruncate(self._file, len(whole))
        return self._entries(whole[len(_FIRST_LINE) :].splitlines())

    def _entries(self, lines: list[bytes]) -> dict[Entry, bytes]:
        entries: dict[Entry, bytes] = {}
        damaged = 0
        for line in lines:
            try:
                record = orjson.loads(line)
                entry, _ = Entry(str(record["key"]), int(record["occurrence"])), record["answer"]["choices"]
                entries[entry] = line
            except (ValueError, KeyError, TypeError):
                damaged += 1
        if damaged:
            logger.warning("%s has %d damaged lines; those requests are sent again.", self.path, damaged)
        return entries

    def _append(self, line: bytes) -> bool:
        before = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) == len(line):
                return True
            os.ftruncate(self._file, before)  # half a line would spoil the next one
            reason = "the disk is full"
        except OSError as error:
            reason = os.strerror(error.errno or 0)
        logger.warning("%s does not keep an answer (%s): after a kill it would be paid for again.", self.path, reason)
        return False


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags, _PRIVATE)
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be opened to keep the answers of a batch ({os.strerror(error.errno or 0)}). "
            "Name a file in a folder that exists and that you may write to."
        ) from error


def _lock(file: int, path: Path) -> None:
    try:
        _lock_now(file)
    except OSError:
        raise LedgerError(
            f"{path} is in use by another batch. Wait until it has ended, or give each batch a file of its own."
        ) from None


def _locker() -> Callable[[int], None]:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        windows: Any = msvcrt

        def lock(file: int) -> None:
            # A byte far behind the content: what is locked there nobody else can read, either.
            os.lseek(file, 1 << 62, os.SEEK_SET)
            windows.locking(file, windows.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)

        return lock
    return lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_lock_now = _locker()


def _answer(data: dict[str, Any]) -> "ChatCompletion":
    from openai.types.chat import ChatCompletion
    from pydantic import ValidationError

    try:
        return ChatCompletion.model_validate(data)
    except ValidationError:
        return ChatCompletion.construct(**data)  # read as leniently as the SDK does: it has been paid for
