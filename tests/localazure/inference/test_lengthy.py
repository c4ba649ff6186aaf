"""Answers of a length that the prompt asks for, by words and by tokens."""

import pytest

from labkit.localazure.inference.lengthy import words_asked
from tests.localazure.asking import BIG, Asker, deploy


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Write at least 300 words about cats.", 300),
        ("Write about 1,500 words on tea", 1500),
        ("In around 80 words: what is a token?", 80),
        ("Napisz co najmniej 250 słów o kotach.", 250),
        ("Opisz to w około 120 słowach", None),
        ("Około 120 słów, proszę", 120),
        ("napisz przynajmniej 90 slow", 90),
        ("at least 999999 words", 4000),
        ("Use 5 words or less", None),
        ("At least say some words", None),
        ("", None),
    ],
)
def test_what_the_prompt_asks_for(said: str, words: int | None) -> None:
    """English and Polish, with accents and without, four thousand at most."""
    assert words_asked(said.casefold().split()) == words


@pytest.mark.parametrize("said", ["Write at least {} words about llamas.", "Napisz co najmniej {} słów o lamach."])
@pytest.mark.parametrize("words", [40, 700])
def test_answers_are_as_long_as_asked(ask: Asker, said: str, words: int) -> None:
    """Not fewer, and at most a sentence more."""
    body = ask.chat(said.format(words), temperature=0).json
    count = len(body["choices"][0]["message"]["content"].split())
    assert words <= count < words + 30
    assert body["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("tokens", [1, 17, 500, 3999])
def test_max_tokens_gives_exactly_as_many(ask: Asker, tokens: int) -> None:
    """A load test that replays a trace gets the tokens of the trace, also in streams."""
    body = ask.chat("Write at least 4000 words about llamas.", max_tokens=tokens).json
    assert body["usage"]["completion_tokens"] == tokens
    assert body["choices"][0]["finish_reason"] == "length"


def test_many_long_answers_share_the_words(ask: Asker) -> None:
    """So that one request cannot keep the server busy."""
    deploy(ask.azure, BIG, capacity_ktpm=10_000)
    body = ask.chat("At least 4000 words about llamas", n=128, temperature=1).json
    assert body["usage"]["completion_tokens"] < 12_000
