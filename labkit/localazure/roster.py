"""The students of a class and their keys, read from a table that a teacher has anyway."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labkit.errors import LabkitError
from labkit.localazure.files import PRIVATE, write_whole
from labkit.localazure.secrets import fresh_key

_NAME_COLUMNS = ("student", "id", "login", "email")
_KEY_COLUMN = "key"
# What may stand in a path and in a file's name without being escaped.
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z0-9_-]{20,128}")
_DISTINCT_CHARACTERS = 8
_MAX_BYTES = 2**20
_MAX_STUDENTS = 500


class RosterError(LabkitError):
    """The table of the class cannot be used; says which line and why."""


@dataclass(frozen=True, slots=True)
class Student:
    """One student: ``name`` stands in the address, ``key`` opens what is theirs."""

    name: str
    key: str = field(repr=False)


def keys_path(roster: Path) -> Path:
    """Where the keys of the class in ``roster`` are kept: ``class-keys.csv`` beside ``class.csv``."""
    return roster.with_name(f"{roster.stem}-keys.csv")


def read(roster: Path) -> list[Student]:
    """The students in ``roster``, in its order; ``RosterError`` when the table cannot be used.

    It is a CSV file (commas, semicolons or tabs) whose first line names the columns: one of ``student``, ``id``,
    ``login`` and ``email`` (the first of these that is there), and ``key`` if the teacher chooses the keys. Who has no
    key there keeps the one in the file beside it (``keys_path``), or gets a new one. Other columns are passed over.
    """
    given = _read_table(roster)
    kept = _read_table(keys_path(roster)) if keys_path(roster).exists() else {}
    students = [
        Student(name, key or kept.get(name.lower(), ("", ""))[1] or fresh_key()) for name, key in given.values()
    ]
    _check_keys_differ(roster, students)
    return students


def write_handout(roster: Path, students: list[Student], environments: Mapping[str, Mapping[str, str]]) -> Path:
    """Write the file beside ``roster`` that a teacher hands out from, one row a student, and return where it is.

    A row has the name, the key, and the lines that set the student's environment in bash and in PowerShell.
    """
    path = keys_path(roster)
    rows = [["student", "key", "bash", "powershell"]]
    for student in students:
        variables = environments[student.name].items()
        bash = "; ".join(f"export {name}='{value}'" for name, value in variables)
        powershell = "; ".join(f"$env:{name} = '{value}'" for name, value in variables)
        rows.append([student.name, student.key, bash, powershell])
    write_whole(path, "".join(_csv_line(row) for row in rows).encode(), PRIVATE)
    return path


def _csv_line(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"


def _read_table(path: Path) -> dict[str, tuple[str, str]]:
    """Name and key (empty when there is none) of each student, by the name in lower case."""
    found: dict[str, tuple[str, str]] = {}
    lines: dict[str, int] = {}
    for line, name, key in _rows(path):
        where = f"{path}, line {line}"
        if not _NAME.fullmatch(name):
            raise RosterError(
                f"{where}: {name[:80]!r} cannot stand in an address. A name has 1 to 64 letters (a to z), digits, "
                "'.', '_', '-' or '@', and begins with a letter or a digit."
            )
        if name.lower() in lines:
            raise RosterError(f"{where}: {name} is on line {lines[name.lower()]} already; each student is there once.")
        if key and not _is_strong(key):
            raise RosterError(
                f"{where}: the key of {name} is too easy to guess. A key has 20 to 128 letters, digits, '_' or '-', "
                f"at least {_DISTINCT_CHARACTERS} different ones. Leave it out and one is made."
            )
        lines[name.lower()] = line
        found[name.lower()] = name, key
        if len(found) > _MAX_STUDENTS:
            raise RosterError(f"{where}: one server takes a class of {_MAX_STUDENTS} at most.")
    if not found:
        raise RosterError(f"{path} names no student. It has one line for each, below a line with the columns' names.")
    return found


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, name and key of each row that is not blank."""
    lines = _text(path).splitlines()
    reader = csv.reader(lines, delimiter=_delimiter(lines), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        name_at, key_at = _columns(path, header)
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                cells += [""] * (len(header) - len(cells))
                yield reader.line_num, cells[name_at], cells[key_at] if key_at is not None else ""
    except csv.Error as reason:
        raise RosterError(f"{path}, line {reader.line_num}: this is no CSV: {reason}.") from reason


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as failure:
        raise RosterError(f"The table of the class, {path}, cannot be read: {failure.strerror}.") from failure
    if len(content) > _MAX_BYTES:
        raise RosterError(f"{path} is larger than a megabyte; that is no table of a class.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise RosterError(f"{path} is not in UTF-8. Save it as 'CSV UTF-8'.") from failure


def _delimiter(lines: list[str]) -> str:
    """What separates the columns, by the first line; spreadsheets write semicolons where the comma is decimal."""
    first = lines[0] if lines else ""
    return max(",;\t", key=first.count)


def _columns(path: Path, header: list[str]) -> tuple[int, int | None]:
    """Where the name and the key are in a row."""
    for column in _NAME_COLUMNS:
        if column in header:
            return header.index(column), header.index(_KEY_COLUMN) if _KEY_COLUMN in header else None
    raise RosterError(
        f"{path}, line 1: no column is called {' or '.join(_NAME_COLUMNS)}. "
        f"There are: {', '.join(header)[:200] or 'none'}."
    )


def _is_strong(key: str) -> bool:
    return _KEY.fullmatch(key) is not None and len(set(key)) >= _DISTINCT_CHARACTERS


def _check_keys_differ(roster: Path, students: list[Student]) -> None:
    owners: dict[str, str] = {}
    for student in students:
        if student.key in owners:
            raise RosterError(f"{roster}: {owners[student.key]} and {student.name} have the same key; change one.")
        owners[student.key] = student.name
