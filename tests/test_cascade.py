"""The cascade: when it asks the cheap deployment, when it takes its answer, and what that is worth."""

import httpx2
import pandas as pd
import pytest

from labkit import bank
from labkit.errors import InvalidRequestError
from labkit.manager import AzureOpenAIManager
from labkit.routing.cascade import Cascade
from labkit.routing.evaluation import evaluate_cascade
from tests.routed import CHEAP, DEAR, by_agreement, by_chance, question, row
from tests.scripted import answered, ask, completion_body, optimizer, service

ASKED = ask(question(900, long=False))


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    """One that has learnt that the cheap deployment's answers are right where they agree."""
    return Cascade.fit(by_agreement(), cheap=CHEAP, dear=DEAR)


def saying(*texts: str) -> httpx2.Response:
    """One reply with several samples."""
    body = completion_body(model="gpt-4.1-mini-2025-04-14")
    (choice,) = body["choices"]
    body["choices"] = [
        {**choice, "index": place, "message": {**choice["message"], "content": text}}
        for place, text in enumerate(texts)
    ]
    return httpx2.Response(200, json=body)


async def test_samples_that_agree_are_taken(cascade: Cascade) -> None:
    """One call, to the cheap deployment, for five samples at temperature 1; one answer comes back."""
    fake = service(saying("Warsaw.", "warsaw", "Warsaw", "Warsaw!", " WARSAW."))
    answer = await cascade.complete(ASKED, {name: optimizer(fake, name) for name in (CHEAP, DEAR)}, max_tokens=9)
    assert [choice.message.content for choice in answer.choices] == ["Warsaw."]
    assert fake.deployments == [CHEAP]
    assert fake.sent[0].body | {"n": 5, "temperature": 1, "max_tokens": 9} == fake.sent[0].body


async def test_samples_that_disagree_send_the_question_on(cascade: Cascade) -> None:
    """The dear deployment gets it as the caller made it."""
    fake = service(saying("Warsaw", "Cracow", "Lodz", "Warsaw", "Gdynia"), answered("Gdansk"))
    answer = await cascade.complete(ASKED, {name: optimizer(fake, name) for name in (CHEAP, DEAR)}, max_tokens=9)
    assert answer.choices[0].message.content == "Gdansk"
    assert fake.deployments == [CHEAP, DEAR]
    assert "n" not in fake.sent[1].body
    assert fake.sent[1].body["max_tokens"] == 9


async def test_without_hope_the_cheap_deployment_is_not_paid_for() -> None:
    """Where even unanimous answers are not good enough, the question goes straight to the dear one."""
    rows = [row(question(n, long=False), name, name == DEAR) for n in range(60) for name in (CHEAP, DEAR)]
    cascade = Cascade.fit(pd.DataFrame(rows), cheap=CHEAP, dear=DEAR, max_loss=0.0)
    fake = service()
    await cascade.complete(ASKED, {name: optimizer(fake, name) for name in (CHEAP, DEAR)})
    assert not cascade.tries_cheap(ASKED)
    assert fake.deployments == [DEAR]


@pytest.mark.parametrize("own", ["n", "temperature", "stream"])
async def test_what_the_cascade_sets_cannot_be_set(cascade: Cascade, own: str) -> None:
    """It would take away what the answers are judged by."""
    fake = service()
    with pytest.raises(InvalidRequestError, match=f"{own} cannot be set"):
        await cascade.complete(ASKED, {name: optimizer(fake, name) for name in (CHEAP, DEAR)}, **{own: 1})
    with pytest.raises(InvalidRequestError, match="No optimizer for small"):
        await cascade.complete(ASKED, {DEAR: optimizer(fake, DEAR)})
    assert not fake.sent


def test_agreement_that_tells_saves_nearly_what_an_oracle_would() -> None:
    """And on what it has not seen: the table is of questions held out."""
    table = evaluate_cascade(by_agreement(), cheap=CHEAP, dear=DEAR, seeds=(0, 1))
    assert table.loc["cascade", "loss_points"] < 1
    # All but the samples paid for in vain.
    assert table.loc["cascade", "saving_share"] > table.loc["oracle", "saving_share"] - 0.08
    assert table.loc["random mix of the same cost", "loss_points"] > 15


def test_agreement_that_tells_nothing_keeps_the_floor() -> None:
    """Confident errors: nothing is gained, and no more is lost than was allowed, on average."""
    tables = [evaluate_cascade(by_chance(seed=seed), cheap=CHEAP, dear=DEAR, seeds=(0,)) for seed in range(6)]
    assert sum(table.loc["cascade", "loss_points"] for table in tables) / 6 <= 1.5


def test_one_sample_a_call_shows_no_agreement() -> None:
    """The message says how to measure it."""
    with pytest.raises(InvalidRequestError, match="samples=8"):
        Cascade.fit(by_agreement().assign(samples=1), cheap=CHEAP, dear=DEAR)
    with pytest.raises(InvalidRequestError, match="samples=8"):
        Cascade.fit(by_agreement().drop(columns="samples"), cheap=CHEAP, dear=DEAR)


def test_it_survives_a_file(cascade: Cascade, tmp_path) -> None:
    """JSON, without anything that runs."""
    cascade.save(tmp_path / "cascade.json")
    assert Cascade.load(tmp_path / "cascade.json") == cascade


def test_it_learns_from_the_local_azure(local) -> None:
    """Observed over the real SDK: what samples agree on is right more often than what they do not."""
    manager = AzureOpenAIManager()
    names = {CHEAP: "gpt-4.1-mini", DEAR: "gpt-4-turbo"}
    for name, of in names.items():
        manager.deploy_language_model(of, name, 200)
    questions = bank.sample(60)
    several = manager.observe(CHEAP, questions, samples=4)
    assert set(several["samples"]) == {4}
    assert set(several["agreement"]) == {0.5, 0.75, 1.0}
    agreed = several["agreement"] == 1
    assert several.loc[agreed, "right"].mean() > several.loc[~agreed, "right"].mean() + 0.1
    cascade = Cascade.fit(pd.concat([several, manager.observe([DEAR], questions)]), cheap=CHEAP, dear=DEAR)
    assert (cascade.samples, cascade.questions) == (4, 60)
    assert cascade.expected_right(ASKED) > cascade.expected_right(ASKED, agreement=0.5)
