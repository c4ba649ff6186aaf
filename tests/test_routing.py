"""The router: what it chooses, what its floor is worth, and that it sees nothing it must not."""

import math

import pandas as pd
import pytest

from labkit.errors import InvalidRequestError
from labkit.routing import Router
from labkit.routing.calibration import FEWEST_QUESTIONS, Calibration, shrunk
from labkit.routing.evaluation import evaluate
from tests.routed import CHEAP, DEAR, by_chance, by_length, question, row
from tests.scripted import ask, optimizer, service

SHORT, LONG = ask(question(900, long=False)), ask(question(901, long=True))


@pytest.fixture(scope="module")
def router() -> Router:
    """One that has learnt that long questions are hard."""
    return Router.fit(by_length(), [CHEAP, DEAR])


def test_easy_prompts_go_to_the_cheap_deployment(router: Router) -> None:
    """And hard ones to the dear one; neither question was among the measured ones."""
    assert router.choose(SHORT).deployment == CHEAP
    assert router.choose(LONG).deployment == DEAR
    assert router.best == DEAR


def test_a_choice_says_what_it_expects_and_why(router: Router) -> None:
    """Probability, cost and a reason in words."""
    short, long = router.choose(SHORT), router.choose(LONG)
    assert short.expected_right > 0.9
    assert short.expected_cost_usd == pytest.approx(0.001)
    assert short.reason.endswith(f"less often than {DEAR}, for 95% less")
    assert long.reason.startswith("big is right most often")


def test_the_order_of_the_candidates_does_not_matter(router: Router) -> None:
    """The best is found by measurement, not by its place."""
    other = Router.fit(by_length(), [DEAR, CHEAP])
    assert [other.choose(each).deployment for each in (SHORT, LONG)] == [CHEAP, DEAR]


@pytest.mark.parametrize("max_loss", [0.0, 0.01, 0.05])
def test_where_nothing_tells_hard_from_easy_the_floor_holds(max_loss: float) -> None:
    """Then little may be saved: on average over many calibrations no more is lost than was allowed."""
    tables = [
        evaluate(by_chance(seed=seed), [CHEAP, DEAR], max_loss=max_loss, seeds=(0, 1)).loc["router"]
        for seed in range(6)
    ]
    assert sum(table["loss_points"] for table in tables) / 6 <= 100 * max_loss + 0.5


def test_a_looser_floor_saves_more() -> None:
    """Up to the cheap deployment for everything."""
    observations = by_chance()
    savings = [
        evaluate(observations, [CHEAP, DEAR], max_loss=max_loss, seeds=(0,)).loc["router", "saving_share"]
        for max_loss in (0.0, 0.1, 0.9)
    ]
    assert savings == sorted(savings)
    assert savings[2] == pytest.approx(0.95)


def test_evaluation_stands_beside_what_one_would_do_without() -> None:
    """Always one, a random mix for the same money, and the oracle; the router comes close to it when length tells."""
    table = evaluate(by_length(), [CHEAP, DEAR], seeds=(0, 1))
    assert list(table.index) == ["always small", "always big", "router", "random mix of the same cost", "oracle"]
    assert table.loc["always small", ["right_share", "loss_points"]].tolist() == [0.5, 50.0]
    assert table.loc["always big", ["saving_share", "elsewhere_share"]].tolist() == [0.0, 0.0]
    assert table.loc["oracle", "right_share"] == 1.0
    assert table.loc["oracle", "cost_usd_per_1000"] == pytest.approx(10.5)
    assert table.loc["router", "saving_share"] == pytest.approx(table.loc["oracle", "saving_share"], abs=0.02)
    mix, routed = table.loc["random mix of the same cost"], table.loc["router"]
    assert mix["cost_usd_per_1000"] == pytest.approx(routed["cost_usd_per_1000"])
    assert mix["right_share"] < 0.8 < 0.99 < routed["right_share"]
    assert (table["right_low"] <= table["right_share"]).all()
    assert (table["right_share"] <= table["right_high"]).all()
    assert table["questions"].tolist() == [100] * 5


def test_one_answer_of_the_cheap_deployment_that_suffices_is_always_taken() -> None:
    """A cheap deployment that is right as often as the dear one is the best: it gets everything."""
    observations = by_chance(cheap_share=1.1)
    router = Router.fit(observations, [DEAR, CHEAP])
    assert router.best == CHEAP
    assert router.choose(LONG).deployment == CHEAP


