"""What the call layer itself costs: CPU time per call above the bare client, and of an answer that is kept.

    python benchmarks/overhead.py [--rounds 11] [--calls 128] [--hits 500]

The server answers at once and has a process of its own; the time is that of the calling process, so it holds on a busy
machine, too. The layers of one interpreter take turns, round by round, and are compared with the bare
``AsyncAzureOpenAI`` of the same round; figures are medians. Peers run in an environment of their own (`make
bench-peers`), beside a bare client of the same release there, and are left out where it is missing.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import bucket_server
import layers
from batch import PEERS_MISSING, PEERS_PYTHON

CONCURRENT = (1, 64)
GOALS_US = {"LLMOptimizer": 300.0, "ProductionLLMService": 300.0}
HIT_GOALS_US = {"LLMOptimizer, memory": 60.0, "LLMOptimizer, file": 120.0}
# The CPU µs per call of each round of each layer; of one that cannot be called, why.
Rounds = dict[str, list[float] | str]
# By interpreter ("ours", "peers") and how many calls at a time.
Calls = Mapping[tuple[str, int], Rounds]


def rounds_of(python: str, names: Sequence[str], url: str, **plan: Any) -> Rounds:
    """What the layers of one interpreter take."""
    script = str(Path(__file__).with_name("layers.py"))
    asked = json.dumps({"url": url, "names": list(names), **plan})
    run = subprocess.run([python, script], input=asked, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"{script} failed:\n{run.stderr[-2000:]}")
    found: Rounds = json.loads(run.stdout.splitlines()[-1])
    return found


def above(rounds: Rounds, name: str, base: str = layers.BARE) -> float:
    """How much more ``name`` takes than ``base``, round against round, in the median."""
    mine, its = rounds[name], rounds[base]
    if isinstance(mine, str) or isinstance(its, str):
        return float("nan")
    return median(one - other for one, other in zip(mine, its, strict=True))


def calls_table(found: Calls) -> Iterator[str]:
    """CPU µs per call and above the bare client, one and 64 at a time."""
    yield "| CPU µs per call | 1 at a time | above the bare client | 64 at a time | above the bare client |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for kind in dict.fromkeys(kind for kind, _ in found):
        for name in found[kind, 1]:
            columns = (column for many in CONCURRENT for column in _columns(found[kind, many], name))
            yield f"| {_named(kind, name, layers.BARE)} | {' | '.join(columns)} |"


def hits_table(found: Mapping[str, Rounds]) -> Iterator[str]:
    """CPU µs of a hit."""
    yield "| CPU µs of a kept answer | |"
    yield "| --- | ---: |"
    for kind, rounds in found.items():
        for name in rounds:
            yield f"| {_named(kind, name, layers.FLOOR)} | {_columns(rounds, name)[0]} |"


def _columns(rounds: Rounds, name: str) -> tuple[str, str]:
    taken = rounds[name]
    if isinstance(taken, str):
        return f"– ({taken})", "–"
    return (
        f"{median(taken):,.0f}",
        f"{above(rounds, name):,.0f}" if name != layers.BARE and layers.BARE in rounds else "",
    )


def _named(kind: str, name: str, base: str) -> str:
    return f"{name}, in the peers' environment" if kind == "peers" and name == base else name


def missed(calls: Calls, hits: Mapping[str, Rounds]) -> Iterator[str]:
    """What must hold of ours and does not."""
    for many in CONCURRENT:
        for name, goal_us in GOALS_US.items():
            more_us = above(calls["ours", many], name)
            if not more_us <= goal_us:
                yield f"{name}, {many} at a time: {more_us:.0f} µs above the bare client, {goal_us:.0f} is the goal"
    for name, goal_us in HIT_GOALS_US.items():
        taken = hits["ours"][name]
        if isinstance(taken, str) or median(taken) > goal_us:
            yield f"{name}: {taken if isinstance(taken, str) else median(taken)} µs, {goal_us:.0f} is the goal"


def main() -> int:
    """Measure and print; the exit status is 1 when a goal is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=11)
    options.add_argument("--calls", type=int, default=128, help="calls of one round of one layer")
    options.add_argument("--hits", type=int, default=500, help="hits of one round of one layer")
    options.add_argument("--ours", action="store_true", help="without the peers")
    chosen = options.parse_args()
    pythons = {"ours": sys.executable}
    if PEERS_PYTHON.exists() and not chosen.ours:
        pythons["peers"] = str(PEERS_PYTHON)
    else:
        print(PEERS_MISSING)
    callers = {"ours": layers.OURS, "peers": layers.PEERS}
    keepers = {"ours": layers.OUR_HITS, "peers": layers.PEER_HITS}
    with bucket_server.running(latency_ms="0") as url:
        plan = {"url": url, "rounds": chosen.rounds}
        calls = {
            (kind, many): rounds_of(python, list(callers[kind]), calls=chosen.calls, concurrent=many, **plan)
            for kind, python in pythons.items()
            for many in CONCURRENT
        }
        hits = {
            kind: rounds_of(python, list(keepers[kind]), calls=chosen.hits, **plan) for kind, python in pythons.items()
        }
    print("\n".join([*calls_table(calls), "", *hits_table(hits)]))
    misses = list(missed(calls, hits))
    print("\n" + ("\n".join(f"MISSED {miss}" for miss in misses) if misses else "Everything that must hold does."))
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
