"""Probes: their cells, the values they bring back, and what becomes of values that are no plain data."""

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat import NotebookNode
from openai.types.chat import ChatCompletion

from labkit.grading import probe as probes
from labkit.grading.kernel_side import MIME, plain
from labkit.grading.play import Rules, play
from labkit.grading.probe import NO_VALUE, TOO_LARGE, Probe, ProbeError, ProbeResult
from tests.grading.conftest import code, notebook

STUDENT = """
json = display = list = dict = print = str = None  # what students overwrite by accident
base = 10

def add(one, other):
    return one + other + base

async def later(value):
    return value

def unsolved():
    raise NotImplementedError("1.1: your answer here")
"""


@pytest.mark.slow
def test_probes_bring_values_back(tmp_path: Path) -> None:
    """Values and errors come back as data; stray prints, warnings and overwritten names cost nothing."""
    asked = [
        Probe(
            "sum",
            "e",
            "import warnings\nwarnings.warn('careful')\n[add(one, 1) for one in numbers]",
            {"numbers": [1, 2]},
        ),
        Probe("await", "e", "await later({'a': [1]})"),
        Probe("return", "e", "    if base:\n        return 'early'\n    return 'late'"),
        Probe("text", "e", "value = '''one\n  two'''\nvalue"),
        Probe("unsolved", "e", "unsolved()"),
        Probe("exit", "e", "import sys\nsys.exit(0)"),
        Probe("no-name", "e", "not_there"),
        Probe("nothing", "e", "base = 5"),
        Probe("loop", "e", "while True: pass", timeout_s=1.0),
        Probe("after", "e", "base"),
        Probe("large", "e", "['x' * 10_000] * 50"),
        Probe("huge", "e", "['x' * 10_000] * 1_000"),
        Probe("talkative", "e", "for _ in range(200):\n    __builtins__.print('x' * 10_000)\nbase"),
    ]
    cells = [code(STUDENT), *map(probes.cell, asked)]
    rules = Rules(
        environment={}, folder=tmp_path, timeout_s=lambda cell: 1.0 if probes.probe_id(cell) == "loop" else 9.0
    )
    played = play(notebook(*cells), rules)
    found = {
        id: probes.read(run.outputs, run.error)
        for cell, run in zip(cells, played.runs, strict=True)
        if (id := probes.probe_id(cell))
    }
    assert found["sum"].value == [12, 13]
    assert found["await"].value == {"a": [1]}
    assert found["return"].value == "early"
    assert found["text"].value == "one\n  two"
    assert (found["unsolved"].error or "").startswith("NotImplementedError")
    assert found["exit"].error == "SystemExit: 0"
    assert found["no-name"].error == "NameError: name 'not_there' is not defined"
    assert found["nothing"] == ProbeResult()
    assert found["loop"].error == "the cell ran over its time and was stopped"
    assert found["after"].value == 10
    assert found["large"].error == TOO_LARGE
    assert found["huge"].error == NO_VALUE
    assert found["talkative"].value == 10


@pytest.mark.parametrize(("source", "message"), [("def (", "not valid Python"), ("# only a comment", "has no code")])
def test_a_probe_that_cannot_run_is_an_error_of_the_rubric(source: str, message: str) -> None:
    """It is noticed before anything runs."""
    with pytest.raises(ProbeError, match=f"probe 1.1.*{message}"):
        probes.cell(Probe("1.1", "e", source))


def test_inputs_are_data_in_the_cell() -> None:
    """Quotes, newlines and Polish letters in hidden inputs arrive as they are; the cell is a valid one."""
    cell = probes.cell(Probe("1.1 ą", "e", "text", {"text": 'it\'s "ż"\n\\n {x}'}))
    nbformat.validate(notebook(cell))
    shown: list[dict[str, Any]] = []

    async def answer(function: Callable[..., Any], inputs: str) -> None:
        shown.append(await function(**json.loads(inputs)))

    source = cell.source.replace(
        'await __import__("labkit.grading.kernel_side", fromlist=["answer"]).answer(', "answer("
    )
    scope: dict[str, Any] = {"answer": lambda function, inputs: asyncio.run(answer(function, inputs))}
    exec(source, scope)  # our own source
    assert shown == ['it\'s "ż"\n\\n {x}']


