"""``labkit azure``: what it prints leads to a server that runs until told; alone, for a class, on https, on a state."""

import csv
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from labkit.localazure import LocalAzure
from tests.commands import answers, labkit, running

pytestmark = pytest.mark.slow

# The last line that is printed before it waits.
READY = r"^# Console:"


def exports(told: str) -> dict[str, str]:
    """The variables that the lines for bash set; the teacher's, which stand in comments, are not among them."""
    return dict(re.findall(r"^export (\w+)='(.*)'$", told, re.MULTILINE))


def powershell(told: str) -> dict[str, str]:
    """The same for PowerShell."""
    return dict(re.findall(r"^\$env:(\w+) = '(.*)'$", told, re.MULTILINE))


def admin_secret(told: str) -> str:
    """The teacher's secret."""
    (secret,) = set(re.findall(r"LABKIT_ADMIN_SECRET ?= ?'(\w+)'", told))
    return secret


def ask(url: str, key: str = "") -> Any:
    """The JSON at ``url``."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"x-labkit-key": key}), timeout=10) as reply:
        return json.load(reply)


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    """Tell the command to end, which it does in order; what it still said."""
    process.send_signal(number)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    return rest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_azure_by_hand(number: signal.Signals) -> None:
    """It prints an environment for two shells that leads to a running local Azure, and ends when told."""
    with running("azure", "--seed", "5", "--latency-scale", "0", until=READY) as (process, told):
        variables = exports(told)
        url = variables["LABKIT_AZURE_URL"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert powershell(told) == variables
        assert ask(f"{url}/labkit")["latency_scale"] == 0
        assert ask(f"{url}/labkit/journal", variables["LABKIT_LAB_KEY"])["entries"] == []
        assert "stopped" in end(process, number)
        assert not answers(f"{url}/labkit")


def test_the_teachers_secret_stands_apart() -> None:
    """It is in no line that a student is meant to paste, and console addresses carry keys where they are not sent."""
    with running("azure", until=READY) as (process, told):
        secret, variables = admin_secret(told), exports(told)
        students, _, teachers = told.partition("\n# The teacher's alone")
        assert secret not in students
        assert ask(f"{variables['LABKIT_AZURE_URL']}/labkit/faults", secret) == {"faults": []}
        keys = [re.findall(r"(http://\S+)/#key=(\w+)", part) for part in (students, teachers)]
        url = variables["LABKIT_AZURE_URL"]
        assert keys == [[(url, variables["LABKIT_LAB_KEY"])], [(url, secret)]]
        end(process)


def test_a_busy_port_is_told() -> None:
    """Exit status 2 and the port's number."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = labkit("azure", "--port", str(port))
    assert done.returncode == 2
    assert f"Port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_quota_can_be_chosen() -> None:
    """Every model gets it."""
    with running("azure", "--quota-ktpm", "7", until=READY) as (process, told):
        variables = exports(told)
        identity = f"{variables['IDENTITY_ENDPOINT']}?api-version=2019-08-01&resource=https://management.azure.com"
        header = {"X-IDENTITY-HEADER": variables["IDENTITY_HEADER"]}
        with urllib.request.urlopen(urllib.request.Request(identity, headers=header), timeout=10) as reply:
            token = json.load(reply)["access_token"]
        subscription = ask(f"{variables['LABKIT_AZURE_URL']}/labkit")["subscription_id"]
        usages = (
            f"{variables['LABKIT_AZURE_URL']}/subscriptions/{subscription}/providers/Microsoft.CognitiveServices"
            "/locations/swedencentral/usages?api-version=2025-09-01"
        )
        bearer = {"Authorization": f"Bearer {token}"}
        with urllib.request.urlopen(urllib.request.Request(usages, headers=bearer), timeout=10) as reply:
            limits = {usage["limit"] for usage in json.load(reply)["value"]}
        assert limits == {7.0}
        end(process)


def test_the_same_command_goes_on_tomorrow(tmp_path: Path) -> None:
    """With --state the keys and the environment stay; the file and its journal are the user's alone."""
    state = tmp_path / "my.db"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ("azure", "--port", port, "--state", state)
    with running(*command, until=READY) as (process, told):
        first = exports(told), admin_secret(told)
        assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
        busy = labkit("azure", "--state", state)
        assert busy.returncode == 2
        assert f"{state} is used by another process" in busy.stderr
        end(process)
    with running(*command, until=READY) as (process, told):
        assert (exports(told), admin_secret(told)) == first
        end(process)


