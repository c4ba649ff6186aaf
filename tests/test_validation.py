import logging

import pytest
from openai import NOT_GIVEN

from labkit.errors import InvalidRequestError
from labkit.validation import (
    ContentFilteredError,
    EmptyAnswerError,
    check_answer,
    check_request,
    content_filter_error,
)
from tests.scripted import ask, completion, filtered_prompt, refused, sdk_error

TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CUSTOM_CALL = {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
DOCUMENT = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
PICTURE = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(ask("Hi"), id="text"),
        pytest.param([{"role": "user", "content": ""}], id="empty text"),
        pytest.param([{"role": "user", "content": PICTURE}], id="parts, vision"),
        pytest.param([{"role": "developer", "content": "Be brief."}, *ask()], id="developer"),
        pytest.param([{"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}], id="tool call, no text"),
        pytest.param([{"role": "assistant", "tool_calls": [TOOL_CALL]}], id="tool call, no content at all"),
        pytest.param([{"role": "tool", "content": "3", "tool_call_id": "call_1"}], id="tool result"),
        pytest.param(
            [{"role": "tool", "content": [{"type": "text", "text": "3"}], "tool_call_id": "1"}], id="tool parts"
        ),
        pytest.param([{"role": "user", "content": [SOUND, DOCUMENT]}], id="sound and a document"),
        pytest.param([{"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]}], id="uploaded file"),
        pytest.param([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}], id="refusal part"),
        pytest.param([{"role": "assistant", "content": None, "tool_calls": [CUSTOM_CALL]}], id="custom tool call"),
        pytest.param([{"role": "assistant", "content": None, "audio": {"id": "a1"}}], id="spoken answer"),
        pytest.param([{"role": "function", "name": "add", "content": None}], id="function of old"),
        pytest.param(tuple(ask()), id="tuple"),
    ],
)
def test_todays_messages_are_fit_to_send(messages):
    """Every role and kind of content the service takes."""
    assert check_request(messages, {}) == list(messages)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        pytest.param([], "must be a non-empty list", id="empty"),
        pytest.param(None, "this is None", id="none"),
        pytest.param("Hi", "this is of type str with length 2", id="just a text"),
        pytest.param([*ask(), "Hi"], "messages[1] must be a dict", id="a text among messages"),
        pytest.param([{"content": "Hi"}], "messages[0] has no 'role'", id="no role"),
        pytest.param([{"role": "user"}], "messages[0] has no 'content'", id="no content"),
        pytest.param([{}], "no 'role' and no 'content'", id="nothing"),
        pytest.param([{"role": "boss", "content": "Hi"}], "the role 'boss'; known roles are system", id="unknown role"),
        pytest.param([{"role": "user", "content": None}], "messages[0] needs content", id="user without text"),
        pytest.param([{"role": "user", "content": []}], "this is of type list with length 0", id="no parts"),
        pytest.param([{"role": "user", "content": ["Hi"]}], "parts such as", id="parts without type"),
        pytest.param([{"role": "user", "content": 7}], "this is of type int", id="a number"),
        pytest.param([{"role": "user", "content": object()}], "cannot be written as JSON", id="an object"),
    ],
)
def test_messages_that_cannot_be_right_are_refused(messages, message):
    """The error says which message, what was given and what is allowed."""
    with pytest.raises(InvalidRequestError) as refusal:
        check_request(messages, {})
    assert message in str(refusal.value)


def user(*parts):
    """A user's message of parts."""
    return [{"role": "user", "content": list(parts)}]


def asked_for(**changes):
    """An assistant's message with one tool call, changed."""
    return [{"role": "assistant", "content": None, "tool_calls": [{**TOOL_CALL, **changes}]}]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        pytest.param(
            [{"role": "system", "content": PICTURE}],
            "messages[0].content[1] is of type 'image_url'; a message of role 'system' may have parts of type text.",
            id="picture in a system message",
        ),
        pytest.param(
            user({"type": "input_text", "text": "Anna"}),
            "'input_text' belongs to the Responses API; here it is 'text'.",
            id="part of the Responses API",
        ),
        pytest.param(
            user({"type": "image_url", "image_url": "https://anna"}),
            "messages[0].content[0].image_url must be {'url': 'https://…'} or {'url': 'data:image/png;base64,…'}; "
            "this is of type str with length 12.",
            id="picture's address by itself",
        ),
        pytest.param(user({"type": "image_url", "image_url": {}}), "content[0].image_url needs 'url'", id="no address"),
        pytest.param(
            user({"type": "image_url", "image_url": {"url": "x", "detail": "Anna"}}),
            "image_url.detail must be auto, low or high",
            id="detail",
        ),
        pytest.param(user({"type": "text"}), "content[0] needs 'text': the text; this is None", id="text part without"),
        pytest.param(
            user({"type": "input_audio", "input_audio": {"data": "Anna", "format": "ogg"}}),
            "input_audio.format must be wav or mp3",
            id="sound of another kind",
        ),
        pytest.param(
            user({"type": "file", "file": {"filename": "Anna"}}), "needs 'file_id' or 'file_data'", id="no file"
        ),
        pytest.param(user({"type": "Anna has a cat"}), "is of type that is of type str with length 14", id="odd type"),
        pytest.param(user({"type": []}), "messages[0].content[0] is of type that is of type list", id="no type"),
        pytest.param([{"role": "tool", "content": "Anna"}], "messages[0] needs 'tool_call_id'", id="tool without id"),
        pytest.param(
            [{"role": "tool", "content": PICTURE, "tool_call_id": "1"}],
            "a message of role 'tool' may have parts of type text",
            id="tool answers with a picture",
        ),
        pytest.param([{"role": "function", "content": "Anna"}], "messages[0] needs 'name'", id="function without name"),
        pytest.param(asked_for(id=None), "messages[0].tool_calls[0] needs 'id'", id="tool call without id"),
        pytest.param(
            asked_for(type="Anna"), "tool_calls[0] must be a dict of type 'function' or 'custom'", id="its type"
        ),
        pytest.param(
            asked_for(function={"name": "add", "arguments": {"anna": 1}}),
            "[0].function needs 'arguments': a string, as the model sent it; this is of type dict with length 1",
            id="arguments as a dict",
        ),
        pytest.param(asked_for(function=None), "must be {'name': '…', 'arguments': '…'}", id="no function"),
        pytest.param(
            [{"role": "assistant", "content": "Anna", "tool_calls": []}],
            "messages[0].tool_calls must be a non-empty list or left out",
            id="no tool calls",
        ),
        pytest.param([{"role": "Anna has a cat", "content": "user"}], "the role that is of type str", id="swapped"),
    ],
)
def test_parts_and_tool_calls_that_cannot_be_right_are_refused(messages, message):
    """The error names the place and what belongs there, and quotes nothing of what was said."""
    with pytest.raises(InvalidRequestError) as refusal:
        check_request(messages, {})
    assert message in str(refusal.value)
    assert "anna" not in str(refusal.value).lower()


