"""Ten thousand mutated requests to every face of the local Azure: no 500, no hang, no secret in an answer.

    python benchmarks/hostile.py [--requests 10000] [--seed 13]

Each request starts as one that a real client sends, and is then bent, as hypothesis draws it: in its JSON (wrong types,
deep nesting, huge numbers, other requests' fields), in its headers and address, or in its bytes (flipped, cut, doubled,
a body shorter or longer than announced). Sent over real connections, each of which must be answered or closed in time.
Afterwards a plain call must still be answered, a body that announces a gigabyte be refused before it is sent, and
everything under /labkit be closed to callers without a key and to wrong keys. The exit status is 1 when anything of
this fails. The same seed sends the same requests.
"""

import argparse
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import hypothesis
from hypothesis import HealthCheck, strategies
from mutations import Sent, bent, plain
from samples import samples

from labkit.localazure import LocalAzure

PATIENCE_S = 10.0
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
ADMIN_PATHS = (
    *("journal", "faults", "faults/f1", "faults/script", "telemetry", "telemetry/requests", "clock", "query"),
    *("alerts", "notifications", "overview", "class", "nothing", "../labkit/journal", "journal/", "%6aournal"),
)


class Outcome(NamedTuple):
    """What a request got: the status (0: the connection was closed without one), the answer, how long it took."""

    status: int
    answer: bytes
    took_s: float


def send(url: str, sent: Sent) -> Outcome:
    """Send the bytes, say that there are no more, and read until the server closes or ``PATIENCE_S`` are over."""
    address, started = urlsplit(url), time.monotonic()
    pieces: list[bytes] = []
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(sent.bytes)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                pieces.append(piece)
        except (ConnectionError, TimeoutError):
            pass
    answer = b"".join(pieces)
    status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
    return Outcome(status, answer, time.monotonic() - started)


def faults_of(outcome: Outcome, secrets: list[bytes]) -> Iterator[str]:
    """What is wrong with an outcome."""
    if outcome.status >= 500:
        yield f"status {outcome.status}"
    if outcome.took_s >= PATIENCE_S:
        yield f"no end after {PATIENCE_S:.0f} s"
    if any(secret in outcome.answer for secret in secrets):
        yield "a secret in the answer"


def attack(local: LocalAzure, count: int, seed: int) -> list[str]:
    """Send ``count`` requests that hypothesis bends; returns the simplest one that went wrong, if one did."""
    known, secrets = samples(local), [value.encode() for value in _secrets(local)]
    statuses: Counter[int] = Counter()
    slowest: list[float] = [0.0]

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(chance=strategies.randoms())
    def one(chance: Random) -> None:
        sent = bent(known, chance)
        outcome = send(local.url, sent)
        statuses[outcome.status] += 1
        slowest.append(max(slowest.pop(), outcome.took_s))
        wrong = list(faults_of(outcome, secrets))
        assert not wrong, f"{', '.join(wrong)}: {sent.bytes[:1_000]!r} got {outcome.answer[:500]!r}"

    try:
        one()
        found = []
    except AssertionError as failure:
        found = [str(failure)]
    shown = ", ".join(f"{status or 'closed'} {times:,}" for status, times in sorted(statuses.items()))
    print(f"{statuses.total():,} mutated requests: {shown}; the slowest took {slowest[0]:.2f} s.")
    return found


def _secrets(local: LocalAzure) -> Iterator[str]:
    yield from (local.admin_secret, local.lab_key, local.environment()["IDENTITY_HEADER"])
    for account in local.azure.resources.accounts():
        yield from account.keys


def closed_doors(local: LocalAzure) -> list[str]:
    """Every method and path under /labkit without a key and with wrong ones; returns those that were not closed."""
    wrong = []
    keys = ((), (("x-labkit-key", ""),), (("x-labkit-key", "0" * 48),), (("x-labkit-key", local.admin_secret[:-1]),))
    for path in ADMIN_PATHS:
        for method in METHODS:
            for headers in keys:
                outcome = send(local.url, plain(method, f"/labkit/{path}", headers, b"{}"))
                if outcome.status not in (401, 403):
                    wrong.append(f"{method} /labkit/{path} with {len(headers)} keys: {outcome.status}")
    print(
        f"{len(ADMIN_PATHS) * len(METHODS) * len(keys):,} requests to /labkit without the secret: {len(wrong)} let in."
    )
    return wrong


def early_refusal(local: LocalAzure) -> list[str]:
    """A body that announces a gigabyte must be refused before it is sent."""
    address = urlsplit(local.url)
    wrong = []
    for sample in samples(local):
        if sample.body is None:
            continue
        head = plain(sample.method, sample.address, (*sample.headers, ("content-length", str(2**30))), None).bytes
        with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S) as connection:
            connection.sendall(head)
            status = connection.recv(65_536)[9:12]
        if not status.startswith(b"4"):
            wrong.append(f"{sample.method} {sample.path} with a gigabyte announced: {status!r}")
    print(f"Announced gigabytes: {len(wrong)} not refused at once.")
    return wrong


def still_there(local: LocalAzure) -> list[str]:
    """A plain call after all that."""
    call: Any = next(sample for sample in samples(local) if sample.path.endswith("chat/completions"))
    outcome = send(local.url, plain(call.method, call.address, call.headers, json.dumps(call.body).encode()))
    return [] if outcome.status == 200 else [f"a plain call afterwards: {outcome.status}"]


def main() -> int:
    """Attack, and the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=13)
    chosen = options.parse_args()
    with LocalAzure() as local:
        wrong = attack(local, chosen.requests, chosen.seed)
        wrong += closed_doors(local) + early_refusal(local) + still_there(local)
    for line in wrong[:50]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
