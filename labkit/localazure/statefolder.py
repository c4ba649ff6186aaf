"""The state of a class: a folder with a state file for each student, and the teacher's secret."""

from pathlib import Path

import orjson

from labkit.localazure.files import PRIVATE, write_whole
from labkit.localazure.roster import Student
from labkit.localazure.secrets import fresh_key
from labkit.localazure.statefile import StateFileError

_CLASS_FILE = "class.json"


class StateFolder:
    """The folder at ``path``, made when it is not there, its files readable by its owner only.

    ``admin_secret`` is the class's, made once. ``StateFileError`` when the folder holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists() and not path.is_dir():
            raise StateFileError(
                f"{path} is a file. The state of a class is a folder, with a file for each student in it."
            )
        path.mkdir(mode=0o700, exist_ok=True)
        self.admin_secret = self._read()

    def path_of(self, student: Student) -> Path:
        """Where the state of ``student`` is, or will be."""
        return self._path / f"{student.name.lower()}.duckdb"

    def _read(self) -> str:
        file = self._path / _CLASS_FILE
        if not file.exists():
            write_whole(file, orjson.dumps({"admin_secret": fresh_key()}), PRIVATE)
        try:
            secret = orjson.loads(file.read_bytes())["admin_secret"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            secret = None
        if not isinstance(secret, str) or not secret:
            raise StateFileError(f"{file} does not hold a class's secret. Delete it and another is made.")
        return secret
