import pytest

from labkit.catalog import model
from labkit.tuning import SESSION_RULES, Change, reasoning_limit, tune, without_refused
from tests.scripted import ask, refused, refused_parameter, sdk_error

MIDDLE = "x" * 1000
LONG = "x" * 3001


def changes(text, params=None, **options):
    """What the session's rules add for one question."""
    tuned = tune(ask(text), params or {}, **options)
    return {change.parameter: change.value for change in tuned.changes}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Hello", {"max_tokens": 200}, id="short"),
        pytest.param("x" * 499, {"max_tokens": 200}, id="just short"),
        pytest.param("x" * 500, {}, id="no longer short"),
        pytest.param("x" * 3000, {}, id="not yet long"),
        pytest.param(LONG, {"max_tokens": 500}, id="long"),
    ],
)
def test_the_length_of_the_prompt_sets_the_limit_of_the_answer(text, expected):
    """200 tokens under 500 characters, 500 tokens over 3,000, as in the session."""
    assert changes(text) == expected


@pytest.mark.parametrize(
    ("text", "parameter", "value"),
    [
        ("Analyze this contract.", "temperature", 0.1),
        ("Please analyse it.", "temperature", 0.1),
        ("I need an analysis of it.", "temperature", 0.1),
        ("Przeanalizuj tę umowę.", "temperature", 0.1),
        ("Zrób analizę umowy.", "temperature", 0.1),
        ("Create a slogan.", "temperature", 0.8),
        ("Stwórz hasło reklamowe.", "temperature", 0.8),
        ("stworz haslo", "temperature", 0.8),
        ("Utwórz wiersz.", "temperature", 0.8),
        ("Wymyśl nazwę.", "temperature", 0.8),
        ("Analyze it, then create a summary.", "temperature", 0.1),
        ("Summarise this conversation.", "presence_penalty", 0.6),
        ("Streść tę rozmowę.", "presence_penalty", 0.6),
        ("Kontynuuj konwersację.", "presence_penalty", 0.6),
    ],
)
def test_words_of_the_user_set_temperature_and_penalty(text, parameter, value):
    """Polish and English, with and without Polish letters; analysis goes before creation."""
    assert changes(text)[parameter] == value


@pytest.mark.parametrize("text", ["My analyzer is broken.", "It was recreated.", "Otwórz plik.", "Co to jest token?"])
def test_words_that_only_look_alike_change_nothing(text):
    """The session looked for bits of words, and found them in others."""
    assert changes(text, {"max_tokens": 5}) == {}


@pytest.mark.parametrize("text", ["Analyze", "Create", "conversation", LONG, "Hi"])
def test_what_the_caller_set_is_never_changed(text):
    """Not even to a better value; a limit under its newer name counts too."""
    for limit in ("max_tokens", "max_completion_tokens"):
        params = {limit: 1000, "temperature": 0.5, "presence_penalty": 0.0}
        assert tune(ask(text), params).params == params


def test_only_the_users_words_count():
    """A system prompt or an earlier answer with the word in it is no request to analyse."""
    messages = [
        {"role": "system", "content": "You analyze things."},
        {"role": "assistant", "content": "Shall I create one?"},
        *ask("No, thanks."),
    ]
    assert [change.parameter for change in tune(messages, {}).changes] == ["max_tokens"]


def test_lists_of_parts_and_missing_content_are_read():
    """Vision content is a list, a tool call has None: neither breaks the count."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Analyze this picture."}, image]},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert tune(messages, {}).params == {"max_tokens": 200, "temperature": 0.1}


def test_every_change_has_a_rule_and_a_reason():
    """A change reads as one line for a person."""
    (limit, temperature) = tune(ask("Analyze it."), {}).changes
    assert str(limit) == "max_tokens=200 (short_prompt: a prompt under 500 characters asks for a short answer)"
    assert (temperature.rule, bool(temperature.reason)) == ("analysis", True)


def test_the_callers_parameters_are_left_as_they_are():
    """Tuning returns new parameters."""
    params = {"top_p": 1}
    tune(ask("Analyze it."), params)
    assert params == {"top_p": 1}


def test_rules_can_be_chosen_and_written():
    """No rules, some rules, or one of one's own."""

    def polite(prompt, params, model):
        return Change("polite", "seed", 7, "for the example")

    assert tune(ask("Analyze"), {}, rules=()).params == {}
    assert tune(ask("Analyze"), {}, rules=[polite]).params == {"seed": 7}


@pytest.mark.parametrize("name", ["gpt-5", "o3-mini"])
def test_reasoning_models_get_nothing_they_refuse(name):
    """No temperature, no penalty, no small limit, which their thinking would use up."""
    text = "Analyze this conversation and create a summary."
    assert changes(text, model=model(name)) == {}


def test_reasoning_models_get_the_callers_limit_under_its_other_name():
    """The value stays the caller's, and the change says why."""
    tuned = tune(ask(), {"max_tokens": 77, "seed": 1}, model=model("gpt-5-mini"))
    assert tuned.params == {"max_completion_tokens": 77, "seed": 1}
    assert [change.rule for change in tuned.changes] == ["reasoning_limit"]
    assert reasoning_limit in SESSION_RULES


REFUSED_LIMIT = sdk_error(refused_parameter("max_tokens"))
REFUSED_TEMPERATURE = sdk_error(refused_parameter("temperature", "unsupported_value"))
PARAMS = {"max_tokens": 50, "temperature": 0.1}


def test_a_refused_limit_of_the_callers_is_renamed():
    """The value stays; the model knows it by another name."""
    assert without_refused(PARAMS, REFUSED_LIMIT) == {"max_completion_tokens": 50, "temperature": 0.1}


def test_what_tuning_added_and_the_model_refused_is_left_out():
    """A limit too: meant for text, it would be used up by thinking."""
    added = frozenset(PARAMS)
    assert without_refused(PARAMS, REFUSED_LIMIT, added=added) == {"temperature": 0.1}
    assert without_refused(PARAMS, REFUSED_TEMPERATURE, added=added) == {"max_tokens": 50}


def test_what_the_caller_set_stays_refused():
    """Dropping it silently would answer another request than the one that was made."""
    assert without_refused(PARAMS, REFUSED_TEMPERATURE) is None


def test_other_errors_change_no_parameter():
    """Only a refusal that names a parameter that was sent."""
    assert without_refused({"max_tokens": 5}, sdk_error(refused(400))) is None
    assert without_refused({"max_tokens": 5}, sdk_error(refused_parameter("top_p"))) is None
    assert without_refused({"max_tokens": 5}, ValueError("x")) is None
