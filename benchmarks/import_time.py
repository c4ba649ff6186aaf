"""How much ``import labkit`` adds to the start of a kernel, beside ``import openai`` alone.

Every import runs in a cold process of its own and is timed in there, without the interpreter's own start. The
statements take turns, so that a busy moment hits them alike; the figures are medians.
Run: ``python benchmarks/import_time.py [rounds]``
"""

import json
import statistics
import subprocess
import sys

STATEMENTS = (
    "pass",
    "import labkit",
    "from labkit import connect, check, scoreboard, lab, clients",
    "from labkit import AzureOpenAIManager, ModelSelector, LLMOptimizer, ProductionLLMService",
    "import openai",
)
GOAL_MS = 100.0
_MEASURE = """
import json, time
wall_s, cpu_s = time.perf_counter(), time.process_time()
{statement}
print(json.dumps([time.perf_counter() - wall_s, time.process_time() - cpu_s]))
"""


def cold_ms(statement: str) -> tuple[float, float]:
    """Wall and CPU milliseconds of ``statement`` in a fresh process."""
    code = _MEASURE.format(statement=statement)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wall_s, cpu_s = json.loads(run.stdout)
    return wall_s * 1000, cpu_s * 1000


def main() -> int:
    """Print the table; the exit status is 1 when ``import labkit`` misses its goal."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for statement in STATEMENTS:
        cold_ms(statement)  # writes the byte code, which a course's first start does only once
    taken = {statement: [] for statement in STATEMENTS}
    for _ in range(rounds):
        for statement in STATEMENTS:
            taken[statement].append(cold_ms(statement))
    print(f"{'statement':88} {'wall ms':>8} {'CPU ms':>8}   (medians of {rounds} cold processes)")
    medians = {}
    for statement, pairs in taken.items():
        wall_ms, cpu_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
        medians[statement] = wall_ms
        print(f"{statement:88} {wall_ms:8.1f} {cpu_ms:8.1f}")
    labkit_ms, openai_ms = medians["import labkit"], medians["import openai"]
    print(f"import labkit is {openai_ms / labkit_ms:.0f} times as quick as import openai; goal {GOAL_MS:.0f} ms")
    return 0 if labkit_ms <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
