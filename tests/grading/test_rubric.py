"""What rubrics are written with, and how their mistakes are told apart from students'."""

from pathlib import Path

import pytest

from labkit.grading.evidence import Evidence, Phase, cell_phase, probe_phase
from labkit.grading.exercises import Exercise
from labkit.grading.probe import ProbeResult
from labkit.grading.rubric import Probe, RubricError, Score, choose, load, number, part, share
from labkit.grading.score import check_probes, settle
from labkit.localazure.faults import Fault
from labkit.localazure.journal import Entry

EXERCISES = (
    Exercise("task1-1-a", "1.1", 4.0, ("task1-1-a", "task1-1-check")),
    Exercise("task1-1-why", "1.1", 2.0, ("task1-1-why",), is_manual=True),
)


def test_all_parts_hold() -> None:
    """A full share, and the reason says what holds."""
    assert share("e", {"it is quick": True, "it is right": 1.0}) == Score("e", 1.0, "It is quick; it is right.")


def test_parts_are_weighed() -> None:
    """The reason names what does not hold, what was seen and what was expected."""
    score = share("e", {"one": part(True, weight=3), "two": part(0, seen="5 calls", expected="1 call"), "three": 0.5})
    assert score.share == pytest.approx(3.5 / 5)
    assert score.reason == "1 of 3 hold. Not yet: two; three."
    assert (score.seen, score.expected) == ("5 calls", "1 call")


@pytest.mark.parametrize(("holds", "amount"), [([], 0.0), ("x", 1.0), (None, 0.0), (True, 1.0), (0.25, 0.25)])
def test_a_part_takes_what_a_comparison_gives(holds: object, amount: float) -> None:
    """Anything but a number counts as true or false."""
    assert part(holds).share == amount


def test_hidden_inputs_differ_by_secret_only() -> None:
    """The same secret draws the same, another one something else."""
    assert choose("one", "x", range(100), 5) == choose("one", "x", range(100), 5)
    assert choose("one", "x", range(100), 5) != choose("two", "x", range(100), 5)
    assert len(set(choose("one", "x", range(5), 5))) == 5
    assert {number("one", str(index), 3, 5) for index in range(50)} == {3, 4, 5}


def entry(id: int, operation: str = "chat.completions", deployment: str | None = None) -> Entry:
    """A request in the journal."""
    return Entry(1.0, "inference", "POST", "/", operation, 200, deployment=deployment, id=id)


EVIDENCE = Evidence(
    task="task1",
    secret="s",
    journal=[entry(1), entry(2, deployment="big"), entry(3, "embeddings"), entry(4)],
    phases={"run": Phase(0, 3), cell_phase("task1-1-a"): Phase(1, 3), probe_phase("p"): Phase(3, 4)},
    resources=[{"type": "Microsoft.Insights/components", "name": "Appi", "properties": {"x": 1}}],
    probes={"p": ProbeResult({"n": 3}), "failed": ProbeResult(error="E: no")},
)


def test_calls_are_told_apart_by_cell_and_probe() -> None:
    """Each request belongs to the cell that made it; probes are not part of the run."""
    assert [one.id for one in EVIDENCE.calls()] == [1, 2, 3]
    assert [one.id for one in EVIDENCE.calls(cell="task1-1-a")] == [2, 3]
    assert [one.id for one in EVIDENCE.calls(cell="task1-1-a", operation="embeddings")] == [3]
    assert [one.id for one in EVIDENCE.calls(deployment="big")] == [2]
    assert [one.id for one in EVIDENCE.calls(probe="p")] == [4]
    assert EVIDENCE.calls(probe="none") == []
    assert EVIDENCE.calls(operation="embeddings")
    assert EVIDENCE.calls(operation="embeddings", probe="p") == []


def test_values_and_resources_are_always_there() -> None:
    """What is absent reads as empty, so that a rubric does not fail on a blank submission."""
    assert EVIDENCE.value("p", int, "n") == 3
    assert EVIDENCE.value("p", str, "n") == ""
    assert EVIDENCE.value("failed", dict) == {}
    assert EVIDENCE.probe("never").error == "it was not asked"
    found = EVIDENCE.resource("microsoft.insights/COMPONENTS", "appi")
    assert found is not None
    assert found["properties"] == {"x": 1}
    assert [one["name"] for one in EVIDENCE.resources_of("microsoft.insights/components")] == ["Appi"]
    assert EVIDENCE.resource("Microsoft.Insights/metricAlerts", "appi") is None
    assert "secret" not in repr(EVIDENCE)


