"""A batch that is killed again and again at random moments, until it is done: what was lost, and what was paid twice.

    python benchmarks/resume.py [--kills 25] [--calls 400] [--at-once 16] [--seed 13]

A child process works through ``batch_process(…, resume=file)`` against a local Azure and is ended with SIGKILL at a
random moment, so many times; then it may finish. Judged by the local Azure's journal: each request was answered, no
kill made more requests be paid a second time than were under way, and none whose answer was in the file was ever asked
again. The exit status is 1 when that does not hold.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import labkit
from labkit import AzureOpenAIManager, LLMOptimizer
from labkit.cache import cache_key
from labkit.localazure import LocalAzure

# A call takes some hundredths of a second, so that a kill meets calls under way.
LATENCY_SCALE = 0.05


def batch(calls: int) -> list[dict[str, Any]]:
    """The requests: all different, and the same each time."""
    asked = (f"[call {number}] What has the number {number} to do with our plan?" for number in range(calls))
    return [{"messages": [{"role": "user", "content": text}], "parameters": {"max_tokens": 20}} for text in asked]


async def work(path: str, calls: int, at_once: int) -> None:
    """What the child does: the batch, from wherever it stands."""
    labkit.connect()
    results = await LLMOptimizer("chat").batch_process(batch(calls), at_once, progress=False, resume=path)
    results.raise_first()


@contextmanager
def deployed() -> Iterator[LocalAzure]:
    """A local Azure with one deployment of plenty of capacity, for this process and its children."""
    with LocalAzure(quota_ktpm=1_000_000, latency_scale=LATENCY_SCALE) as local:
        os.environ |= local.environment()
        labkit.connect()
        AzureOpenAIManager().deploy_language_model("gpt-4o", "chat", capacity=100_000)
        yield local


def killed(command: list[str], path: Path, chance: random.Random) -> bool:
    """Start the child and kill it some time after its first new answer; False when it was done before."""
    before = path.stat().st_size if path.exists() else 0
    child = subprocess.Popen(command)
    try:
        while child.poll() is None and (not path.exists() or path.stat().st_size == before):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.1))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    return child.returncode == -signal.SIGKILL


def kept(path: Path, calls: int) -> set[str]:
    """The prompts whose answers are in the file."""
    names = {cache_key("chat", each["messages"], each["parameters"]): each for each in batch(calls)}
    lines = [json.loads(line) for line in path.read_bytes().splitlines()[1:] if line.endswith(b"}")]
    return {names[line["key"]]["messages"][0]["content"] for line in lines}


def paid(local: LocalAzure) -> Counter[str]:
    """How many times each request was answered, by its prompt."""
    return Counter(entry.prompt for entry in local.azure.journal if entry.face == "inference" and entry.status == 200)


def main() -> int:
    """Kill, resume and count; the exit status is 1 when something does not hold."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=25)
    options.add_argument("--calls", type=int, default=400)
    options.add_argument("--at-once", type=int, default=16)
    options.add_argument("--seed", type=int, default=13)
    options.add_argument("--child", metavar="FILE", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        asyncio.run(work(asked.child, asked.calls, asked.at_once))
        return 0
    with TemporaryDirectory() as folder, deployed() as local:
        path = Path(folder) / "answers.jsonl"
        sizes = ["--calls", str(asked.calls), "--at-once", str(asked.at_once)]
        command = [sys.executable, __file__, "--child", str(path), *sizes]
        chance = random.Random(asked.seed)
        kills, settled = 0, Counter[str]()
        for _ in range(asked.kills):
            kills += killed(command, path, chance)
            times = paid(local)
            settled |= {prompt: times[prompt] for prompt in kept(path, asked.calls) if prompt not in settled}
        subprocess.run(command, check=True)
        times = paid(local)
    lost, again, most = asked.calls - len(times), sum(times.values()) - len(times), kills * asked.at_once
    needless = sum(times[prompt] > before for prompt, before in settled.items())
    holds = lost == needless == 0 and again <= most
    print(f"{asked.calls} requests, {asked.at_once} at a time, killed {kills} times ({len(settled)} were kept by then)")
    print(f"lost: {lost}; paid again: {again}, at most {most} were under way; of those kept: {needless}.")
    print("ok" if holds else "MISSED")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
