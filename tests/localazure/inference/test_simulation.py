"""The simulated models: right as often as they should be, in the prompt's language, at the length asked for."""

import random
import threading

import pytest

from labkit import bank, catalog, tokens
from labkit.bank import QUESTIONS, Question
from labkit.catalog import MODELS, Model
from labkit.localazure.inference import wording
from labkit.localazure.inference.prompt import Prompt, prompt_of
from labkit.localazure.inference.simulation import EFFORTS, Answer, Settings, Simulation
from labkit.localazure.inference.wording import Length
from labkit.localazure.state import Azure
from tests.localazure.asking import BIG, REASONING, SMALL, Asker
from tests.localazure.conftest import Caller

COLD = Settings(temperature=0)
CHAT_MODELS = [model for model in MODELS.values() if not model.is_embedding]
OTHER_PROMPTS = {
    "en": "Tell me how to organise the hiking trip of our department next spring.",
    "pl": "Powiedz mi, jak zorganizować wiosenny rajd naszego działu w górach.",
}


@pytest.fixture
def simulation() -> Simulation:
    """A simulation with the course's seed."""
    return Simulation(seed=13)


def prompt(said: str, model: Model, system: str = "") -> Prompt:
    """The prompt of a user message, after a system message when there is one."""
    messages = [{"role": "system", "content": system}] if system else []
    return prompt_of([*messages, {"role": "user", "content": said}], model)


def one(simulation: Simulation, name: str, said: str, settings: Settings = COLD, system: str = "") -> Answer:
    """The first answer of the model called ``name``."""
    model = catalog.model(name)
    (answer,) = simulation.answers(model, prompt(said, model, system), settings)
    return answer


def right(simulation: Simulation, model: Model, settings: Settings = COLD, system: str = "") -> set[str]:
    """The ids of the questions that ``model`` answers rightly, judged by the words of its answers."""
    return {
        q.id
        for q in QUESTIONS
        if bank.is_right(q, simulation.answers(model, prompt(q.text, model, system), settings)[0].text)
    }


@pytest.mark.parametrize("model", CHAT_MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("seed", [13, 14])
def test_model_is_right_as_often_as_the_catalogue_says(model: Model, seed: int) -> None:
    """Within one question of the stated share, at every level and whatever the seed."""
    known = right(Simulation(seed), model)
    for level in bank.LEVELS:
        ids = {q.id for q in QUESTIONS if q.level == level}
        assert abs(len(ids & known) - model.simulated.quality[level - 1] * len(ids)) <= 1


def test_stronger_model_is_right_wherever_a_weaker_one_is(simulation: Simulation) -> None:
    """All models meet the same difficulties, so comparing them is not blurred by luck."""
    known = {model.name: right(simulation, model) for model in CHAT_MODELS}
    for weak in CHAT_MODELS:
        for strong in CHAT_MODELS:
            pairs = zip(weak.simulated.quality, strong.simulated.quality, strict=True)
            if all(low <= high for low, high in pairs):
                assert known[weak.name] <= known[strong.name]


def test_another_seed_errs_on_other_questions() -> None:
    """Neighbours with different seeds cannot copy each other's results."""
    model = catalog.model(SMALL)
    assert right(Simulation(1), model) != right(Simulation(2), model)


def test_prompt_does_not_change_what_a_model_knows(simulation: Simulation) -> None:
    """Asking for a short answer costs less and is right just as often: the experiment of task 4."""
    model = catalog.model(SMALL)
    assert right(simulation, model) == right(simulation, model, system="Answer briefly.")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.id)
def test_every_wording_is_judged_as_it_was_meant(question: Question) -> None:
    """In all lengths and variants a right answer is recognised and a wrong one is not."""
    for length in Length:
        for variant in range(12):
            draw = bytes([variant] * 16)
            assert bank.is_right(question, wording.to_question(question, True, length, draw))
            assert not bank.is_right(question, wording.to_question(question, False, length, draw))


