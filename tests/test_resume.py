"""A batch in a process that is killed, and its next run: nothing is lost, and nothing is paid for twice."""

import signal
import subprocess
import sys
import textwrap

import pytest

from labkit import AzureOpenAIManager, LLMOptimizer, lab
from labkit.ledger import Ledger
from tests.scripted import ask

CALLS, AT_ONCE = 12, 3

# Ends itself as hard as can be, just before or just after the answer with the given number is written down.
CHILD = """
    import asyncio, os, signal, sys
    import labkit
    from labkit import LLMOptimizer
    from labkit.ledger import Ledger

    path, last, after = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "after"
    put = Ledger.put

    def put_and_die(ledger, entry, answer):
        dies = len(ledger) + 1 == last
        if dies and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        put(ledger, entry, answer)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    Ledger.put = put_and_die
    labkit.connect()
    batch = [{{"messages": [{{"role": "user", "content": f"Question {{n}}?"}}]}} for n in range({calls})]
    asyncio.run(LLMOptimizer("chat").batch_process(batch, {at_once}, resume=path))
"""


@pytest.fixture
def deployed(local):
    """A local Azure with one deployment that is not limited."""
    AzureOpenAIManager().deploy_language_model("gpt-35-turbo", "chat", capacity=200)
    return local


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize(("last", "moment"), [(1, "before"), (1, "after"), (5, "before"), (8, "after"), (12, "after")])
async def test_a_killed_batch_goes_on_where_it_was(deployed, tmp_path, last, moment):
    """The service's own count: each call once, and at most those that were under way a second time."""
    path = tmp_path / "batch.jsonl"
    code = textwrap.dedent(CHILD.format(calls=CALLS, at_once=AT_ONCE))
    run = subprocess.run([sys.executable, "-c", code, str(path), str(last), moment], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr

    batch = [{"messages": ask(f"Question {n}?")} for n in range(CALLS)]
    with Ledger(path) as ledger:
        assert len(ledger) == last - (moment == "before")
    results = await LLMOptimizer("chat").batch_process(batch, AT_ONCE, resume=path)
    assert len(results.raise_first()) == CALLS
    # What was under way when the process died may have been answered: to nobody.
    asked = len(lab.calls("chat"))
    assert CALLS <= asked <= CALLS + AT_ONCE
    assert await LLMOptimizer("chat").batch_process(batch, AT_ONCE, resume=path) == results
    assert len(lab.calls("chat")) == asked
