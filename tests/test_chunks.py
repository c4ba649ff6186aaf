from openai.types.chat import ChatCompletionChunk

from labkit.calls.chunks import Assembly, is_token, is_usage
from labkit.validation import check_answer
from tests.streamed import FILTERED_PROMPT, USAGE, chunk, delta


def put_together(*chunks):
    """The assembly of these chunks."""
    assembly = Assembly()
    for each in chunks:
        assembly.add(ChatCompletionChunk.construct(**each))
    return assembly


def piece(index, arguments="", **more):
    """A piece of a tool call."""
    return {"index": index, "function": {"arguments": arguments, **more.pop("function", {})}, **more}


def test_text_comes_out_whole_with_id_model_and_usage():
    """The empty names of the filter's chunk do not stay."""
    whole = put_together(
        FILTERED_PROMPT,
        delta("", role="assistant"),
        delta("War"),
        delta("saw."),
        delta(finish="stop"),
        chunk(usage=USAGE),
    )
    answer = check_answer(whole.answer())
    assert (answer.id, answer.model) == ("chatcmpl-1", "gpt-4o-2024-08-06")
    assert answer.choices[0].message.content == "Warsaw."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 25
    assert whole.is_finished


def test_tool_calls_are_joined_by_their_index():
    """Two calls, whose pieces come mixed."""
    first = {"id": "call_1", "type": "function", "function": {"name": "add"}}
    second = {"id": "call_2", "type": "function", "function": {"name": "mul"}}
    whole = put_together(
        delta(tool_calls=[piece(0, **first)]),
        delta(tool_calls=[piece(0, '{"a"'), piece(1, "{", **second)]),
        delta(tool_calls=[piece(1, "}"), piece(0, ": 1}")]),
        delta(finish="tool_calls"),
    )
    calls = check_answer(whole.answer()).choices[0].message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_1", "add", '{"a": 1}'),
        ("call_2", "mul", "{}"),
    ]


def test_choices_are_kept_apart_and_all_must_end():
    """With n=2 the chunks of both come in any order."""
    begun = [delta("b", index=1), delta("a"), delta(finish="stop", index=1)]
    assert not put_together(*begun).is_finished
    whole = put_together(*begun, delta(finish="stop"))
    assert [choice.message.content for choice in whole.answer().choices] == ["a", "b"]
    assert whole.is_finished


def test_a_refusal_is_an_answer():
    """In words of its own, not in the content."""
    whole = put_together(delta(refusal="I can"), delta(refusal="not."), delta(finish="stop"))
    assert check_answer(whole.answer()).choices[0].message.refusal == "I cannot."


def test_what_counts_as_the_first_token():
    """Not the filter's results, not the role, not the usage."""
    said = [FILTERED_PROMPT, delta("", role="assistant"), chunk(usage=USAGE), delta("W"), delta(finish="stop")]
    parsed = [ChatCompletionChunk.construct(**each) for each in said]
    assert [is_token(each) for each in parsed] == [False, False, False, True, True]
    assert [is_usage(each) for each in parsed] == [False, False, True, False, False]


def test_nothing_is_not_finished():
    """A stream without a choice is no answer, and its assembly says so without an error."""
    assert not put_together().is_finished
    assert put_together().answer().choices == []
