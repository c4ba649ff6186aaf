"""Embeddings: similar texts close together, and every form of input and output that clients use."""

import base64
import math
import struct
import time

import pytest

from labkit import tokens
from labkit.localazure.inference.vectors import vector
from tests.localazure.asking import BIG, EMBEDDING, Asker, deploy, error_of
from tests.localazure.conftest import Caller

ADA, LARGE = "text-embedding-ada-002", "text-embedding-3-large"


@pytest.fixture
def ask(call: Caller) -> Asker:
    """Asks a local Azure that has three embedding models."""
    asker = Asker(call)
    deploy(asker.azure, ADA, LARGE)
    return asker


def likeness(a: list[float], b: list[float]) -> float:
    """The cosine of the angle between two unit vectors."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def vectors_of(ask: Asker, input: object, deployment: str = EMBEDDING, **parameters: object) -> list[list[float]]:
    """The vectors in an answer, in its order."""
    return [item["embedding"] for item in ask.embed(input, deployment, **parameters).json["data"]]


@pytest.mark.parametrize("shortened", [None, 1024, 256, 64])
@pytest.mark.parametrize(
    ("text", "similar", "other"),
    [
        ("How do I reset my password?", "I forgot my password, how can I reset it?", "What does the large model cost?"),
        ("Jak zresetować hasło?", "Zapomniałem hasła, jak je zresetować?", "Ile kosztuje duży model?"),
        ("Jak zresetować hasło?", "jak zresetowac haslo", "Gdzie jest dworzec?"),
        ("Kot siedzi na płocie.", "Kot na płocie", "Quantum field theory"),
    ],
    ids=["English", "Polish", "without accents", "shorter"],
)
def test_similar_texts_are_close(text: str, similar: str, other: str, shortened: int | None) -> None:
    """Also in the beginning of the vector alone, which is what ``dimensions`` leaves."""
    a, b, c = (vector(each, 1536, shortened) for each in (text, similar, other))
    assert likeness(a, b) > 0.5
    assert likeness(a, c) < 0.3


@pytest.mark.parametrize("text", ["hello", "", " ", "!?", "\x00", "🙂", "\ud800", "zażółć " * 5_000], ids=ascii)
def test_vector_is_a_unit_vector_for_any_text(text: str) -> None:
    """Nothing, signs, half a surrogate pair: each text has a direction, the same each time."""
    values = vector(text, 1536)
    assert len(values) == 1536
    assert math.isclose(math.sqrt(likeness(values, values)), 1.0, rel_tol=1e-9)
    assert vector(text, 1536) == values


def test_shortened_vector_is_the_beginning_of_the_whole_one() -> None:
    """Normalised again, as with the real text-embedding-3 models."""
    whole, short = vector("some words", 1536), vector("some words", 1536, 100)
    length = math.sqrt(sum(value * value for value in whole[:100]))
    assert short == pytest.approx([value / length for value in whole[:100]])


def test_long_text_does_not_keep_the_server_busy() -> None:
    """A text of a million words takes about as long as one of five hundred."""
    words = " ".join(f"word{number}" for number in range(100_000))
    started = time.process_time()
    vector(words, 1536)
    assert time.process_time() - started < 1


def test_body_is_the_services(ask: Asker) -> None:
    """One item for each input, in order, and the tokens of all of them."""
    texts = ["first", "second", "first", "Zażółć gęślą jaźń"]
    answer = ask.embed(texts)
    body = answer.json
    assert body["object"] == "list"
    assert body["model"] == EMBEDDING
    assert [(item["object"], item["index"]) for item in body["data"]] == [("embedding", n) for n in range(4)]
    counted = sum(tokens.count(text, "cl100k_base") for text in texts)
    assert body["usage"] == {"prompt_tokens": counted, "total_tokens": counted}
    assert body["data"][0]["embedding"] == body["data"][2]["embedding"] != body["data"][1]["embedding"]
    assert answer.headers["openai-processing-ms"].isdigit()
    (entry,) = ask.azure.journal.after()
    assert (entry.operation, entry.prompt_tokens, entry.completion_tokens) == ("embeddings", counted, 0)


@pytest.mark.parametrize(("deployment", "size"), [(ADA, 1536), (EMBEDDING, 1536), (LARGE, 3072)])
def test_models_have_their_own_dimensions(ask: Asker, deployment: str, size: int) -> None:
    """As the catalogue says."""
    assert len(vectors_of(ask, "hello", deployment)[0]) == size


def test_token_ids_are_the_text_they_stand_for(ask: Asker) -> None:
    """A text, its token ids, a list of either: the same vector."""
    text = "Zażółć gęślą jaźń"
    ids = tokens.encode(text, "cl100k_base")
    expected = vectors_of(ask, text)
    assert vectors_of(ask, [text]) == expected
    assert vectors_of(ask, ids) == expected
    assert vectors_of(ask, [ids, ids]) == expected * 2
    assert ask.embed(ids).json["usage"]["prompt_tokens"] == len(ids)


def test_base64_is_the_same_vector_in_little_endian_floats(ask: Asker) -> None:
    """Most SDKs ask for base64 by default; a list in its place would silently corrupt their vectors."""
    (plain,) = vectors_of(ask, "hello")
    packed = ask.embed("hello", encoding_format="base64").json["data"][0]["embedding"]
    assert struct.unpack("<1536f", base64.b64decode(packed)) == pytest.approx(plain, rel=1e-6)


def test_dimensions_shorten_the_vectors(ask: Asker) -> None:
    """On the text-embedding-3 models only."""
    assert len(vectors_of(ask, "hello", dimensions=256)[0]) == 256
    assert len(vectors_of(ask, "hello", LARGE, dimensions=3072)[0]) == 3072


@pytest.mark.parametrize(
    ("input", "parameters", "code", "said"),
    [
        pytest.param("", {}, "invalid_value", "'$.input' is invalid", id="empty text"),
        pytest.param(["a", ""], {}, "invalid_value", "'$.input' is invalid", id="one empty text"),
        pytest.param([], {}, "empty_array", "minimum length 1", id="no input"),
        pytest.param([[]], {}, "invalid_value", "'$.input' is invalid", id="no token ids"),
        pytest.param(["a"] * 2049, {}, "array_above_max_length", "maximum length 2048", id="too many"),
        pytest.param(17.5, {}, "invalid_value", "'$.input' is invalid", id="number"),
        pytest.param({"text": "a"}, {}, "invalid_value", "'$.input' is invalid", id="object"),
        pytest.param([True], {}, "invalid_value", "'$.input' is invalid", id="truth value"),
        pytest.param([-1], {}, "invalid_value", "'$.input' is invalid", id="negative id"),
        pytest.param([10**9], {}, "invalid_value", "'$.input' is invalid", id="unknown id"),
        pytest.param([1, "a"], {}, "invalid_value", "'$.input' is invalid", id="mixed"),
        pytest.param(None, {}, "missing_required_parameter", "'input'", id="null"),
        pytest.param("a", {"encoding_format": "hex"}, "invalid_value", "'float' and 'base64'", id="format"),
        pytest.param("a", {"dimensions": 0}, "integer_below_min_value", ">= 1", id="no dimensions"),
        pytest.param(
            "a", {"dimensions": 1537}, "invalid_value", "less than or equal to 1536", id="too many dimensions"
        ),
        pytest.param("a", {"dimensions": "8"}, "invalid_type", "an integer", id="dimensions as text"),
        pytest.param("a", {"temperature": 1}, "unknown_parameter", "'temperature'", id="unknown parameter"),
        pytest.param("a " * 8_200, {}, "context_length_exceeded", "8192 tokens, however you requested", id="too long"),
    ],
)
def test_wrong_input_is_refused(ask: Asker, input: object, parameters: dict[str, object], code: str, said: str) -> None:
    """Always 400, always in the service's shape, always naming what is wrong."""
    answer = ask.embed(input, **parameters)
    assert answer.status == 400
    error = error_of(answer)
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert said in error["message"]


