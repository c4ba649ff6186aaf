import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import tokens
from labkit.budget.estimate import answer_tokens, most_usd, prompt_tokens
from labkit.catalog import MODELS
from labkit.errors import UnknownModelError
from labkit.prices import price_of
from tests.scripted import ask

MODEL = MODELS["gpt-4o"]


def picture(**detail):
    """A message with a picture in it."""
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;,", **detail}}]}]


@pytest.mark.parametrize(
    ("params", "most"),
    [
        pytest.param({"max_tokens": 50}, 50, id="max_tokens"),
        pytest.param({"max_completion_tokens": 70}, 70, id="its new name"),
        pytest.param({}, 16384, id="unset: as long as the model can"),
        pytest.param({"max_tokens": None}, 16384, id="None: the same"),
        pytest.param({"max_tokens": 10**6}, 16384, id="more than the model can"),
    ],
)
def test_an_answer_is_as_long_as_it_may_be(params, most):
    """The limit, or what the model can write where there is none."""
    assert answer_tokens(params, MODEL) == most


def test_a_call_is_priced_with_its_whole_prompt_and_all_its_answers():
    """Prompt once, answers n times."""
    counted = tokens.chat_prompt_tokens(ask())
    usd = most_usd(ask(), {"max_tokens": 100, "n": 2}, MODEL)
    assert usd == pytest.approx((counted * 2.5 + 200 * 10) / 1e6)


def test_embeddings_have_no_answer_to_pay_for():
    """Their models write nothing."""
    assert answer_tokens({}, MODELS["text-embedding-3-small"]) == 0


def test_pictures_count_as_large_as_they_are_taken():
    """High detail of gpt-4o: 85 and eight tiles of 170; low detail: 85; detail unset may be high."""
    base = prompt_tokens(picture(detail="low"), {}, MODEL)
    assert prompt_tokens(picture(detail="high"), {}, MODEL) - base == 8 * 170
    assert prompt_tokens(picture(), {}, MODEL) - base == 8 * 170


def test_tools_and_schemas_are_part_of_the_prompt():
    """The service writes them into it, and bills them."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    plain = prompt_tokens(ask(), {}, MODEL)
    assert prompt_tokens(ask(), {"tools": [tool], "response_format": schema}, MODEL) > plain + 20


def test_a_model_that_the_catalogue_lacks_is_estimated_by_its_price():
    """By its name or its price alone; as long an answer as any model of the catalogue writes, where no limit is set."""
    counted = tokens.chat_prompt_tokens(ask())
    limited = {"max_tokens": 100}
    assert most_usd(ask(), limited, "gpt-5.1") == pytest.approx((counted * 1.25 + 100 * 10) / 1e6)
    assert most_usd(ask(), limited, price_of("gpt-5.1")) == most_usd(ask(), limited, "gpt-5.1")
    assert answer_tokens({}, "gpt-5.1") == 128_000
    with pytest.raises(UnknownModelError):
        most_usd(ask(), limited, "phi-9")


def test_a_snapshot_at_a_price_of_its_own_is_estimated_at_that():
    """The first gpt-4o costs twice as much, and is in everything else the model of the catalogue."""
    counted = tokens.chat_prompt_tokens(ask())
    assert most_usd(ask(), {}, "gpt-4o-2024-05-13") == pytest.approx((counted * 5 + 16384 * 15) / 1e6)


@given(st.text(max_size=200), st.integers(1, 4000), st.integers(1, 4))
def test_more_never_costs_less(text, max_tokens, n):
    """A longer prompt, a higher limit or another answer raises the estimate, or leaves it."""
    one = most_usd(ask(text), {"max_tokens": max_tokens, "n": n}, MODEL)
    assert most_usd(ask(text + " And why?"), {"max_tokens": max_tokens, "n": n}, MODEL) >= one
    assert most_usd(ask(text), {"max_tokens": max_tokens + 1, "n": n}, MODEL) > one
    assert most_usd(ask(text), {"max_tokens": max_tokens, "n": n + 1}, MODEL) > one
