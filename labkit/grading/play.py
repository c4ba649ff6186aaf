"""Runs the cells of a notebook with papermill, and comes back whatever they do."""

import contextlib
import logging
import math
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, Literal, cast

import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_async
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines

from labkit.grading import notebook as notebooks
from labkit.grading.kernel_side import INSIST, MIME

# What one cell may print or show; the rest is dropped, so that an endless print fills no memory.
MAX_OUTPUT_BYTES = 2**20
TIME_IS_UP = "the notebook's time was up"
_MAX_ERROR_LENGTH = 300
# How long a kernel may take to come back after an interrupt. There are two, then it is killed.
_GRACE_S = 2.0
_ON_START = '__import__("labkit.grading.kernel_side", fromlist=["listen"]).listen()'
_START_TIMEOUT_S = 60
# The address of a Unix socket has room for 104 bytes on macOS, 108 on Linux; jupyter_client adds a name like k-ipc-5.
_LONGEST_SOCKET_FOLDER = 90
_OUTPUT_MESSAGES = frozenset({"stream", "display_data", "execute_result", "update_display_data", "error"})
_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]+)?")
_UNPRINTABLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f\ud800-\udfff]+")

Status = Literal["ran", "error", "timeout", "not run"]


@dataclass(frozen=True, slots=True)
class CellRun:
    """What became of one cell; ``error`` is one line, never a traceback."""

    status: Status
    error: str = ""
    outputs: Sequence[NotebookNode] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a notebook is run: the kernel's environment and folder, and how long things may take.

    ``timeout_s`` is how long a cell may take, ``deadline_s`` when it must have ended, counted from the first cell's
    start. ``on_start`` is called before each cell that is run, ``on_end`` after it.
    """

    environment: Mapping[str, str]
    folder: Path
    timeout_s: Callable[[NotebookNode], float]
    deadline_s: Callable[[NotebookNode], float] = lambda cell: math.inf
    stop_at_error: bool = False
    shut_down_politely: bool = False
    on_start: Callable[[int, NotebookNode], None] = lambda index, cell: None
    on_end: Callable[[int, CellRun], None] = lambda index, run: None


@dataclass(frozen=True, slots=True)
class Played:
    """A run: the notebook with its outputs, one CellRun for each of its cells, and why it ended early, if it did."""

    notebook: NotebookNode
    runs: tuple[CellRun, ...]
    ended: str | None = None


def play(notebook: NotebookNode, rules: Rules) -> Played:
    """Run ``notebook`` by ``rules``. Errors in cells, endless loops and a dying kernel are results, not exceptions."""
    record = _Record(runs=[CellRun("not run")] * len(notebook.cells), notebook=notebook)
    ended = None
    try:
        papermill.execute_notebook(
            notebook, None, engine_name=_ENGINE, kernel_name="python3", progress_bar=False, rules=rules, record=record
        )
    except papermill.PapermillExecutionError:
        pass  # some cell raised; its CellRun says so
    except _KernelStuckError:
        ended = "A cell ran over its time and could not be interrupted, so the notebook was stopped there."
    except DeadKernelError:
        ended = "The kernel ended while the notebook ran (os._exit, exit() or a crash)."
    except Exception as error:  # a hostile kernel can break the conversation in any way it likes
        ended = f"The notebook could not be run any further ({type(error).__name__})."
        _logger.debug("the run ended early", exc_info=error)
    return Played(record.notebook, tuple(record.runs), ended)


def one_line(text: str) -> str:
    """``text`` fit for a report: one line, no control characters, no bearer token, not too long."""
    line = _TOKEN.sub("***", " ".join(_UNPRINTABLE.sub(" ", text).split()))
    return line if len(line) <= _MAX_ERROR_LENGTH else line[: _MAX_ERROR_LENGTH - 1] + "…"


@dataclass(slots=True)
class _Record:
    """What a run has shown so far; survives the exceptions that end it."""

    runs: list[CellRun]
    notebook: NotebookNode


class _KernelStuckError(Exception):
    """The kernel did not come back after interrupts and was killed."""


def _kernel_manager(kernel_name: str, folder: str) -> AsyncKernelManager:
    """A manager that talks to its kernel over sockets in ``folder``, or over TCP where there can be no such sockets.

    TCP ports are picked before the kernel binds them, so that kernels started side by side may get the same.
    """
    manager = AsyncKernelManager(
        kernel_name=kernel_name,
        # With no folders to look in, it finds the kernel of this very Python and no other that is installed.
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        connection_file=os.path.join(folder, "k.json"),
    )
    if os.name == "posix" and len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
        manager.transport = "ipc"
    return manager


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """papermill's client, with time limits that hold and without trust in what the kernel sends."""

    def __init__(self, nb_man: Any, rules: Rules, record: _Record, *, km: AsyncKernelManager) -> None:
        super().__init__(
            nb_man,
            km=km,
            raise_on_iopub_timeout=False,
            startup_timeout=_START_TIMEOUT_S,
            allow_errors=not rules.stop_at_error,
            record_timing=False,
            store_widget_state=False,
            extra_arguments=[f"--IPKernelApp.exec_lines={_ON_START}"],
            shutdown_kernel="graceful" if rules.shut_down_politely else "immediate",
            on_cell_executed=self._remember_reply,
            log=_logger,
        )
        self._rules = rules
        self._record = record
        self._began_s = time.monotonic()
        self._reply: Mapping[str, Any] = {}
        self._interrupted = False
        self._bytes = [0, 0]

    def _remember_reply(self, cell: NotebookNode, cell_index: int, execute_reply: Mapping[str, Any]) -> None:
        self._reply = execute_reply["content"]

    def execute(self, **options: Any) -> NotebookNode:
        self.reset_execution_trackers()
        with self.setup_kernel(**options):
            self._began_s = time.monotonic()
            self.papermill_execute_cells()
        return cast(NotebookNode, self.nb)

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            if not notebooks.is_run(cell):
                continue
            if self._left_s(cell) <= 0:
                self._record.runs[index] = CellRun("not run", TIME_IS_UP)
                continue
            run = self._run_cell(index, cell)
            if run.status != "ran" and self._rules.stop_at_error:
                return

    def _left_s(self, cell: NotebookNode) -> float:
        return self._rules.deadline_s(cell) - (time.monotonic() - self._began_s)

    def _run_cell(self, index: int, cell: NotebookNode) -> CellRun:
        self._reply, self._interrupted, self._bytes = {}, False, [0, 0]
        self._rules.on_start(index, cell)
        self.nb_man.cell_start(cell, index)
        try:
            self.execute_cell(cell, index)
        except CellExecutionError:
            self.nb_man.cell_exception(cell, cell_index=index)
        except (_KernelStuckError, DeadKernelError) as error:
            stuck = isinstance(error, _KernelStuckError)
            self._record.runs[index] = self._stopped() if stuck else CellRun("error", "the kernel ended in this cell")
            raise
        finally:
            self.nb_man.cell_complete(cell, cell_index=index)
        run = self._result(cell)
        self._record.runs[index] = run
        self._rules.on_end(index, run)
        return run

    def _result(self, cell: NotebookNode) -> CellRun:
        if self._interrupted:
            return self._stopped()
        if self._reply.get("status") != "error":
            return CellRun("ran", outputs=cell.outputs)
        name, value = str(self._reply.get("ename", "Error")), str(self._reply.get("evalue", ""))
        return CellRun("error", one_line(f"{name}: {value}" if value else name), cell.outputs)

    def _stopped(self) -> CellRun:
        return CellRun("timeout", "the cell ran over its time and was stopped")

    def _get_timeout(self, cell: NotebookNode | None) -> float | None:
        if cell is None:
            return _START_TIMEOUT_S
        return min(self._rules.timeout_s(cell), max(self._left_s(cell), 1.0))

    async def _async_handle_timeout(self, timeout: float, cell: NotebookNode | None = None) -> Any:
        """Interrupt the cell and return the kernel's reply; a kernel that does not come back is killed."""
        self._interrupted = True
        for number in (signal.SIGINT, INSIST):
            await self._signal(number)
            try:
                return await ensure_async(self.kc.shell_channel.get_msg(timeout=_GRACE_S))
            except Empty:
                continue
        await ensure_async(self.km.shutdown_kernel(now=True))
        raise _KernelStuckError

    async def _signal(self, number: signal.Signals | None) -> None:
        if number is None or number == signal.SIGINT:
            await ensure_async(self.km.interrupt_kernel())
        else:
            await ensure_async(self.km.signal_kernel(number))

    async def _async_poll_kernel_alive(self) -> None:
        # nbclient forgets this task when a conversation breaks off; it then finds that the client has gone.
        with contextlib.suppress(AssertionError):
            await super()._async_poll_kernel_alive()

    def process_message(self, message: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        if message["msg_type"] in _OUTPUT_MESSAGES and not self._has_room(message["content"]):
            return None
        return cast(NotebookNode | None, super().process_message(message, cell, cell_index))

    def _has_room(self, content: dict[str, Any]) -> bool:
        """Count ``content``; a probe's value has room of its own, however much was printed before it."""
        is_value = isinstance(content.get("data"), dict) and MIME in content["data"]
        self._bytes[is_value] += _size(content)
        return self._bytes[is_value] <= MAX_OUTPUT_BYTES

    def handle_comm_msg(self, outputs: list[NotebookNode], message: dict[str, Any], cell_index: int) -> None:
        """Widgets have no state here: nobody looks at them."""


def _size(content: Any) -> int:
    """About how many bytes ``content`` takes, without building it a second time."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, dict):
        return sum(map(_size, content.values())) + len(content)
    if isinstance(content, list):
        return sum(map(_size, content)) + len(content)
    return 8


class _Engine(Engine):  # type: ignore[misc]
    """The papermill engine that ``play`` runs notebooks with."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, rules: Rules, record: _Record, **options: Any
    ) -> NotebookNode:
        record.notebook = nb_man.nb
        null = subprocess.DEVNULL
        environment = dict(rules.environment)
        with tempfile.TemporaryDirectory(prefix="lk-") as sockets:
            manager = _kernel_manager(kernel_name, sockets)
            client = _Client(nb_man, rules, record, km=manager)
            return client.execute(
                cleanup_kc=True, env=environment, cwd=str(rules.folder), stdin=null, stdout=null, stderr=null
            )


_ENGINE = "labkit"
papermill_engines.register(_ENGINE, _Engine)

# What these libraries log about a timeout or a dead kernel is in the CellRun.
_logger = logging.getLogger("labkit.grading.play")
_logger.addHandler(logging.NullHandler())
_logger.propagate = False