def test_ada_has_no_dimensions_to_choose(ask: Asker) -> None:
    """The older model refuses the parameter."""
    assert (
        error_of(ask.embed("a", ADA, dimensions=256))["message"] == "This model does not support specifying dimensions."
    )


def test_chat_model_does_not_embed(ask: Asker) -> None:
    """The service names the operation and the model."""
    error = error_of(ask.embed("a", BIG))
    assert error["code"] == "OperationNotSupported"
    assert error["message"].startswith("The embeddings operation does not work with the specified model, gpt-4.")


def test_many_inputs_are_answered(ask: Asker) -> None:
    """The most that one request may bring, each with its own vector."""
    data = ask.embed([f"text number {number}" for number in range(2048)], dimensions=64).json["data"]
    assert [item["index"] for item in data] == list(range(2048))
    assert len({tuple(item["embedding"]) for item in data}) > 2000


def test_limit_counts_a_quarter_of_the_characters(ask: Asker) -> None:
    """Embeddings are limited by the length of their input alone."""
    deploy(ask.azure, EMBEDDING, capacity_ktpm=1)
    assert ask.embed("a b " * 500).headers["x-ratelimit-remaining-tokens"] == "500"
    refused = ask.embed("a b " * 501)
    assert refused.status == 429
    assert "Embeddings_Create Operation" in error_of(refused)["message"]
