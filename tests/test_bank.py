"""The question bank: complete, balanced, correct, and judged as a person would."""

import math
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest

from labkit import bank
from labkit.bank import KINDS, LANGUAGES, LEVELS, QUESTIONS, Question

BY_ID = {question.id: question for question in QUESTIONS}


def primes_below(limit: int) -> list[int]:
    return [n for n in range(2, limit) if all(n % d for d in range(2, n))]


def printed_by_shared_default() -> int:
    def f(x: int, seen: list[int] = []) -> int:  # noqa: B006  (that is what the question is about)
        seen.append(x)
        return len(seen)

    f(1)
    f(2)
    return f(3)


def length_of_shared_list() -> int:
    x = [1, 2]
    y = x
    y.append(3)
    return len(x)


# Every answer that can be worked out, worked out a second time and independently of the data files.
WORKED_OUT: dict[str, Callable[[], object]] = {
    "en-arithmetic-1a": lambda: 17 + 25,
    "en-arithmetic-1b": lambda: 9 * 8,
    "en-arithmetic-1c": lambda: 100 - 37,
    "en-arithmetic-1d": lambda: 86 // 2,
    "en-arithmetic-2a": lambda: 17 * 23,
    "en-arithmetic-2b": lambda: 240 * 15 // 100,
    "en-arithmetic-2c": lambda: round(180 / 2.5),
    "en-arithmetic-2d": lambda: 2**10,
    "en-arithmetic-3a": lambda: 2**20 % 7,
    "en-arithmetic-3b": lambda: round(250 * 1.2 * 0.8),
    "en-arithmetic-3c": lambda: sum(1 for n in range(1, 101) if n % 3 == 0 or n % 5 == 0),
    "en-arithmetic-3d": lambda: 1350 * (640 + 160) // 60,
    "en-fact-1b": lambda: date(2024, 12, 31).timetuple().tm_yday,
    "en-extraction-2a": lambda: f"{date(2026, 3, 3) + timedelta(days=30):%d %B %Y}".lstrip("0"),
    "en-extraction-2b": lambda: "North" if 420 / 600 > 500 / 800 else "South",
    "en-extraction-2d": lambda: 95 * 6,
    "en-extraction-3a": lambda: (9 * 60 + 20) + 60 - (7 * 60 + 35),
    "en-extraction-3b": lambda: round(4.2 / 2 * 3, 1),
    "en-extraction-3c": lambda: 4 + 2,
    "en-extraction-3d": lambda: 4 * (17 - 9) + (20 - 9) + 2 * (17 - 11),
    "en-code-1a": lambda: len("labkit"),
    "en-code-1b": lambda: 7 // 2,
    "en-code-1d": lambda: "a" in "cat",
    "en-code-2a": lambda: [x * x for x in range(4)][-1],
    "en-code-2b": lambda: sum(range(1, 11)),
    "en-code-2c": lambda: "azure"[::-1][:3],
    "en-code-3a": printed_by_shared_default,
    "en-code-3b": lambda: sum(1 for i in range(0, 20, 3) if i % 2 == 0),
    "en-code-3d": lambda: sorted(["b10", "b9", "b1"])[1],
    "pl-arithmetic-1a": lambda: 14 + 29,
    "pl-arithmetic-1b": lambda: 7 * 6,
    "pl-arithmetic-1c": lambda: 81 // 9,
    "pl-arithmetic-1d": lambda: 3 * 60,
    "pl-arithmetic-2a": lambda: 24 * 19,
    "pl-arithmetic-2b": lambda: 350 * 12 // 100,
    "pl-arithmetic-2c": lambda: f"{(2000 - 450 - 780) / 100:.2f}",
    "pl-arithmetic-2d": lambda: 2 * (12 + 7),
    "pl-arithmetic-3a": lambda: len(primes_below(50)),
    "pl-arithmetic-3b": lambda: sum(range(1, 201)),
    "pl-arithmetic-3c": lambda: round(1200 * 0.75 * 1.1),
    "pl-arithmetic-3d": lambda: 3**15 % 10,
    "pl-extraction-2a": lambda: 12 + 5,
    "pl-extraction-2b": lambda: "gamma" if 2 * 18 > 25 else "beta",
    "pl-extraction-2c": lambda: 14 - 9,
    "pl-extraction-2d": lambda: 615 - 115,
    "pl-extraction-3a": lambda: f"{datetime(2026, 1, 1, 13, 10) - timedelta(minutes=95):%H:%M}",
    "pl-extraction-3b": lambda: 5 + 6 - (9 - 2),
    "pl-code-1a": lambda: len([1, 2, 3, 4]),
    "pl-code-1b": lambda: 10 % 3,
    "pl-code-1d": lambda: "ab" * 2,
    "pl-code-2a": lambda: max([3, 8, 5]) - min([3, 8, 5]),
    "pl-code-2b": lambda: len(range(2, 12, 2)),
    "pl-code-2d": lambda: "Azure"[1:3].upper(),
    "pl-code-3a": length_of_shared_list,
    "pl-code-3b": lambda: len({i % 4 for i in range(10)}),
    "pl-code-3c": lambda: math.floor((12 - 1) * 5 / (6 - 1)),
    "pl-code-3d": lambda: sum(1 for i in range(1, 30) if i % 2 == 0 and i % 3 == 0),
}


@pytest.fixture(params=QUESTIONS, ids=lambda question: question.id)
def question(request: pytest.FixtureRequest) -> Question:
    """Each question of the bank."""
    found: Question = request.param
    return found


