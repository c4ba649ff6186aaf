import math
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import prices
from labkit.catalog import MODELS
from labkit.errors import UnknownModelError
from labkit.prices import catalogued, differences, known, price_of

# Where the catalogue and genai-prices disagree, and why ours is right; a new difference must be explained here.
KNOWN_DIFFERENCES: dict[str, str] = {}


def usd(price):
    """Input, cached input and output in US dollars per million tokens."""
    return price.input, price.cached_input, price.output


@pytest.mark.parametrize("name", MODELS)
def test_the_catalogues_dated_price_comes_first(name):
    """By its name, by its snapshot, and by the model itself."""
    model = MODELS[name]
    assert price_of(name) == price_of(model.snapshot) == price_of(model) == model.price


@pytest.mark.parametrize(
    ("name", "expected", "provider"),
    [
        pytest.param("o1", (15, 7.5, 60), "azure", id="Azure's own list"),
        pytest.param("o1-2024-12-17", (15, 7.5, 60), "azure", id="its snapshot"),
        pytest.param("o1-2030-01-01", (15, 7.5, 60), "azure", id="a later one"),
        pytest.param("gpt-5.1", (1.25, 0.125, 10), "openai", id="OpenAI's, where Azure's has none"),
        pytest.param("gpt-5.1-2025-11-13", (1.25, 0.125, 10), "openai", id="its snapshot there"),
        pytest.param("gpt-4o-2024-05-13", (5, 5, 15), "openai", id="a snapshot at another price than its model"),
        pytest.param("gpt-35-turbo-1106", (1, 1, 2), "openai", id="Azure's spelling"),
        pytest.param("gpt-4-1106-Preview", (10, 10, 30), "openai", id="in capitals"),
        pytest.param("gpt-4-0613", (30, 30, 60), "openai", id="the first GPT-4"),
        pytest.param("o4-mini-deep-research", (2, 0.5, 8), "openai", id="only contains o4-mini"),
        pytest.param("davinci-002", (2, 2, 2), "openai", id="Azure's entry lacks the output"),
    ],
)
def test_other_models_have_listed_prices(name, expected, provider):
    """genai-prices knows more models than the catalogue; Azure's list is asked before OpenAI's."""
    price = price_of(name)
    assert usd(price) == expected
    assert price.source == f"genai-prices 0.2.3, provider {provider}"


def test_another_date_of_a_model_costs_what_the_model_costs():
    """Unless it is listed by itself; the catalogue's source stays visible."""
    assert price_of("gpt-4o-2024-11-20") == price_of("gpt-4o-2099-01-01") == MODELS["gpt-4o"].price
    assert catalogued("gpt-4o-2099-01-01") is MODELS["gpt-4o"]
    assert catalogued("phi-4") is None


def test_an_unknown_model_is_an_error_that_helps():
    """It names close models first, then the catalogue's, and says how to add one."""
    with pytest.raises(UnknownModelError) as caught:
        price_of("gpt-4o-minni")
    said = str(caught.value)
    assert said.startswith("There is no price for model 'gpt-4o-minni'. Close to it: gpt-4o-mini, ")
    assert all(name in said for name in MODELS)
    assert "labkit.prices.known()" in said
    assert "labkit/data/models.toml" in said


@pytest.mark.parametrize("name", ["phi-9", "", "whisper-1", "gpt-image-2", "phi-4-reasoning:free", "mai-ds-r1:free"])
def test_a_model_without_a_price_per_token_is_unknown(name):
    """Speech, pictures and entries without numbers must not come out as free."""
    with pytest.raises(UnknownModelError):
        price_of(name)


def test_a_name_that_means_several_models_is_refused():
    """Azure calls GPT-4, GPT-4 Turbo and GPT-4 Vision "gpt-4"; they cost 30 and 10 dollars."""
    with pytest.raises(UnknownModelError, match="gpt-4-turbo or gpt-4-vision"):
        price_of("gpt-4")


