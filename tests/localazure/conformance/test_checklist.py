"""What clients rely on, besides errors and headers: each point names the tests that hold it.

Gathered from the tests of other servers that play Azure OpenAI, and measured with real clients by leaving out one field
of an answer after the other (2026-11).
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.localazure.asking import Asker

ROOT = Path(__file__).parents[1]
POINTS = {
    # -- completions
    "a completion has the fields that the strictest clients need": (
        "inference/test_answers.py::test_completion_has_the_services_body",
    ),
    "no completion is longer than asked for, and one that was cut says so": (
        "inference/test_simulation.py::test_answer_is_cut_at_max_tokens",
        "inference/test_streaming.py::test_cut_stream_says_length",
    ),
    "the body's model does not count where the address names a deployment": (
        "inference/test_answers.py::test_model_in_the_body_is_ignored_where_the_address_names_one",
    ),
    "whether to stream is the body's to say, not the Accept header's": (
        "conformance/test_checklist.py::test_accept_header_does_not_make_a_stream",
    ),
    "a stream begins with the verdict on the prompt and the role, and ends with the reason and [DONE]": (
        "inference/test_streaming.py::test_chunks_are_the_services",
    ),
    "the usage of a stream comes once, at its end, when it is asked for": (
        "inference/test_streaming.py::test_usage_comes_once_and_last_when_asked_for",
    ),
    "a stream that fails answers JSON": (
        "inference/test_streaming.py::test_failing_stream_answers_json",
        "inference/test_responses_streaming.py::test_failing_stream_answers_json",
    ),
    "a client that hangs up in the middle of a stream does no harm": (
        "inference/test_streaming.py::test_server_survives_clients_that_hang_up",
    ),
    "no body, however malformed, is answered with a 500": (
        "inference/test_refusals.py::test_body_that_is_no_object",
        "inference/test_hostile.py::test_mutated_bodies_never_break_the_server",
        "inference/test_hostile.py::test_bytes_never_break_the_server",
    ),
    # -- tools
    "a call of a function says tool_calls, has an id and arguments that fit the schema": (
        "inference/test_tools.py::test_round_trip_with_the_real_client",
        "inference/test_schema_values.py::test_values_fit_their_schema",
    ),
    "the pieces of streamed arguments make the JSON": (
        "inference/test_tools.py::test_streamed_calls_with_the_real_client",
        "inference/test_responses_tools.py::test_arguments_stream_in_pieces",
    ),
    "a tool is chosen in every form that clients send": (
        "inference/test_tools.py::test_tool_choice",
        "inference/test_responses_tools.py::test_choice_of_a_tool",
    ),
    # -- embeddings
    "each input has its vector, in order, and the same one each time": (
        "inference/test_embeddings.py::test_body_is_the_services",
        "inference/test_embeddings.py::test_many_inputs_are_answered",
    ),
    "vectors come in base64, which clients ask for unless told otherwise": (
        "inference/test_embeddings.py::test_base64_is_the_same_vector_in_little_endian_floats",
    ),
    "inputs are texts or token ids, one or many, in any script": (
        "inference/test_embeddings.py::test_token_ids_are_the_text_they_stand_for",
        "inference/test_embeddings.py::test_vector_is_a_unit_vector_for_any_text",
    ),
    "only the third generation has dimensions to choose": (
        "inference/test_embeddings.py::test_ada_has_no_dimensions_to_choose",
        "inference/test_embeddings.py::test_dimensions_shorten_the_vectors",
    ),
    # -- responses
    "a response has the fields that clients need, and its events have names": (
        "inference/test_responses.py::test_response_has_the_services_body",
        "inference/test_responses_streaming.py::test_events_are_the_services",
    ),
    "responses answer at all of their addresses, behind any prefix": (
        "inference/test_responses_refusals.py::test_prefix_and_preview_version_work",
        "inference/test_answers.py::test_prefix_and_trailing_slash_of_the_endpoint_work",
    ),
    # -- callers
    "a key is taken from either header on both surfaces, beside another value that does not hold": (
        "inference/test_callers.py::test_key_opens_both_surfaces_in_either_header",
    ),
    "an Entra token opens both surfaces": ("inference/test_callers.py::test_entra_token_opens_both_surfaces",),
    # -- limits and evidence
    "the minute of the token limit slides": ("inference/test_limits.py::test_minute_slides",),
    "requests are counted in windows of seconds": (
        "inference/test_limits.py::test_requests_are_judged_over_short_windows",
    ),
    "the journal is in order and bounded, and holds no secret": (
        "test_journal.py::test_entries_are_numbered_in_order",
        "test_journal.py::test_journal_is_bounded",
        "test_journal.py::test_journal_holds_no_secret",
    ),
    "a fault with a share of 0 never comes, one with a share of 1 always": (
        "faults/test_queue.py::test_share_of_none_and_of_all",
    ),
    # -- control plane
    "paths are compared without regard to case, and a doubled slash is one": (
        "management/test_control_plane.py::test_ids_are_compared_without_regard_to_case",
        "management/test_control_plane.py::test_doubled_slashes_count_as_one",
    ),
    "a capacity may come as a text": ("management/test_account_rules.py::test_capacity_is_a_number_of_thousands",),
    "what takes time is polled at an address that comes with the answer": (
        "management/test_account_rules.py::test_deployment_answers_when_it_is_ready",
        "management/test_control_plane.py::test_poller_waits_for_a_deployment_that_takes_time",
    ),
    "errors arrive as the SDK's own exceptions": (
        "management/test_control_plane.py::test_errors_arrive_as_the_sdks_own",
        "inference/test_answers.py::test_real_client_raises_the_right_exceptions",
    ),
    "budgets stand at any scope, and notice that they were changed": (
        "management/test_budgets.py::test_budget_may_stand_at_any_scope",
        "management/test_budgets.py::test_budget_keeps_its_start_and_notices_changes",
    ),
    # -- identity
    "a token's answer has every field that clients read, for resources written in any way": (
        "conformance/test_identity.py::test_answer_is_the_services",
        "test_identity.py::test_resource_may_be_written_in_several_ways",
    ),
    "both protocols work for the real credential, with a trailing slash or without": (
        "test_identity.py::test_default_azure_credential_needs_only_the_environment",
        "test_identity.py::test_virtual_machine_protocol_works_for_the_real_credential",
        "test_identity.py::test_virtual_machine_protocol_accepts_a_trailing_slash",
    ),
    # -- telemetry
    "items come as an array or by the line, zipped or not": (
        "telemetry/test_ingestion.py::test_body_comes_in_several_forms",
    ),
    "every batch is answered with JSON, an empty one too": (
        "telemetry/test_ingestion.py::test_empty_batch_is_accepted",
        "conformance/test_telemetry.py::test_partial_acceptance",
    ),
    "the real exporter delivers all it has": (
        "telemetry/test_ingestion.py::test_real_exporter_delivers_traces_metrics_and_logs",
    ),
}


@pytest.mark.parametrize("point", POINTS)
def test_point_has_its_tests(point: str) -> None:
    """The tests that it names exist."""
    for test in POINTS[point]:
        path, _, name = test.partition("::")
        assert name in _tests_in(path), f"There is no {test}: name the test that holds this now."


@cache
def _tests_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json", "*/*"])
@pytest.mark.parametrize("stream", [True, False])
def test_accept_header_does_not_make_a_stream(ask: Asker, accept: str, stream: bool) -> None:
    """Clients send it one way or the other and mean nothing by it."""
    document = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    answer = ask.post("v1/chat/completions", document, version=None, headers={**ask.key, "Accept": accept})
    assert answer.headers["content-type"].startswith("text/event-stream") is stream