def test_it_survives_a_file(router: Router, tmp_path) -> None:
    """JSON, without anything that runs; an infinite worth comes back, too."""
    path = tmp_path / "router.json"
    router.save(path)
    assert Router.load(path) == router
    careful = Router.fit(by_chance(), [CHEAP, DEAR], max_loss=0.0)
    careful.save(path)
    assert Router.load(path).choose(SHORT) == careful.choose(SHORT)
    assert "Infinity" not in path.read_text()


def test_the_floor_may_be_unreachable() -> None:
    """When even one question more would lose too much, everything goes to the best."""
    rows = [row(question(n, long=False), name, name == DEAR) for n in range(60) for name in (CHEAP, DEAR)]
    router = Router.fit(pd.DataFrame(rows), [CHEAP, DEAR], max_loss=0.0)
    assert router.choose(SHORT).deployment == DEAR


def test_features_can_be_ones_own() -> None:
    """An embedding, or whatever else tells hard from easy: here one word."""
    rows = []
    for number in range(80):
        asked, hard = f"{'prove' if number % 2 else 'state'} theorem {number:02}", bool(number % 2)
        rows += [row(asked, CHEAP, not hard), row(asked, DEAR, True)]
    router = Router.fit(pd.DataFrame(rows), [CHEAP, DEAR], features=lambda text: [float("prove" in text)])
    assert [router.choose(ask(f"{word} it")).deployment for word in ("prove", "state")] == [DEAR, CHEAP]


def test_longer_prompts_are_expected_to_cost_more() -> None:
    """The cost is a base and an amount for each character, from what was measured."""
    rows = []
    for number in range(40):
        asked = "x" * (10 * number + 1) + f" {number}"
        rows += [row(asked, name, True, cost_usd=price * len(asked)) for name, price in ((CHEAP, 1e-6), (DEAR, 1e-5))]
    router = Router.fit(pd.DataFrame(rows), [CHEAP, DEAR])
    assert router.choose(ask("y" * 200)).expected_cost_usd == pytest.approx(200e-6, rel=0.02)


async def test_complete_asks_the_chosen_deployment(router: Router) -> None:
    """Through its own optimizer, with the caller's parameters."""
    fake = service()
    optimizers = {name: optimizer(fake, name) for name in (CHEAP, DEAR)}
    await router.complete(SHORT, optimizers, temperature=0.5)
    await router.complete(LONG, optimizers)
    assert fake.deployments == [CHEAP, DEAR]
    assert fake.sent[0].body["temperature"] == 0.5


async def test_an_optimizer_that_lacks_is_named(router: Router) -> None:
    """Before anything is sent."""
    fake = service()
    with pytest.raises(InvalidRequestError, match="No optimizer for 'small'; there are some for big"):
        await router.complete(SHORT, {DEAR: optimizer(fake, DEAR)})
    assert not fake.sent


def test_what_failed_or_has_no_known_answer_teaches_nothing() -> None:
    """An outage is no sign that a question is hard."""
    good = by_length(60)
    failed = pd.DataFrame([row(question(n, long=False), CHEAP, False, error="500") for n in range(300, 340)])
    unknown = pd.DataFrame([row(question(n, long=True), DEAR, None) for n in range(300, 340)])
    measured = Calibration.of(pd.concat([good, failed, unknown]), [CHEAP, DEAR])
    assert len(measured.questions) == 60
    assert Router.fit(pd.concat([good, failed, unknown]), [CHEAP, DEAR]) == Router.fit(good, [CHEAP, DEAR])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda t: t.drop(columns="cost_usd"), "lack cost_usd", id="column"),
        pytest.param(lambda t: t[t["deployment"] == DEAR], r"No observations of \['small'\]", id="deployment"),
        pytest.param(lambda t: t.head(20), f"answered 10 questions.*needs {FEWEST_QUESTIONS}", id="too few"),
        pytest.param(lambda t: t.assign(right=None), "answered 0 questions", id="no verdicts"),
    ],
)
def test_observations_that_do_not_do_are_refused(change, said: str) -> None:
    """The message says what is missing."""
    with pytest.raises(InvalidRequestError, match=said):
        Router.fit(change(by_length()), [CHEAP, DEAR])


@pytest.mark.parametrize("max_loss", [-0.1, 1, "1%", True, math.nan], ids=repr)
def test_a_floor_is_a_share(max_loss) -> None:
    """One point is 0.01, not 1."""
    with pytest.raises(InvalidRequestError, match="0.01 is one point"):
        Router.fit(by_length(), [CHEAP, DEAR], max_loss=max_loss)


def test_small_samples_lean_on_what_is_expected() -> None:
    """Ten questions without an error are no proof; ten thousand are."""
    assert shrunk(0.0, 0.02, 10) == pytest.approx(0.02, rel=0.1)
    assert shrunk(0.0, 0.02, 10_000) < 0.001