def test_https_under_a_certificate_beside_the_state(tmp_path: Path) -> None:
    """The lines name the certificate; a client that reads them is answered."""
    with running("azure", "--tls", "--state", tmp_path / "my.db", until=READY) as (process, told):
        variables = exports(told)
        assert variables["REQUESTS_CA_BUNDLE"] == variables["SSL_CERT_FILE"] == str(tmp_path / "my-ca.pem")
        assert variables["LABKIT_AZURE_URL"].startswith("https://127.0.0.1:")
        program = "import labkit; print(labkit.connect())"
        done = subprocess.run(
            ["env", *(f"{name}={value}" for name, value in variables.items()), sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Local Azure" in done.stdout, done.stderr
        end(process)


def test_a_temporary_certificate_goes_with_the_server(tmp_path: Path) -> None:
    """Nothing is left behind; with --ca it stays where it was asked for."""
    with running("azure", "--tls", until=READY) as (process, told):
        certificate = Path(exports(told)["SSL_CERT_FILE"])
        assert certificate.exists()
        end(process)
        assert not certificate.parent.exists()
    with running("azure", "--tls", "--ca", tmp_path / "own.pem", until=READY) as (process, told):
        assert exports(told)["SSL_CERT_FILE"] == str(tmp_path / "own.pem")
        end(process)
        assert (tmp_path / "own.pem").exists()


def test_a_class(tmp_path: Path) -> None:
    """What is handed out leads each student to a place of their own; the teacher sees all; the folder keeps both."""
    (tmp_path / "class.csv").write_text("student\nala\nola\n", "utf-8")
    command = ("azure", "--class", tmp_path / "class.csv", "--state", tmp_path / "state")
    keys = []
    for _ in range(2):
        with running(*command, until=READY) as (process, told):
            assert "each of 2 students" in told
            assert exports(told) == {}
            handout = re.search(r"row for each student: (.+)$", told, re.MULTILINE)
            assert handout is not None
            rows = list(csv.DictReader(Path(handout[1]).read_text("utf-8").splitlines()))
            for row in rows:
                words = [word.rstrip(";") for word in shlex.split(row["bash"])]
                variables = dict(word.split("=", 1) for word in words if "=" in word)
                assert ask(f"{variables['LABKIT_AZURE_URL']}/labkit/journal", row["key"])["entries"] == []
            url = variables["LABKIT_AZURE_URL"].removesuffix("/class/ola")
            seen = ask(f"{url}/labkit/class", admin_secret(told))["students"]
            assert [row["student"] for row in seen] == ["ala", "ola"]
            keys.append((admin_secret(told), *(row["key"] for row in rows)))
            end(process)
    assert keys[0] == keys[1]
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["ala.duckdb", "class.json", "ola.duckdb"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--ca", "ca.pem"], "add --tls", id="ca without tls"),
        pytest.param(["--class", "none.csv"], "none.csv, cannot be read", id="no such table"),
        pytest.param(["--state", "none/my.db"], "cannot be used", id="no such folder"),
        pytest.param(["--tls", "--ca", "none/ca.pem"], "No such file", id="no folder for the certificate"),
        pytest.param(["--class", "class.csv", "--state", "class.csv"], "is a folder", id="state of a class in a file"),
        pytest.param(["--quota-ktpm", "0"], "--quota-ktpm", id="no quota"),
        pytest.param(["fly"], "No such command", id="command"),
    ],
)
def test_wrong_use_is_told_in_a_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit status 2, a sentence on standard error, no traceback, nothing made."""
    (tmp_path / "class.csv").write_text("student\nala\n", "utf-8")
    done = labkit("azure", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["class.csv"]


def test_help_shows_examples() -> None:
    """One for each way to run it."""
    told = labkit("azure", "--help").stdout
    for example in ("labkit azure --port 8013 --state", "labkit azure --port 8013 --tls", "--class class.csv"):
        assert example in told


def test_the_module_takes_a_state_too(tmp_path: Path) -> None:
    """`python -m labkit.localazure --state` is what a program starts."""
    state = tmp_path / "my.db"
    with LocalAzure(state=state):
        done = subprocess.run(
            [sys.executable, "-m", "labkit.localazure", "--state", str(state)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert "is used by another process" in done.stderr
