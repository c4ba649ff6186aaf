"""The signs that two questions must share, whatever their vectors say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.cache.agreement import agree


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("What is the capital of France?", "what is the capital of france", id="without capitals"),
        pytest.param("What is 17 + 25?", "17 + 25 = ?", id="a sum and nothing else"),
        pytest.param("Jakie miasto jest stolicą Polski?", "Jaka jest stolica Polski?", id="Polish, shorter"),
        pytest.param("It isn't open.", "It is not open.", id="short and long negation"),
        pytest.param("It isn’t open.", "It isn't open.", id="both apostrophes"),
        pytest.param("Wait 3 days", "Wait three days", id="a number as a word"),
        pytest.param("What is the largest city?", "What is the biggest city?", id="synonyms"),
        pytest.param("What's the word for 'cat'?", "What is the word for 'cat'?", id="a contraction is no quotation"),
        pytest.param("Ile to 3,5 m?", "Ile to 3.5 m?", id="decimal comma"),
        pytest.param("Send an e-mail", "Send an e-mail now", id="a hyphen is no minus"),
    ],
)
def test_paraphrases_agree(one, other):
    """What says the same in other words passes, both ways round."""
    assert agree(one, other)
    assert agree(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Is it open?", "Is it not open?", id="negation"),
        pytest.param("Czy jest otwarte?", "Czy nie jest otwarte?", id="Polish negation"),
        pytest.param("It is open.", "It isn't open.", id="contracted negation"),
        pytest.param("What is 17 + 25?", "What is 17 + 26?", id="number"),
        pytest.param("Nobel prize of 1996", "Nobel prize of 1980", id="year"),
        pytest.param("zegar wybija szóstą", "zegar wybija dwunastą", id="Polish ordinal"),
        pytest.param("What is 17 + 25?", "What is 17 − 25?", id="operator"),
        pytest.param("What does 7 // 2 give?", "What does 7 / 2 give?", id="another division"),
        pytest.param("What is the capital of France?", "What is the capital of Spain?", id="name"),
        pytest.param("In Poznań or Gdańsk? In Poznań", "In Poznań or Gdańsk? In Gdańsk", id="names as often"),
        pytest.param("Which is the largest?", "Which is the smallest?", id="opposite"),
        pytest.param("jaka rzeka jest najdłuższa", "jaka rzeka jest najkrótsza", id="Polish opposite"),
        pytest.param("How do I turn it on?", "How do I turn it off?", id="on and off"),
        pytest.param("The flight from Warsaw to Paris", "The flight from Paris to Warsaw", id="names in another order"),
        pytest.param("Convert from 5 to 9", "Convert from 9 to 5", id="numbers in another order"),
        pytest.param("What does 'book' mean?", "What does 'look' mean?", id="quotation"),
        pytest.param("What is the length of it?", "Jaka jest jego długość?", id="language"),
    ],
)
def test_look_alikes_do_not_agree(one, other):
    """Each differs from the other by one sign that changes the answer."""
    assert not agree(one, other)
    assert not agree(other, one)


@given(one=st.text(max_size=40), other=st.text(max_size=40))
def test_agreement_works_for_any_text(one, other):
    """It never fails, every text agrees with itself, and the order does not matter."""
    assert agree(one, one)
    assert agree(one, other) == agree(other, one)
