"""``labkit azure fault``: breaks a running local Azure as told, says what it did, and how it cannot."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from labkit.cli.durations import shown
from labkit.cli.faults import EXAMPLES, app
from labkit.errors import InvalidRequestError, NoConnectionError
from labkit.localazure import LocalAzure
from labkit.localazure.classserver import ClassServer
from labkit.localazure.faults import Fault as Made

Fault = Callable[..., Result]
NOTHING = {
    "deployment": None,
    "kind": "status",
    "times": 1,
    "status": 429,
    "retry_after_s": None,
    "delay_ms": 0,
    "contains": None,
    "operation": None,
    "every": None,
    "share": None,
    "after_s": 0,
    "for_s": None,
    "factor": None,
    "after_chunks": None,
    "after_bytes": None,
}


@pytest.fixture
def fault(local: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Runs the command against a running local Azure, whose address and secret are in the environment."""
    monkeypatch.setenv("LABKIT_ADMIN_SECRET", local.admin_secret)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("command", "expected", "said"),
    [
        (
            "429 -d big --times 5 --retry-after 2",
            {"deployment": "big", "times": 5, "retry_after_s": 2},
            "the next 5 calls of big: status 429, retry after 2 s",
        ),
        ("503 --every 3", {"status": 503, "times": None, "every": 3}, "one call in 3: status 503"),
        (
            "500 --share 0.2 --for 10m",
            {"status": 500, "times": None, "share": 0.2, "for_s": 600},
            "20 % of the calls: status 500, for 10 min",
        ),
        ("status 408 --delay 1s", {"status": 408, "delay_ms": 1_000}, "the next call: status 408, 1 s late"),
        ("slow --delay 2s", {"kind": "slow", "delay_ms": 2_000}, "the next call: 2 s late"),
        (
            "first-byte --delay 500ms --operation chat",
            {"kind": "first_byte", "delay_ms": 500, "operation": "chat"},
            "the next chat call: nothing for 500 ms",
        ),
        ("stream --times-as-slow 10", {"kind": "slow_stream", "factor": 10}, "the next stream: 10 times as slow"),
        (
            "stream --per-token 100ms --every 2 --times 3",
            {"kind": "slow_stream", "delay_ms": 100, "every": 2, "times": 3},
            "one stream in 2, 3 at most: 100 ms for each token",
        ),
        ("latency --times-as-slow 10", {"kind": "latency", "factor": 10, "times": None, "every": 1}, "every call: 10"),
        ("latency --times-as-slow 2 --times 3", {"kind": "latency", "factor": 2, "times": 3}, "the next 3 calls: 2"),
        ("cut", {"kind": "cut"}, "the next call: cut half-way"),
        ("cut --after-chunks 5", {"kind": "cut", "after_chunks": 5}, "the next call: cut after 5 chunks of a stream"),
        ("cut --after-bytes 9", {"kind": "cut", "after_bytes": 9}, "the next call: cut after 9 bytes"),
        (
            "reset --contains hej",
            {"kind": "reset", "contains": "hej"},
            "the next call that says 'hej': connection reset",
        ),
        ("drop --share 1", {"kind": "drop", "times": None, "share": 1}, "every call: connection closed"),
        (
            "outage -d big --in 30s --for 2m",
            {"deployment": "big", "status": 503, "times": None, "after_s": 30, "for_s": 120},
            "every call of big: status 503, in 30 s, for 2 min",
        ),
        ("outage --reset", {"kind": "reset", "times": None, "every": 1}, "every call: connection reset"),
    ],
)
def test_faults_are_set(fault: Fault, local: LocalAzure, command: str, expected: dict[str, object], said: str) -> None:
    """Each command sets one fault and says in a line what it will do, its id first."""
    done = fault(*command.split())
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"f1  {said}")
    (waiting,) = local.azure.faults.waiting()
    assert {name: waiting[name] for name in NOTHING} == {**NOTHING, **expected}