def test_shares_become_points() -> None:
    """A share of the check's points; an answer in prose waits for a person."""
    first, second = settle(EXERCISES, [Score("task1-1-check", 1 / 3, "A third.")])
    assert (first.exercise, first.points, first.max_points) == ("task1-1-a", 1.33, 4.0)
    assert (second.points, second.reason) == (0.0, "A person reads this answer.")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        pytest.param([], "no score for 'task1-1-a'", id="missing"),
        pytest.param([Score("task1-1-a", 1, ""), Score("task1-1-check", 1, "")], "'task1-1-a' twice", id="twice"),
        pytest.param([Score("task9-1-a", 1, "")], "'task9-1-a', which is no exercise", id="unknown"),
    ],
)
def test_every_exercise_has_exactly_one_score(scores: list[Score], message: str) -> None:
    """A rubric that forgot one is wrong, not the student."""
    with pytest.raises(RubricError, match=message):
        settle(EXERCISES, scores)


def test_probes_belong_to_an_exercise() -> None:
    """A misspelt exercise is noticed."""
    check_probes(EXERCISES, ["task1-1-a", "task1-1-check"])
    with pytest.raises(RubricError, match="task1-1-b"):
        check_probes(EXERCISES, ["task1-1-b"])


def written(tmp_path: Path, source: str) -> Path:
    """A rubric module."""
    path = tmp_path / "task1.py"
    path.write_text(source, "utf-8")
    return path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("TASK = 'task2'\ndef score(evidence): ...", 'needs TASK = "task1"', id="other-task"),
        pytest.param("TASK = 'task1'", "a function score", id="no-score"),
        pytest.param("def (", "cannot be imported .SyntaxError", id="syntax"),
        pytest.param("1 / 0", "cannot be imported .ZeroDivisionError", id="fails"),
    ],
)
def test_a_module_that_is_no_rubric(tmp_path: Path, source: str, message: str) -> None:
    """It is refused with its name."""
    with pytest.raises(RubricError, match=rf"task1\.py.*{message}"):
        load(written(tmp_path, source), "task1")
    with pytest.raises(RubricError, match="missing"):
        load(tmp_path / "none.py", "task1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("return [1]", "a score that is none: 1", id="not-a-score"),
        pytest.param("return [Score('e', 1.5, '')]", "a score that is none", id="too-much"),
        pytest.param("return [Score('e', float('nan'), '')]", "a score that is none", id="nan"),
        pytest.param(
            "return evidence['x']", r"score of the rubric failed in task1.py, line 4 .TypeError.$", id="raises"
        ),
        pytest.param("return None", "score of the rubric failed", id="nothing"),
    ],
)
def test_a_rubric_that_fails_says_where(tmp_path: Path, body: str, message: str) -> None:
    """Its mistakes name the file and the line."""
    source = f"from labkit.grading.rubric import Score\nTASK = 'task1'\ndef score(evidence):\n    {body}\n"
    rubric = load(written(tmp_path, source), "task1")
    with pytest.raises(RubricError, match=message):
        rubric.score(EVIDENCE)


def test_faults_may_follow_a_script(tmp_path: Path) -> None:
    """Its events become faults with windows on the local Azure's clock."""
    source = """
from labkit.grading.rubric import scripted
TASK = "task1"
def faults(secret): return scripted([{"at_s": 5, "fault": {"status": 503}}, {"at_s": 8, "clear": True}])
def score(evidence): return []
"""
    assert load(written(tmp_path, source), "task1").faults("s") == [Fault(status=503, times=1, after_s=5, for_s=3)]


def test_faults_and_probes_are_optional_and_checked(tmp_path: Path) -> None:
    """A fault may be written as a dict; ids of probes are unique."""
    score = "\ndef score(evidence): return []\n"
    rubric = load(written(tmp_path, "TASK = 'task1'" + score), "task1")
    assert rubric.faults("s") == []
    assert rubric.probes("s") == []
    rubric = load(written(tmp_path, "TASK = 'task1'\ndef faults(secret): return [{'times': 2}]" + score), "task1")
    assert rubric.faults("s") == [Fault(times=2)]
    for wrong in ("{'times': 0}", "{'novelty': 1}", "5"):
        rubric = load(written(tmp_path, f"TASK = 'task1'\ndef faults(secret): return [{wrong}]" + score), "task1")
        with pytest.raises(RubricError, match="fault of the rubric"):
            rubric.faults("s")
    twice = "from labkit.grading.rubric import Probe\nTASK = 'task1'\n"
    twice += "def probes(secret): return [Probe('1', 'e', 'x'), Probe('1', 'e', 'y')]"
    with pytest.raises(RubricError, match="two probes"):
        load(written(tmp_path, twice + score), "task1").probes("s")


def test_a_rubric_may_import_what_stands_beside_it(tmp_path: Path) -> None:
    """Rubrics can share code."""
    (tmp_path / "shared_by_rubrics.py").write_text("TASK = 'task1'\n")
    source = "from shared_by_rubrics import TASK\ndef score(evidence): return []\n"
    assert load(written(tmp_path, source), "task1").score(EVIDENCE) == []
    assert Probe("1", "e", "x").timeout_s == 20.0
