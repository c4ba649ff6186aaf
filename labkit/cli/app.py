"""The command line as a whole: its verbs in the order ``--help`` lists them, and how it says what cannot be done."""

import signal

import typer

from labkit.cli import azure, grading, lab, notebooks
from labkit.cli.terminal import give_up
from labkit.errors import LabkitError

# What the extra "instructor" adds (pyproject.toml); `labkit lab` and `labkit azure` do without.
_INSTRUCTORS_ONLY = ("jupyter_client", "nbclient", "nbformat", "papermill", "psutil")

app = typer.Typer(
    name="labkit",
    help="The workbook of session 13: open it, run it, release it, grade it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(context_settings=lab.JUPYTERLABS_OPTIONS)(lab.lab)
app.add_typer(azure.app, name="azure")
app.command()(notebooks.run)
app.command()(notebooks.release)
app.command()(grading.sample)
app.command()(grading.grade)


def main() -> None:
    """Run the command line. What cannot be done is said in a line or two, never as a traceback."""
    # Being told to end is like Ctrl-C: what was started is stopped first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except (LabkitError, OSError) as error:
        give_up(str(error))
    except ModuleNotFoundError as error:
        if error.name not in _INSTRUCTORS_ONLY:
            raise
        give_up(
            f"This needs {error.name}, which a student's set-up leaves out. "
            "Install the instructor's part, `pip install --editable '.[instructor]'`, or run `make .venv/test.done`."
        )
