"""``python -m labkit.localazure``: runs the local Azure until SIGTERM, SIGINT or, if asked to, the end of stdin.

Prints one line of JSON when it is ready: ``url``, ``environment`` (variables for a client's process) and
``admin_secret``. A port that is taken, or a state file that cannot be used, ends it with status 2.
"""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from labkit.errors import LabkitError
from labkit.localazure.files import keep_new_files_private
from labkit.localazure.server import LocalAzure


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop; returns the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if options.state is not None:
        keep_new_files_private()
    try:
        server = LocalAzure(
            seed=options.seed,
            port=options.port,
            latency_scale=options.latency_scale,
            quota_ktpm=options.quota_ktpm,
            state=options.state,
        ).start()
    except (LabkitError, OSError) as refused:
        print(refused, file=sys.stderr)
        return 2
    with server:
        if options.until_stdin_closes:
            threading.Thread(target=_wait_for_end_of_stdin, args=(stop,), daemon=True).start()
        ready = {"url": server.url, "environment": server.environment(), "admin_secret": server.admin_secret}
        print(json.dumps(ready), flush=True)
        while not stop.wait(1.0):  # in short steps: a signal does not interrupt a wait everywhere
            pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m labkit.localazure", description="Run the local Azure.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--seed", type=int, default=13, help="decides what the simulated models answer")
    parser.add_argument("--latency-scale", type=float, default=0.02, help="1 is as slow as the real models, 0 at once")
    parser.add_argument("--quota-ktpm", type=int, help="quota of every model, in thousands of tokens per minute")
    parser.add_argument("--state", type=Path, help="file that keeps resources, telemetry, usage and keys")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when the starting process is gone")
    return parser


def _wait_for_end_of_stdin(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