def test_the_refusal_is_a_value_error_and_does_not_quote_the_content():
    """The session raised ValueError; and errors end up in logs."""
    with pytest.raises(ValueError, match="needs content") as refusal:
        check_request([{"role": "user", "content": {"secret": "Anna has a cat"}}], {})
    assert "cat" not in str(refusal.value)


def test_the_copy_does_not_follow_the_callers_list():
    """What is sent is what was there when the call was made, deep down."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    copy = check_request(messages, {})
    messages[0]["content"][0]["text"] = "b"
    messages.append({"role": "user", "content": "c"})
    assert copy == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]


def test_answers_of_the_sdk_become_plain_messages():
    """``answer.choices[0].message`` can go back into the chat as it is."""
    message = completion(None, message={"tool_calls": [TOOL_CALL]}).choices[0].message
    (plain,) = check_request([message], {})
    assert plain == {"role": "assistant", "tool_calls": [TOOL_CALL]}


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0},
        {"temperature": 2, "top_p": 1.0, "presence_penalty": -2, "n": 1},
        {"max_tokens": 1},
        {"max_completion_tokens": 10},
        {"temperature": None, "max_tokens": None},
        {"temperature": NOT_GIVEN, "max_tokens": NOT_GIVEN},
        {"tools": [], "stream": False},
    ],
    ids=str,
)
def test_parameters_within_their_ranges_are_fit_to_send(params):
    """The bounds themselves are allowed, and None means not set."""
    check_request(ask(), params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": 2.1}, "temperature must be a number between 0 and 2; this is 2.1."),
        ({"temperature": "hot"}, "this is 'hot'"),
        ({"temperature": float("nan")}, "this is nan"),
        ({"temperature": True}, "this is True"),
        ({"top_p": -0.1}, "top_p must be a number between 0 and 1"),
        ({"max_tokens": 0}, "max_tokens must be a whole number from 1"),
        ({"max_tokens": 1.5}, "this is 1.5"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "not both"),
        ({"stream": True}, "returns whole answers"),
        ({"engine": "big"}, "the deployment is set once, as deployment_name"),
        ({"model": "big"}, "'model' is not a parameter"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_right_are_refused(params, message):
    """Before anything is sent, with the value and what is allowed."""
    with pytest.raises(InvalidRequestError) as refusal:
        check_request(ask(), params)
    assert message in str(refusal.value)


def test_a_high_limit_is_warned_about(caplog):
    """As in the session: it is allowed, but all of it counts against the rate limit."""
    with caplog.at_level(logging.WARNING, logger="labkit"):
        check_request(ask(), {"max_tokens": 4000})
        check_request(ask(), {"max_tokens": 4001})
    assert [record.getMessage() for record in caplog.records] == [
        "High max_tokens value: 4001 counts against the rate limit as if it were used."
    ]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(completion("Warsaw."), id="text"),
        pytest.param(completion("War", finish_reason="length"), id="cut short"),
        pytest.param(completion(None, finish_reason="tool_calls", message={"tool_calls": [TOOL_CALL]}), id="tool call"),
        pytest.param(completion(None, message={"refusal": "I cannot help with that."}), id="refusal in words"),
    ],
)
def test_answers_that_can_be_used(answer):
    """An answer with tool calls has no text, and is an answer."""
    assert check_answer(answer) is answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(completion().model_copy(update={"choices": []}), "without any choice", id="no choice"),
        pytest.param(completion(None), "without text (finish_reason 'stop')", id="no text"),
        pytest.param(completion(""), "without text", id="empty text"),
        pytest.param(completion("", finish_reason="length"), "raise the limit", id="a limit spent on thinking"),
    ],
)
def test_answers_without_an_answer_are_refused(answer, message):
    """The error says what came, and what to do about a limit that was too small."""
    with pytest.raises(EmptyAnswerError) as refusal:
        check_answer(answer)
    assert message in str(refusal.value)


def test_an_answer_cut_out_by_the_filter_is_its_own_error():
    """With the categories that were hit, and without the text that was."""
    hit = {
        "content_filter_results": {"violence": {"filtered": True, "severity": "medium"}, "hate": {"filtered": False}}
    }
    answer = completion("Half of a bad", finish_reason="content_filter", choice=hit)
    with pytest.raises(ContentFilteredError) as refusal:
        check_answer(answer)
    assert "refused the answer (violence: medium)" in str(refusal.value)
    assert "bad" not in str(refusal.value)


def test_a_refused_prompt_is_the_same_error():
    """Azure's 400 becomes a sentence that names the category and says that repeating does not help."""
    error = content_filter_error(sdk_error(filtered_prompt()))
    assert isinstance(error, ContentFilteredError)
    assert "refused the prompt (hate: high). Sending it again would be refused again" in str(error)


def test_a_refused_prompt_without_details_is_told_apart_too():
    """Some answers carry no inner error."""
    assert "refused the prompt." in str(content_filter_error(sdk_error(refused(400, "content_filter"))))


@pytest.mark.parametrize("error", [sdk_error(refused(400)), sdk_error(refused(429)), ValueError("content_filter")])
def test_other_errors_are_no_filter_refusals(error):
    """They stay what they are."""
    assert content_filter_error(error) is None