@pytest.mark.parametrize(
    ("name", "on", "expected"),
    [
        pytest.param("o3", date(2025, 6, 9), (10, 0.5, 40), id="before it was cut"),
        pytest.param("o3", date(2025, 6, 10), (2, 0.5, 8), id="from that day"),
        pytest.param("gpt-5.6-luna", date(2026, 7, 29), (1, 0.1, 6), id="another cut"),
        pytest.param("gpt-5.6-luna", date(2026, 7, 30), (0.2, 0.02, 1.2), id="and after it"),
        pytest.param("gpt-4o", date(2026, 11, 24), (2.5, 1.25, 10), id="ours, since it was read"),
        pytest.param("gpt-4o", date(2025, 1, 1), (2.5, 1.25, 10), id="theirs, before"),
    ],
)
def test_a_price_holds_for_a_time(name, on, expected):
    """``on`` gives the price of that day, as far as its history is known."""
    assert usd(price_of(name, on=on)) == expected


def test_a_price_of_the_catalogue_holds_from_the_day_it_was_read():
    """Before that day the history is asked, and says so by its source."""
    read = MODELS["gpt-4o"].price.read
    assert price_of("gpt-4o", on=read) == price_of(MODELS["gpt-4o"], on=read) == MODELS["gpt-4o"].price
    assert price_of("gpt-4o", on=date(2025, 1, 1)).source.startswith("genai-prices")


def test_long_prompts_have_a_tier_of_their_own():
    """Above its threshold, every token of the call has the other price (gpt-5.4: 272,000)."""
    price = price_of("gpt-5.4")
    assert price.cost_usd(272_000, 1_000_000) == pytest.approx(0.272 * 2.5 + 15)
    assert price.cost_usd(272_001, 1_000_000, 272_001) == pytest.approx(0.272001 * 0.5 + 22.5)


def test_every_listed_price_is_the_one_genai_prices_works_out():
    """Our reading of an entry, with tiers and both prices of the cache, gives what the package itself works out."""
    from genai_prices import Usage, calc_price

    checked = 0
    for prompt, cached, written, completion in ((1000, 0, 0, 500), (1000, 400, 300, 500), (300_000, 10_000, 9, 2000)):
        for name in known():
            if name in MODELS or "audio" in name or "realtime" in name or "image" in name:
                continue
            price = price_of(name)
            provider = price.source.rsplit(" ", 1)[1]
            used = Usage(
                input_tokens=prompt,
                cache_read_tokens=cached,
                cache_write_tokens=written,
                output_tokens=completion,
            )
            theirs = calc_price(used, name, provider_id=provider)
            assert price.cost_usd(prompt, completion, cached, written) == pytest.approx(float(theirs.total_price)), name
            checked += 1
    assert checked > 150


def test_the_catalogue_and_genai_prices_agree():
    """A wrong number cannot hide: every difference is explained above, and every explained one is still there."""
    found = {name: (usd(ours), usd(theirs)) for name, ours, theirs in differences()}
    assert found.keys() == KNOWN_DIFFERENCES.keys(), found


def test_a_difference_would_be_seen(monkeypatch):
    """A digit changed in the catalogue is found."""
    changed = {**MODELS, "gpt-4o": _with_output(MODELS["gpt-4o"], 1.0)}
    monkeypatch.setattr(prices, "MODELS", changed)
    assert [name for name, _, _ in differences()] == ["gpt-4o"]


def _with_output(model, usd_per_million):
    from dataclasses import replace

    return replace(model, price=replace(model.price, output=usd_per_million))


@given(st.sampled_from(known()), st.integers(1, 10**6), st.integers(0, 10**5), st.floats(0, 1))
def test_a_known_price_is_never_nothing(name, prompt, completion, share):
    """Each known model costs something, less when part of the prompt is cached, and never nan."""
    price, cached = price_of(name), int(prompt * share)
    full, less = price.cost_usd(prompt, completion), price.cost_usd(prompt, completion, cached)
    assert 0 < full < math.inf
    assert 0 <= less <= full * (1 + 1e-12)


def test_nothing_is_downloaded():
    """No socket is opened and no updating thread is started, whatever is asked."""
    code = """
import socket, threading
def refuse(*_): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from datetime import date
from labkit.prices import known, price_of
assert len(known()) > 80
price_of("gpt-5.1"), price_of("o3", on=date(2025, 1, 1))
print(threading.active_count())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1"]


def test_the_catalogues_prices_load_no_price_list():
    """The package's 0.3 s are paid by whoever needs a model that the catalogue lacks."""
    code = "import sys; from labkit.prices import price_of; price_of('gpt-4o-2024-08-06')"
    code += "; print('genai_prices' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]
