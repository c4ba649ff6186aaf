"""``labkit lab``: the workbook in JupyterLab on a local Azure of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

import labkit
from labkit.cli.terminal import LatencyScale, Seed, ending_signals, give_up

_FIRST_NOTEBOOK = Path("notebooks/en/01_deployment.ipynb")
_STOP_TIMEOUT_S = 15.0
# Options that are not ours are handed on.
JUPYTERLABS_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}


def lab(
    context: typer.Context,
    notebook: Annotated[Path, typer.Option(help="The notebook to open first.")] = _FIRST_NOTEBOOK,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open no browser.")] = False,
    port: Annotated[int | None, typer.Option(help="JupyterLab's port on 127.0.0.1; by default a free one.")] = None,
    seed: Seed = 13,
    latency_scale: LatencyScale = 0.02,
) -> None:
    """Open the workbook in JupyterLab on a local Azure of its own.

    Both end with Ctrl-C. Further options are JupyterLab's.
    """
    from labkit.localazure import LocalAzure

    if not notebook.is_file():
        give_up(f"There is no {notebook}. Run this in the workbook's folder, or name a notebook with --notebook.")
    with LocalAzure(seed=seed, latency_scale=latency_scale) as azure:
        typer.echo(f"Console of your local Azure, to watch your calls: {azure.url}/#key={azure.lab_key}")
        sys.stdout.flush()
        command = [sys.executable, "-m", "jupyterlab", *_jupyterlab_options(notebook, port, no_browser), *context.args]
        status = _run_until_told(command, {**os.environ, **azure.environment(), **_jupyter_settings()})
    if status != 0:
        give_up(f"JupyterLab ended with status {status}; what it said is above.", status=1)


def _jupyterlab_options(notebook: Path, port: int | None, no_browser: bool) -> list[str]:
    options = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={notebook.parent.absolute()}",
        f"--LabApp.default_url=/lab/tree/{quote(notebook.name)}",
        # These would call out; the workbook works without a network.
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
    ]
    if port is not None:
        options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if no_browser:
        options.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # containers; it listens on loopback and asks for its token
    return options


def _jupyter_settings() -> dict[str, str]:
    """The environment that makes JupyterLab read our default settings (no question about news) before the user's."""
    paths = [str(Path(labkit.__file__).parent / "data" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def _run_until_told(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run ``command`` until it ends or this process is told to; returns its status, 0 when it was told."""
    told: list[int] = []
    for number in ending_signals():
        signal.signal(number, lambda number, _: told.append(number))
    # In a group of its own it does not get Ctrl-C itself, and so does not ask whether it was meant.
    child = subprocess.Popen(command, env=dict(environment), start_new_session=os.name == "posix")
    while True:
        try:
            status = child.wait(timeout=0.2)
            return 0 if told else status
        except subprocess.TimeoutExpired:
            if told:
                _end(child)
                return 0


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        child.wait()
