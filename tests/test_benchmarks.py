"""The benchmarks run: a claim about speed is worth little when its script no longer starts."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options", "told"),
    [
        pytest.param("hot_path", ("--seconds", "0.05", "--rounds", "2"), "| chat, every prompt new |", id="hot path"),
        pytest.param("endurance", ("--calls", "200", "--streams", "20"), "20 of 20 streams came whole", id="endurance"),
        pytest.param("hostile", ("--requests", "150"), "150 mutated requests", id="hostile"),
        pytest.param("replay", ("nowhere",), "skipped: there is no AzureLLMInferenceTrace_code.csv", id="replay"),
        pytest.param("import_time", ("1",), "import labkit", id="import time"),
        pytest.param(
            "batch",
            ("--rounds", "1", "--calls", "40", "--jobs", "calls", "--services", "told", "--only", "labkit, window"),
            "| labkit, window of 16 |",
            id="batch",
        ),
        pytest.param(
            "overhead",
            ("--rounds", "1", "--calls", "64", "--hits", "5", "--ours"),
            "| LLMOptimizer, memory |",
            id="overhead",
        ),
        pytest.param(
            "faults", ("--calls", "60", "--alike", "30"), "30 identical calls at the same time cost one", id="faults"
        ),
        pytest.param("resume", ("--kills", "2", "--calls", "60"), "lost: 0;", id="resume"),
        pytest.param("semantic_cache", (), "lowest of these thresholds", id="semantic cache"),
        pytest.param("routing", ("--seeds", "1", "--questions", "40"), "| cascade (8 samples", id="routing"),
    ],
)
def test_benchmark_runs(script: str, options: tuple[str, ...], told: str) -> None:
    """Shortened, each one ends by itself and prints its figures; whether they are good is not for a test to say."""
    command = [sys.executable, str(FOLDER / f"{script}.py"), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=FOLDER.parent)
    assert run.returncode in (0, 1), run.stderr
    assert "Traceback" not in run.stderr
    assert told in run.stdout