def test_bank_is_balanced() -> None:
    """Every language, kind and level comes as often as the others."""
    count = Counter((q.language, q.kind, q.level) for q in QUESTIONS)
    assert set(count) == {(code, kind, level) for code in LANGUAGES for kind in KINDS for level in LEVELS}
    assert set(count.values()) == {4}
    assert len(QUESTIONS) == 144


@pytest.mark.parametrize("id", WORKED_OUT)
def test_answer_is_what_can_be_worked_out(id: str) -> None:
    """The stated answer, taken as a number or a text, is the one that code computes."""
    question, computed = BY_ID[id], WORKED_OUT[id]()
    assert bank.is_right(question, str(computed))
    assert question.answer.replace(",", ".") == str(computed)


def test_all_arithmetic_is_worked_out() -> None:
    """No calculation is left to trust."""
    assert {q.id for q in QUESTIONS if q.kind == "arithmetic"} <= WORKED_OUT.keys()


def test_question_is_found_alone_and_inside_a_prompt(question: Question) -> None:
    """A prompt may add words around the question, change its case and its white space."""
    assert bank.find(question.text) is question
    wrapped = f'Answer briefly, please: "{question.text.upper()}" \n Thank you!'
    assert bank.find(wrapped.replace(" ", "  ")) is question


def test_right_and_wrong_are_told_apart(question: Question) -> None:
    """Every accepted form counts, alone and with the explanation; the plausible wrong answer does not."""
    for form in question.accept:
        assert bank.is_right(question, form)
        assert bank.is_right(question, f"I think it is **{form.upper()}**.")
        assert bank.is_right(question, f"{form}. {question.explanation}")
    assert not bank.is_right(question, question.wrong)
    assert not bank.is_right(question, "")


def test_questions_do_not_contain_each_other() -> None:
    """A prompt with one question is never taken for another one."""
    texts = [q.text.casefold() for q in QUESTIONS]
    assert not [(a, b) for a in texts for b in texts if a != b and a in b]


@pytest.mark.parametrize(
    ("id", "answer", "right"),
    [
        pytest.param("en-arithmetic-2d", "It is 1,024.", True, id="comma between thousands"),
        pytest.param("en-arithmetic-2d", "1 024", True, id="space between thousands"),
        pytest.param("en-arithmetic-2d", "10240", False, id="part of a longer number"),
        pytest.param("en-arithmetic-2a", "3910", False, id="one digit too many"),
        pytest.param("en-arithmetic-2a", "-391", False, id="wrong sign"),
        pytest.param("en-arithmetic-2a", "391.5", False, id="decimals that should not be there"),
        pytest.param("en-arithmetic-2a", "17 · 23 = 391", True, id="in a formula"),
        pytest.param("en-arithmetic-2c", "72km/h", True, id="unit without a space"),
        pytest.param("pl-arithmetic-2c", "Reszta: 7.70 zł", True, id="decimal point for comma"),
        pytest.param("pl-arithmetic-2c", "7,7", True, id="no trailing zero"),
        pytest.param("pl-fact-2c", "ZELAZO", True, id="Polish without accents"),
        pytest.param("pl-fact-1c", "To Wisła!", True, id="Polish with accents"),
        pytest.param("en-fact-3d", "Kurt Godel", True, id="German without accents"),
        pytest.param("en-translation-1a", "kotlet", False, id="part of a word"),
        pytest.param("en-classification-1a", "Positive, because nothing negative is said.", True, id="label first"),
        pytest.param("en-classification-1a", "Negative rather than positive.", False, id="wrong label first"),
        pytest.param("en-fact-1c", "CO₂", True, id="subscript"),
    ],
)
def test_judgement(id: str, answer: str, right: bool) -> None:
    """Numbers must be exact, words whole; accents, case and separators do not matter."""
    assert bank.is_right(BY_ID[id], answer) is right


@pytest.mark.parametrize("prompt", ["", "   ", "What is 17 + 26?", "Opowiedz mi o tokenach", "x" * 100_000])
def test_other_prompts_are_not_questions(prompt: str) -> None:
    """Nothing but the bank's own questions is found."""
    assert bank.find(prompt) is None


def test_sample_is_the_same_every_time() -> None:
    """The seed decides which questions come and in which order; none comes twice."""
    first = bank.sample(20, seed=7)
    assert first == bank.sample(20, seed=7)
    assert first != bank.sample(20, seed=8)
    assert len({q.id for q in first}) == 20
    assert [q.id for q in bank.sample(3, seed=13)] == ["pl-code-2b", "pl-extraction-1d", "pl-code-1d"]


def test_sample_filters() -> None:
    """Each filter that is given must match."""
    assert {(q.language, q.level, q.kind) for q in bank.sample(4, language="pl", level=3, kind="code")} == {
        ("pl", 3, "code")
    }
    assert len(bank.sample(72, language="en")) == 72
    assert bank.sample(0) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": 5, "language": "en", "kind": "code", "level": 1}, "has 4 such questions, 5 were asked for"),
        ({"n": -1}, "-1 were asked for"),
        ({"n": 1, "language": "de"}, "knows: en, pl"),
        ({"n": 1, "level": 4}, "knows: 1, 2, 3"),
        ({"n": 1, "kind": "maths"}, "arithmetic"),
    ],
    ids=["too many", "negative", "language", "level", "kind"],
)
def test_sample_refuses_what_cannot_be(arguments: dict[str, object], said: str) -> None:
    """The error says what there is."""
    with pytest.raises(ValueError, match=said):
        bank.sample(**arguments)  # type: ignore[arg-type]