@pytest.mark.parametrize(("options", "real"), [([], True), (["--simulated"], False)], ids=["real", "simulated"])
def test_delays_are_real_unless_told_otherwise(fault: Fault, local: LocalAzure, options: list[str], real: bool) -> None:
    """Who watches a class means seconds of the clock on the wall, whatever the latency scale is."""
    fault("slow", "--delay", "2s", *options)
    assert local.azure.faults.waiting()[0]["real"] is real


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("breakdown.json", '[{"at_s": 60, "fault": {"status": 503, "share": 1}}, {"at_s": 180, "clear": true}]'),
        ("breakdown.json", '{"events": [{"at_s": 60, "fault": {"status": 503, "share": 1, "for_s": 120}}]}'),
        (
            "breakdown.toml",
            "[[events]]\nat_s = 60\nfault = {status = 503, share = 1}\n[[events]]\nat_s = 180\nclear = true\n",
        ),
    ],
    ids=["list", "object", "toml"],
)
def test_script_of_a_file(fault: Fault, local: LocalAzure, tmp_path: Path, name: str, text: str) -> None:
    """JSON or TOML; its faults are listed with their times."""
    (tmp_path / name).write_text(text, "utf-8")
    done = fault("script", str(tmp_path / name))
    assert done.stdout == "f1  every call: status 503, in 1 min, for 2 min\n"
    local.azure.advance(100)
    assert fault("list").stdout.startswith("f1  every call: status 503, for 1 min ")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("x.json", "[", "cannot be read as JSON"), ("x.toml", "[", "cannot be read as TOML"), ("x.json", "\xff", "JSON")],
)
def test_script_that_cannot_be_read(fault: Fault, tmp_path: Path, name: str, text: str, said: str) -> None:
    """With the file's name, and what it was read as."""
    (tmp_path / name).write_text(text, "latin-1")
    done = fault("script", str(tmp_path / name))
    assert done.exit_code == 2
    assert name in done.stderr
    assert said in done.stderr


def test_faults_are_listed_and_cleared(fault: Fault, local: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    """One or all; the lab key sees and clears its own."""
    fault("429")
    fault("slow", "--delay", "1s")
    monkeypatch.delenv("LABKIT_ADMIN_SECRET")
    fault("drop")  # with the lab key
    assert fault("list").stdout.startswith("f3  the next call: connection closed without an answer (set with the lab")
    assert fault("clear").stdout == "1 fault taken back.\n"
    assert fault("list").stdout == "No fault waits.\n"
    monkeypatch.setenv("LABKIT_ADMIN_SECRET", local.admin_secret)
    assert fault("clear", "f2").stdout == "1 fault taken back.\n"
    assert isinstance(fault("clear", "f2/../f1").exception, InvalidRequestError)
    assert fault("list").stdout == "f1  the next call: status 429\n"
    assert fault("clear").stdout == "1 fault taken back.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("slow --delay soon", "'soon' is no length of time; write 500ms"),
        ("slow", "Missing option '--delay'"),
        ("stream", "Give --times-as-slow 10 or --per-token 200ms"),
        ("200", "greater than or equal to 400"),
        ("explode", "No such command 'explode'"),
        ("script nowhere.json", "does not exist"),
    ],
)
def test_usage_errors(fault: Fault, local: LocalAzure, arguments: str, said: str) -> None:
    """Status 2, what is wrong, and nothing set."""
    done = fault(*arguments.split())
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", "").split())
    assert local.azure.faults.waiting() == []


def test_the_local_azure_refuses_in_its_own_words(fault: Fault) -> None:
    """What goes together is for it to say; a wrong secret too."""
    for arguments, said in ((["429", "--every", "2", "--share", "1"], "either every or share"), (["429"], "neither")):
        key = [] if said.startswith("either") else ["--secret", "wrong"]
        refused = fault(*key, *arguments).exception
        assert isinstance(refused, InvalidRequestError)
        assert said in str(refused)
        assert "wrong" not in str(refused)


