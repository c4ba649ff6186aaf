"""Files that are whole or not there, and readable by those who should."""

import os
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


def keep_new_files_private() -> None:
    """Make every file that this process creates from now on its user's alone, a database's journal included."""
    os.umask(0o077)


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Replace the file at ``path`` in one step: no reader ever sees half of it, and no one it is not for any of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    # The mode from the first moment on: a secret that is readable for a millisecond is no secret.
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.chmod(fresh, mode)  # whatever the umask takes from it
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