@pytest.mark.parametrize(
    ("instruction", "length"),
    [
        ("Answer briefly.", Length.BRIEF),
        ("Be concise!", Length.BRIEF),
        ("Keep your answers short.", Length.BRIEF),
        ("Answer in ten words or fewer.", Length.BRIEF),
        ("Odpowiedz w jednym zdaniu.", Length.BRIEF),
        ("Odpowiadaj krótko i na temat.", Length.BRIEF),
        ("odpowiadaj zwiezle", Length.BRIEF),
        ("Reply in one sentence, please", Length.BRIEF),
        ("Answer in one word.", Length.TERSE),
        ("Reply with just the final answer.", Length.TERSE),
        ("Podaj sam wynik, bez komentarza.", Length.TERSE),
        ("Give only the answer, no explanation.", Length.TERSE),
        ("Odpowiedz jednym słowem.", Length.TERSE),
        ("Podaj tylko liczbę.", Length.TERSE),
        ("Podaj samą odpowiedź", Length.TERSE),
        ("You are a helpful assistant.", Length.FULL),
        ("Jesteś pomocnym asystentem AI.", Length.FULL),
        ("Explain step by step.", Length.FULL),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_length_follows_the_instructions(simulation: Simulation, instruction: str, length: Length) -> None:
    """In English and Polish, with and without accents, in the system's words or the user's."""
    question = bank.sample(1, level=2, seed=3)[0]
    for answer in (
        one(simulation, BIG, question.text, system=instruction),
        one(simulation, BIG, f"{question.text} {instruction}"),
    ):
        if length is Length.FULL:
            assert 35 <= answer.completion_tokens <= 150
        else:
            assert answer.completion_tokens <= (10 if length is Length.TERSE else 15)


def test_no_question_of_the_bank_asks_for_brevity_itself() -> None:
    """Only the words around a question decide how long its answer is."""
    assert {wording.length_asked(q.text.casefold().split()) for q in QUESTIONS} == {Length.FULL}


def test_brevity_saves_most_of_the_tokens(simulation: Simulation) -> None:
    """Over the whole bank a brief answer costs less than a quarter of a long one."""
    model = catalog.model(SMALL)

    def total(system: str) -> int:
        return sum(one(simulation, model.name, q.text, system=system).completion_tokens for q in QUESTIONS)

    assert total("Odpowiadaj krótko.") < total("") / 4


@pytest.mark.parametrize("model", CHAT_MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("language", ["en", "pl"])
def test_other_prompts_get_a_sensible_answer(simulation: Simulation, model: Model, language: str) -> None:
    """In the language of the prompt, about it, 60 to 150 tokens long."""
    for variant in range(20):
        said = f"{OTHER_PROMPTS[language]} ({variant})"
        answer = one(simulation, model.name, said)
        assert wording.language_of(answer.text) == language
        assert said.split()[0] in answer.text
        assert said.split()[5].strip(",.") in answer.text
        assert 60 <= answer.completion_tokens - answer.reasoning_tokens <= 150
        assert answer.finish_reason == "stop"


@pytest.mark.parametrize(
    ("said", "system", "language"),
    [
        ("Co to jest?", "", "pl"),
        ("jak dziala cache", "", "pl"),
        ("What is this?", "", "en"),
        ("Test", "Jesteś pomocnym asystentem AI.", "pl"),
        ("Test", "You are a helpful assistant.", "en"),
        ("Test", "", "en"),
        ("", "", "en"),
        ("¿Cómo estás?", "", "en"),
        ("12 + x = 15", "", "en"),
    ],
)
def test_language_is_told_by_letters_and_small_words(said: str, system: str, language: str) -> None:
    """The user's words come first; the system's decide where those say nothing; else English."""
    assert wording.language_of(said, system) == language


@pytest.mark.parametrize(
    "said", ["What is a token?", "Co to jest token?", "Czym jest deployment?", "Explain attention"]
)
def test_the_courses_own_words_are_explained(simulation: Simulation, said: str) -> None:
    """The answer to a question about a term of the session begins with a definition."""
    assert one(simulation, BIG, said).text.split()[0].strip(",") in ("A", "Token", "Deployment", "Attention")


@pytest.mark.parametrize("said", ["", "   ", "\x00", "???", "\U0001f600" * 50, "x" * 5_000, "{answer} {topic}"])
def test_strange_prompts_get_an_answer(simulation: Simulation, said: str) -> None:
    """Nothing that a user may write breaks the simulation."""
    answer = one(simulation, SMALL, said)
    assert answer.text
    assert len(answer.text) < 2_000


@pytest.mark.parametrize("limit", [1, 2, 7, 30])
def test_answer_is_cut_at_max_tokens(simulation: Simulation, limit: int) -> None:
    """The text has exactly as many tokens as allowed, and the reason is length."""
    answer = one(simulation, BIG, OTHER_PROMPTS["pl"], COLD._replace(max_tokens=limit))
    assert answer.completion_tokens == limit
    assert answer.finish_reason == "length"
    assert "\ufffd" not in answer.text
    assert tokens.count(answer.text, "cl100k_base") <= limit


def test_answer_that_just_fits_is_not_cut(simulation: Simulation) -> None:
    """The limit itself is allowed."""
    whole = one(simulation, BIG, OTHER_PROMPTS["en"])
    assert one(simulation, BIG, OTHER_PROMPTS["en"], COLD._replace(max_tokens=whole.completion_tokens)) == whole


def test_stop_sequence_ends_the_answer(simulation: Simulation) -> None:
    """The text ends before the first of them, and the reason is stop."""
    whole = one(simulation, BIG, OTHER_PROMPTS["en"]).text
    cut = one(simulation, BIG, OTHER_PROMPTS["en"], COLD._replace(stop=("nowhere", ".", "step")))
    assert cut.text == min((whole.partition(stop)[0] for stop in (".", "step")), key=len)
    assert cut.finish_reason == "stop"


def test_reasoning_is_hidden_and_paid_for(simulation: Simulation) -> None:
    """Hidden tokens come in steps of 64, more of them for harder questions and higher effort."""
    spent = {}
    for level in bank.LEVELS:
        answers = [one(simulation, REASONING, q.text) for q in bank.sample(20, level=level)]
        assert all(a.reasoning_tokens % 64 == 0 and a.completion_tokens > a.reasoning_tokens for a in answers)
        spent[level] = sum(a.reasoning_tokens for a in answers)
    assert 0 < spent[1] < spent[2] < spent[3]
    hard = bank.sample(1, level=3)[0].text
    efforts = [one(simulation, REASONING, hard, COLD._replace(effort=effort)) for effort in EFFORTS]
    assert [a.reasoning_tokens for a in efforts] == sorted(a.reasoning_tokens for a in efforts)
    assert efforts[0].reasoning_tokens == 0
    assert one(simulation, BIG, hard).reasoning_tokens == 0


def test_more_effort_is_never_worse(simulation: Simulation) -> None:
    """What is right with little effort stays right with more."""
    model = catalog.model(REASONING)
    known = [right(simulation, model, COLD._replace(effort=effort)) for effort in EFFORTS]
    assert known[0] < known[1] <= known[2] <= known[3]


def test_reasoning_can_use_up_all_tokens(simulation: Simulation) -> None:
    """With too small a limit nothing visible is left, as with the real models."""
    answer = one(simulation, REASONING, bank.sample(1, level=3)[0].text, COLD._replace(max_tokens=50))
    assert (answer.text, answer.completion_tokens, answer.reasoning_tokens) == ("", 50, 50)
    assert answer.finish_reason == "length"


def test_low_verbosity_is_brief(simulation: Simulation) -> None:
    """The parameter does what asking for brevity does."""
    said = bank.sample(1, level=1)[0].text
    brief = one(simulation, REASONING, said, COLD._replace(verbosity="low"))
    assert brief.completion_tokens - brief.reasoning_tokens <= 15


def test_latency_follows_profile_and_length(simulation: Simulation) -> None:
    """First token and pace come from the catalogue, within 15 %."""
    for name in (BIG, SMALL, REASONING):
        answer = one(simulation, name, OTHER_PROMPTS["en"])
        profile = catalog.model(name).simulated
        first_ms = profile.first_token_ms + profile.token_ms * answer.reasoning_tokens
        visible_ms = profile.token_ms * (answer.completion_tokens - answer.reasoning_tokens)
        assert 0.85 * first_ms <= answer.latency.first_token_ms <= 1.16 * first_ms
        assert 0.85 * (first_ms + visible_ms) <= answer.latency.total_ms <= 1.16 * (first_ms + visible_ms)


def test_temperature_zero_repeats_and_higher_varies(ask: Asker) -> None:
    """Ten times the same request: one answer when cold, several when warm, and another server gives the same ones."""
    other = Asker(Caller(Azure(ask.azure.clock)))

    def contents(asked: Asker, temperature: float) -> list[str]:
        answers = [asked.chat(OTHER_PROMPTS["en"], SMALL, temperature=temperature) for _ in range(10)]
        return [answer.json["choices"][0]["message"]["content"] for answer in answers]

    assert len(set(contents(ask, 0))) == 1
    warm = contents(ask, 1)
    assert len(set(warm)) > 5
    assert contents(other, 1) == warm


def test_seed_parameter_makes_a_warm_request_repeat(ask: Asker) -> None:
    """The same seed gives the same answer each time; another seed, in general, another one."""

    def content(seed: int) -> str:
        body = ask.chat(OTHER_PROMPTS["en"], SMALL, temperature=1, seed=seed).json
        return str(body["choices"][0]["message"]["content"])

    assert content(1) == content(1)
    assert len({content(seed) for seed in range(8)}) > 3


def test_other_requests_do_not_change_an_answer() -> None:
    """In any order, with others in between and from several threads, each request's answers are the same."""
    model = catalog.model(SMALL)
    warm = Settings(temperature=1)
    prompts = [prompt(f"{OTHER_PROMPTS['en']} {number}", model) for number in range(10)]

    def run(order: list[int]) -> dict[int, list[str]]:
        simulation, said = Simulation(13), {number: list[str]() for number in range(10)}
        for number in order:
            before = simulation.count("deployment", prompts[number], warm)
            said[number] += [a.text for a in simulation.answers(model, prompts[number], warm, before)]
        return said

    orders = [[number for number in range(10) for _ in range(3)] for _ in range(4)]
    for place, order in enumerate(orders[1:]):
        random.Random(place).shuffle(order)
    expected, found = run(orders[0]), []
    threads = [threading.Thread(target=lambda order=order: found.append(run(order))) for order in orders[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3


def test_repetition_may_change_a_verdict_but_rarely(simulation: Simulation) -> None:
    """Above temperature 0 a model may err on what it knows, near the edge of what it can."""
    model, warm = catalog.model(SMALL), Settings(temperature=1)
    changes = [
        len({simulation.is_right(model, question, warm, repetition) for repetition in range(10)}) - 1
        for question in QUESTIONS
    ]
    assert 0 < sum(changes) < len(QUESTIONS) / 2
    assert not any(simulation.is_right(model, q, COLD, 5) != simulation.is_right(model, q, COLD, 0) for q in QUESTIONS)


def test_memory_of_requests_is_bounded(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of the oldest requests are forgotten."""
    monkeypatch.setattr("labkit.localazure.inference.simulation._REMEMBERED_REQUESTS", 10)
    model = catalog.model(SMALL)
    for number in range(50):
        assert simulation.count("d", prompt(str(number), model), Settings()) == 0
    assert len(simulation._times) == 10
    assert simulation.count("d", prompt("49", model), Settings()) == 1