def test_without_address_or_key_it_says_where_they_are_from(
    local: LocalAzure, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are printed by the command that starts the local Azure."""
    monkeypatch.delenv("LABKIT_ADMIN_SECRET")
    monkeypatch.delenv("LABKIT_LAB_KEY")
    assert "LABKIT_ADMIN_SECRET" in fault("list").stderr
    monkeypatch.setenv("LABKIT_LAB_KEY", "key")
    assert "LABKIT_AZURE_URL" in fault("--url", "127.0.0.1:1", "list").stderr
    local.stop()
    gone = fault("list").exception
    assert isinstance(gone, NoConnectionError)
    assert "does not answer" in str(gone)


def test_a_class_breaks_at_once_or_one_by_one(tmp_path: Path) -> None:
    """At the class's address everyone's local Azure, at a student's that one."""
    (tmp_path / "class.csv").write_text("student\nala\njan\n", "utf-8")
    with ClassServer(tmp_path / "class.csv") as served:

        def told(*arguments: str, to: str = "") -> str:
            keys = ["--url", served.url + to, "--secret", served.admin_secret]
            return CliRunner().invoke(app, [*keys, *arguments]).stdout

        assert told("outage").splitlines() == [f"{name}: f1  every call: status 503" for name in ("ala", "jan")]
        assert told("reset", to="/class/jan") == "f2  the next call: connection reset\n"
        assert told("list").count("\n") == 3
        assert told("clear", to="/class/ala") == "1 fault taken back.\n"
        assert told("clear") == "2 faults taken back.\n"


def test_help_has_examples_and_no_secret(fault: Fault, local: LocalAzure) -> None:
    """Where the secret is read from is said, not what it is."""
    for arguments in ((), ("429",), ("script",)):
        told = fault(*arguments, "--help").stdout
        assert local.admin_secret not in told
    assert "labkit azure fault outage" in fault("--help").stdout


def test_refusals_of_the_whole_command(local: LocalAzure) -> None:
    """One line on standard error and status 2, as for every other command."""
    command = [sys.executable, "-m", "labkit.cli", "azure", "fault", "--url", local.url, "--secret", "wrong", "429"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("labkit: The x-labkit-key is neither")


@pytest.mark.parametrize(
    ("length_s", "words"),
    [
        (0.05, "50 ms"),
        (1, "1 s"),
        (2.5, "2.5 s"),
        (60, "1 min"),
        (578.4, "9 min 38 s"),
        (7_200, "2 h"),
        (59.7, "1 min"),
    ],
)
def test_lengths_of_time_in_words(length_s: float, words: str) -> None:
    """As a person would say them."""
    assert shown(length_s) == words


def test_events_are_sent_as_they_stand(fault: Fault, tmp_path: Path) -> None:
    """What is no script is refused by the local Azure, with the event."""
    for number, events in enumerate(({"events": 5}, {}, 5, [5])):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(events), "utf-8")
        refused = fault("script", str(path)).exception
        assert isinstance(refused, InvalidRequestError)
        assert "script" in str(refused)


PAGE = (Path(__file__).parents[1] / "docs" / "faults.md").read_text("utf-8")
COMMANDS = sorted(set(re.findall(r"labkit azure fault ([^`\n…]+?)(?: {3,}[^\n]*)?(?=`|\n)", f"{PAGE}\n{EXAMPLES}")))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_are_shown_work(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Those of docs/faults.md, with its script, and those of --help."""
    monkeypatch.chdir(tmp_path)
    script = PAGE.split("```json\n")[1].split("```")[0]
    (tmp_path / "breakdown.json").write_text(script, "utf-8")
    done = fault(*command.split())
    assert (done.exit_code, done.exception) == (0, None)
    assert done.stdout


def test_faults_of_the_page_are_faults() -> None:
    """The column for notebooks, scripts and rubrics names fields that there are."""
    column = re.findall(r"^\| `labkit azure fault[^|]*\| `([^`]*)` \|", PAGE, re.MULTILINE)
    assert len(column) == 9
    for fields in column:
        assert eval(f"Made({fields})", {"Made": Made}).id == ""