def output(data: object) -> NotebookNode:
    """What a kernel shows."""
    return nbformat.from_dict({"output_type": "display_data", "metadata": {}, "data": data})


@pytest.mark.parametrize(
    ("outputs", "error", "expected"),
    [
        pytest.param([], "KeyboardInterrupt", ProbeResult(error="KeyboardInterrupt"), id="nothing-shown"),
        pytest.param([], "", ProbeResult(error=NO_VALUE), id="nothing-said"),
        pytest.param([output({MIME: {"value": 1}})], "", ProbeResult(1), id="value"),
        pytest.param([output({MIME: {"value": 1}}), output({MIME: {"value": 2}})], "", ProbeResult(2), id="two"),
        pytest.param([output({"text/plain": "1"})], "", ProbeResult(error=NO_VALUE), id="other-data"),
        pytest.param([output({MIME: [1]})], "", ProbeResult(error=TOO_LARGE), id="list"),
        pytest.param([output({MIME: {"error": "E: x"}})], "", ProbeResult(error="E: x"), id="error"),
        pytest.param([output({MIME: {"error": 5}})], "", ProbeResult(), id="error-is-no-text"),
        pytest.param(
            [output({MIME: {"value": 10**40}})], "", ProbeResult(error=TOO_LARGE), id="int"
        ),
    ],
)  # fmt: skip
def test_what_a_kernel_shows_is_not_trusted(outputs: list[NotebookNode], error: str, expected: ProbeResult) -> None:
    """Only small JSON of the right form becomes a value."""
    assert probes.read(outputs, error) == expected


def test_values_are_read_with_a_type() -> None:
    """Whatever the shape of the value, the rubric gets the type it asked for."""
    result = ProbeResult({"rows": [{"n": 1}, {"n": 2.5}, {"n": True}], "name": "x"})
    assert result.get("rows", 0, "n", kind=int, default=0) == 1
    assert result.get("rows", 0, "n", kind=float, default=0.0) == 1.0
    assert result.get("rows", -2, "n", kind=float, default=0.0) == 2.5
    assert result.get("rows", 2, "n", kind=int, default=7) == 7
    assert result.get("rows", 9, "n", kind=int, default=7) == 7
    assert result.get("name", 0, kind=str, default="none") == "none"
    assert ProbeResult(error="E").get(kind=dict, default={}) == {}


@dataclass
class Point:
    """A student's own class."""

    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"a": (1, None, True), 2: {3}}, {"a": [1, None, True], "2": [3]}, id="containers"),
        pytest.param([math.nan, math.inf, 2**60], ["nan", "inf", float(2**60)], id="numbers-json-lacks"),
        pytest.param(np.float64(0.5), 0.5, id="numpy-number"),
        pytest.param(np.arange(3), [0, 1, 2], id="numpy-array"),
        pytest.param(np.int64(4), 4, id="numpy-int"),
        pytest.param(
            pd.DataFrame({"calls": [1, 2]}, index=pd.Index(["a", "b"], name="deployment")),
            [{"deployment": "a", "calls": 1}, {"deployment": "b", "calls": 2}],
            id="table",
        ),
        pytest.param(pd.Series({"a": 1.5}), {"a": 1.5}, id="series"),
        pytest.param(Point(1, 2.0), {"x": 1, "y": 2.0}, id="dataclass"),
        pytest.param(date(2026, 11, 22), "2026-11-22", id="date"),
        pytest.param(ValueError("no"), {"error": "ValueError", "message": "no"}, id="exception"),
        pytest.param("\ud800", "?", id="surrogate"),
    ],
)
def test_values_become_plain(value: object, expected: object) -> None:
    """The objects students work with come out as JSON."""
    assert plain(value) == expected


def test_answers_of_the_sdk_become_plain() -> None:
    """An answer of the service is read like the document it came as."""
    answer = ChatCompletion(id="c", object="chat.completion", created=1, model="m", choices=[])
    assert plain(answer)["model"] == "m"


def test_values_without_end_are_cut() -> None:
    """Depth and number of values are limited; objects that know no plain form are named."""
    endless: list[object] = []
    endless.append(endless)
    json.dumps(plain(endless))
    assert len(json.dumps(plain([["x"] * 1000] * 1000))) < 1_000_000
    assert plain(object)["type"] == "type"
