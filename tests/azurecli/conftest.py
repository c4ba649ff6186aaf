"""The real Azure CLI, signed in to a ``labkit azure --tls`` of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

AZ = Path(__file__).parents[2] / ".venv-az" / "bin" / "az"
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Outcome:
    """What a command of the CLI came to."""

    status: int
    output: str
    errors: str


class AzureCli:
    """Runs ``az`` in an environment where it has its own settings and can reach nothing but this machine."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.url = environment["LABKIT_AZURE_URL"]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            **environment,
            "AZURE_CONFIG_DIR": str(folder / "azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_CHECK_VERSION": "false",
            "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
            # Whatever is not on this machine would be asked through a proxy that is not there.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, *arguments: str) -> Outcome:
        """One command, whatever it comes to."""
        done = subprocess.run(
            [AZ, *arguments, "--only-show-errors"],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str) -> Any:
        """The JSON that a command prints, None when it prints nothing; it must succeed."""
        done = self.run(*arguments, "--output", "json")
        assert done.status == 0, done.errors
        return json.loads(done.output) if done.output.strip() else None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that ``labkit azure --tls`` prints, while it runs."""
    if not AZ.exists():
        pytest.skip("the Azure CLI is not installed; `make test-az` installs it in .venv-az and runs these tests")
    command = [sys.executable, "-m", "labkit.cli", "azure", "--tls", "--latency-scale", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            environment = {}
            for line in process.stdout:
                if told := re.fullmatch(r"export (\w+)='(.*)'\n", line):
                    environment[told[1]] = told[2]
                if line.startswith("# PowerShell"):
                    break
            yield environment
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)


@pytest.fixture(scope="module")
def az(served: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AzureCli:
    """The CLI, told of the cloud and signed in with the managed identity."""
    cli = AzureCli(tmp_path_factory.mktemp("az"), served)
    cli("cloud", "register", "--name", "LocalAzure", "--endpoint-resource-manager", cli.url)
    cli("cloud", "set", "--name", "LocalAzure")
    cli("login", "--identity")
    return cli
