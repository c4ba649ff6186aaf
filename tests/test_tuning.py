import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import NOT_GIVEN

from labkit.catalog import MODELS, model
from labkit.errors import InvalidRequestError
from labkit.tuning import (
    SESSION_RULES,
    STRUCTURE_RULES,
    Change,
    Prompt,
    reasoning_limit,
    rules_for,
    tune,
    without_refused,
)
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


@pytest.mark.parametrize(
    "text",
    [
        *("My analyzer is broken.", "It was recreated.", "Otwórz plik.", "Co to jest token?", "psychoanaliza"),
        *("Paralyze them.", "odtworzył plik", "nierozmowny", "a miscreant", "odtworzenie"),
    ],
)
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


# What a caller may set a parameter to: a value, the service's default in words of the SDK, or null.
VALUES = st.one_of(st.none(), st.just(NOT_GIVEN), st.floats(0, 2), st.integers(1, 4000))
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["max_tokens", "max_completion_tokens", "temperature", "presence_penalty", "top_p", "seed", "reasoning_effort"]
    ),
    VALUES,
)
SENTENCES = st.lists(st.sampled_from(["Analyze", "create", "rozmowę", "stwórz", "x" * 400, "Hi"]), max_size=12)
RULES = st.sampled_from([SESSION_RULES, STRUCTURE_RULES, *map(rules_for, ("analysis", "creation", "conversation"))])
ANY_MODEL = st.sampled_from([None, *MODELS.values()])


@given(words=SENTENCES, params=PARAMETERS, rules=RULES, known=ANY_MODEL)
def test_rules_only_add(words, params, rules, known):
    """Whatever the caller set stays, even None and NOT_GIVEN; only a reasoning model's limit changes its name."""
    tuned = tune(ask(" ".join(words)), params, model=known, rules=rules)
    added = {change.parameter for change in tuned.changes if change.instead_of is None}
    assert not added & set(params)
    kept = {name: value for name, value in tuned.params.items() if name not in added}
    renamed = [change for change in tuned.changes if change.instead_of]
    if renamed:
        assert known is not None
        assert known.is_reasoning
        kept["max_tokens"] = kept.pop("max_completion_tokens")
    assert kept == params
    assert {change.parameter: change.value for change in tuned.changes}.items() <= tuned.params.items()


@given(words=SENTENCES, params=PARAMETERS, rules=RULES, known=ANY_MODEL)
def test_tuning_twice_is_tuning_once(words, params, rules, known):
    """What is tuned needs no more tuning: a request that is sent again goes out the same."""
    once = tune(ask(" ".join(words)), params, model=known, rules=rules)
    again = tune(ask(" ".join(words)), once.params, model=known, rules=rules)
    assert (again.params, again.changes) == (once.params, ())


@given(words=SENTENCES, rules=RULES, known=st.sampled_from([each for each in MODELS.values() if each.is_reasoning]))
def test_a_reasoning_model_is_left_alone(words, rules, known):
    """It refuses what rules would set, and a small limit would be used up by thinking."""
    assert tune(ask(" ".join(words)), {"reasoning_effort": "low"}, model=known, rules=rules).changes == ()


def test_two_limits_are_the_callers_contradiction():
    """Renaming one would overwrite the other without a word; the service says what is wrong."""
    both = {"max_tokens": 50, "max_completion_tokens": 900}
    assert tune(ask(), both, model=model("gpt-5")).params == both
    assert without_refused(both, REFUSED_LIMIT) is None


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        pytest.param({"response_format": {"type": "json_object"}}, {"temperature": 0.1}, id="json"),
        pytest.param({"tools": [{"type": "function"}]}, {"temperature": 0.1}, id="tools"),
        pytest.param({"response_format": {"type": "text"}}, {"max_tokens": 200}, id="text"),
        pytest.param({"tools": NOT_GIVEN}, {"max_tokens": 200}, id="not given"),
    ],
)
def test_what_a_program_reads_is_steady_and_not_cut(form, expected):
    """JSON and calls of functions, whatever the words are; half of one is of no use."""
    assert changes("Create a user.", form, rules=STRUCTURE_RULES) == expected
    assert ("max_tokens" in changes("Create a user.", form)) == ("max_tokens" in expected)


def test_a_dialogue_is_known_by_its_turns():
    """After two answers the penalty, without the word conversation and in any language."""
    turn = [*ask("Hej"), {"role": "assistant", "content": "Cześć"}]
    params = [tune([*turn * n, *ask("Co dalej?")], {}, rules=STRUCTURE_RULES).params for n in (0, 1, 2)]
    assert [each.get("presence_penalty") for each in params] == [None, None, 0.6]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("analysis", {"temperature": 0.1}),
        ("creation", {"temperature": 0.8}),
        ("conversation", {"presence_penalty": 0.6}),
    ],
)
def test_the_callers_word_counts_for_more_than_the_prompts(task, expected):
    """A declared kind of work: no keyword is read, and the reason is the session's."""
    text = "Analyze, create, conversation: " + MIDDLE
    assert changes(text, rules=rules_for(task)) == expected
    assert tune(ask(text), {}, rules=rules_for(task)).changes[0].rule == task


def test_an_unknown_task_names_those_there_are():
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match="analysis, creation, conversation, not 'poetry'"):
        rules_for("poetry")


def test_a_long_text_is_read_at_its_two_ends():
    """A request stands there; what is pasted in between is material, and reading it would cost time at each call."""
    filler = "some words " * 5_000
    assert changes(f"Analyze this: {filler}")["temperature"] == 0.1
    assert changes(f"{filler} Analyze that.")["temperature"] == 0.1
    assert "temperature" not in changes(f"Read this: {filler} we analyze and create {filler} Thanks.")
    assert len(Prompt(ask(filler * 10)).words) < 10_000


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
