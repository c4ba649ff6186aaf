"""Queries in KQL: what a teacher would ask, with answers worked out by hand, and what is refused and how."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.database import Database
from labkit.localazure.telemetry import growth, queries
from labkit.localazure.telemetry.kqlerrors import QueryError, QueryLimitError
from labkit.localazure.telemetry.store import Telemetry
from tests.localazure.telemetry.sending import COMPONENT, KEY, item, send_calls

NOON_S = 1_795_608_000.0  # 2026-11-25T12:00:00Z
Rows = list[list[Any]]


@pytest.fixture(scope="module")
def telemetry() -> Telemetry:
    """Six requests from 11:55 to 12:00, of which three called a model; it is noon."""
    made = Telemetry(ManualClock(NOON_S), Database())
    send_calls(made, NOON_S)
    return made


@pytest.fixture
def ask(telemetry: Telemetry) -> Callable[..., Rows]:
    """The rows that a query gives."""
    return lambda kql, **options: telemetry.query(kql, **options).rows


@pytest.mark.parametrize(
    ("kql", "expected"),
    [
        pytest.param("requests | count", [[6]], id="count"),
        pytest.param(
            "requests | summarize calls = count(), failed = countif(success == false), mean = avg(duration)",
            [[6, 2, 350.0]],
            id="failure rate and mean",
        ),
        pytest.param(
            "requests | summarize n = count() by bin(timestamp, 2m) | order by timestamp asc",
            [["2026-11-25T11:54:00Z", 1], ["2026-11-25T11:56:00Z", 2], ["2026-11-25T11:58:00Z", 2]]
            + [["2026-11-25T12:00:00Z", 1]],
            id="by time",
        ),
        pytest.param("requests | summarize percentiles(duration, 50, 95)", [[300.0, 600.0]], id="percentiles"),
        pytest.param(
            "dependencies | join kind=inner (requests | project operation_Id, request = id) on operation_Id"
            " | project id, request | order by id asc",
            [["d0", "r0"], ["d2", "r2"], ["d4", "r4"]],
            id="join",
        ),
        pytest.param(
            'requests | extend model = tostring(customDimensions["gen_ai.request.model"])'
            " | summarize n = count(), slowest = max(duration) by model | order by model asc",
            [["gpt-0", 3, 500.0], ["gpt-1", 3, 600.0]],
            id="custom dimension",
        ),
        pytest.param("requests | top 2 by duration desc | project id", [["r5"], ["r4"]], id="top"),
        pytest.param(
            "let slow = 300; let recent = requests | where timestamp > ago(150s);"
            " recent | where duration >= slow | count",
            [[1]],
            id="let and ago",
        ),
        pytest.param(
            "requests | where timestamp > ago(90s) | project id | order by id asc", [["r0"], ["r1"]], id="ago"
        ),
        pytest.param(
            "requests | extend verdict = case(duration < 250, 'fast', duration < 450, 'fine', 'slow')"
            " | summarize n = count() by verdict | order by verdict asc",
            [["fast", 2], ["fine", 2], ["slow", 2]],
            id="case",
        ),
        pytest.param(
            "union requests, dependencies | summarize n = count() by itemType | order by itemType asc",
            [["dependency", 3], ["request", 6]],
            id="union",
        ),
        pytest.param("union * | count", [[9]], id="union of all, each row once"),
        pytest.param("print passed = now() - datetime(2026-11-25 11:30)", [["00:30:00"]], id="now is the clock's"),
        pytest.param("requests | where customDimensions.number == '3' | project id", [["r3"]], id="dynamic path"),
        pytest.param(
            "AppRequests | where Success == false | project Id | order by Id asc", [["r1"], ["r4"]], id="App*"
        ),
        pytest.param(
            "AppDependencies | summarize n = count(), d = sum(DurationMs) by Type, DependencyType, AppRoleName",
            [["AppDependencies", "GenAI", "lab", 3, 900.0]],
            id="renamed columns",
        ),
        pytest.param("range i from 1 to 3 step 1 | summarize s = sum(i)", [[6]], id="range"),
    ],
)
def test_answers_are_right(ask: Callable[..., Rows], kql: str, expected: Rows) -> None:
    """What the course and its teachers ask."""
    assert ask(kql) == expected


def test_values_carry_the_services_types(telemetry: Telemetry) -> None:
    """Times with a Z, dynamic values as JSON in a string, numbers as numbers."""
    result = telemetry.query(
        "requests | where id == 'r1' | project timestamp, id, success, duration, itemCount, customDimensions,"
        " n = long(1), g = 2d + 3ms, nothing = real(nan)"
    )
    assert result.columns == [
        ("timestamp", "datetime"),
        ("id", "string"),
        ("success", "bool"),
        ("duration", "real"),
        ("itemCount", "int"),
        ("customDimensions", "dynamic"),
        ("n", "long"),
        ("g", "timespan"),
        ("nothing", "real"),
    ]
    properties = '{"gen_ai.request.model":"gpt-1","number":"1"}'
    row = ["2026-11-25T11:59:00Z", "r1", False, 200.0, 1, properties, 1, "2.00:00:00.0030000", "NaN"]
    assert result.rows == [row]


def test_render_is_reported_and_changes_nothing(telemetry: Telemetry) -> None:
    """The chart is the client's business."""
    result = telemetry.query('requests | summarize n = count() by name | render barchart with (title="Calls, by path")')
    assert (result.visualization["visualization"], result.visualization["title"]) == ("barchart", "Calls, by path")
    assert len(result.rows) == 3
    assert telemetry.query("requests").visualization == {}


def test_time_span_and_component_cut_what_is_seen() -> None:
    """The query's own conditions narrow it further; both ends are included."""
    telemetry = Telemetry(ManualClock(NOON_S), Database())
    send_calls(telemetry, NOON_S)

    def ask(kql: str, **options: Any) -> Rows:
        return telemetry.query(kql, **options).rows

    telemetry.allow("other", "other-id", "other", f"{COMPONENT}-2")
    telemetry.add(item("EventData", NOON_S, key="other", name="elsewhere"))
    assert ask("requests | count", start_s=NOON_S - 120, end_s=NOON_S - 60) == [[2]]
    assert ask("requests | where timestamp < ago(90s) | count", start_s=NOON_S - 120, end_s=NOON_S) == [[1]]
    assert ask("customEvents | count", component=COMPONENT.upper()) == [[0]]
    assert ask("customEvents | count", component=[COMPONENT, f"{COMPONENT}-2"]) == [[1]]
    assert ask("requests | count", component=[]) == [[0]]
    assert ask("union * | count", component=f"{COMPONENT}-2") == [[1]]


@pytest.mark.parametrize(
    ("kql", "code", "said", "line", "position", "token"),
    [
        ("requests\n| wherex duration > 1", "SYN0002", "at 'wherex' on line [2,2]", 2, 2, "wherex"),
        ("completely invalid syntax", "SYN0002", "at 'invalid' on line [1,11]", 1, 11, "invalid"),
        ("requests | where name == 'a", "SYN0002", "could not be parsed", 1, 25, "'"),
        (".drop table requests", "SYN0002", "at '.' on line [1,0]", 1, 0, "."),
        ("// x\n .show tables", "SYN0002", "at '.' on line [2,1]", 2, 1, "."),
        ("", "SYN0002", "could not be parsed", 1, 0, ""),
        ("calls | where x > 1", "SEM0100", "'where' operator: Failed to resolve table", 1, 0, "calls"),
        ("calls", "SEM0100", "There are: requests, dependencies", 1, 0, "calls"),
        ("requests |\n where latency > 1", "SEM0100", "'where' operator: Failed to resolve column", 2, 7, "latency"),
        ("requests | project Duration", "SEM0100", "'Duration'. There are: duration.", 1, 19, "Duration"),
        ("Requests | count", "SEM0100", "named 'Requests'", 1, 0, "Requests"),
        ("requests | where dcount(name) > 1", "SEM0001", "the function 'dcount'", 1, 17, "dcount"),
        ("requests | sample 3", "SEM0001", "does not run 'sample'", 1, 11, "sample"),
    ],
)
def test_mistakes_are_named_with_their_place(
    telemetry: Telemetry, kql: str, code: str, said: str, line: int, position: int, token: str
) -> None:
    """Code, words, line (from 1), position (from 0) and token, as the service counts them."""
    with pytest.raises(QueryError) as refused:
        telemetry.query(kql)
    inner = refused.value.inner()["innererror"]
    assert (inner["code"], inner["line"], inner["pos"], inner["token"]) == (code, line, position, token)
    assert said in inner["message"]


def test_a_workspace_has_log_analytics_names_only(telemetry: Telemetry) -> None:
    """As the service: the old names are the component's."""
    assert telemetry.query("AppRequests | count", workspace=True).rows == [[6]]
    with pytest.raises(QueryError, match="There are: AppRequests, AppDependencies"):
        telemetry.query("requests | count", workspace=True)


@pytest.mark.parametrize(
    "kql",
    [
        pytest.param("range x from 1 to 1000000000 step 1", id="range"),
        pytest.param("range t from ago(300d) to now() step 1s", id="range of times"),
        pytest.param(
            "let n = toscalar(range i from 1 to 90000 step 1 | count) * 90000; range x from 1 to n step 1", id="n"
        ),
        pytest.param("range x from 1 to 5 step 0", id="range that stands still"),
        pytest.param('print strrep("a", 1000000000)', id="repetition"),
        pytest.param("requests | project strrep(name, 99)", id="repeated column"),
        pytest.param(
            "requests | extend " + "|extend ".join(f"a{i}=strcat(name,name,name)" for i in range(9)), id="joins"
        ),
        pytest.param("requests | project replace_string(name, 'G', '" + "G" * 99 + "')", id="replacement"),
        pytest.param(
            "let a0 = 'x'; " + "".join(f"let a{i} = strcat(a{i - 1}, a{i - 1}); " for i in range(1, 26)) + "print a25",
            id="doubling",
        ),
        pytest.param("print " + "(" * 40 + "1" + ")" * 40, id="brackets"),
        pytest.param("print '" + "x" * 20_000 + "'", id="text"),
        pytest.param("print " + "-" * 4_000 + "1", id="signs"),
        pytest.param("union " + ",".join(f"(range x from 1 to {i} step 1)" for i in range(1, 12)), id="many ranges"),
    ],
)
def test_what_would_grow_out_of_bounds_is_refused_before_it_runs(telemetry: Telemetry, kql: str) -> None:
    """Neither time nor memory is spent on it."""
    with pytest.raises(QueryError):
        telemetry.query(kql)


def test_a_runaway_query_is_stopped(telemetry: Telemetry) -> None:
    """The store answers others afterwards."""
    crossed = "range x from 1 to 99000 step 1 | extend k = 1"
    with pytest.raises(QueryLimitError, match=r"longer than 0\.3 s"):
        telemetry.query(f"{crossed} | join kind=inner ({crossed}) on k | summarize count()", limit_s=0.3)
    assert telemetry.query("requests | count").rows == [[6]]


def test_a_query_that_needs_too_much_memory_is_stopped(telemetry: Telemetry) -> None:
    """What it gathers is within the database's limit."""
    crossed = "range x from 1 to 99000 step 1 | extend k = 1"
    with pytest.raises(QueryLimitError, match="memory"):
        telemetry.query(f"{crossed} | join kind=inner ({crossed}) on k | summarize make_list(x)")
    assert telemetry.query("requests | count").rows == [[6]]


def test_long_results_are_cut_and_say_so(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more rows than the limit."""
    monkeypatch.setattr(queries, "MAX_ROWS", 5)
    result = telemetry.query("range i from 1 to 9 step 1")
    assert (len(result.rows), result.is_partial) == (5, True)
    assert not telemetry.query("range i from 1 to 5 step 1").is_partial


def test_limits_are_not_in_the_way(telemetry: Telemetry) -> None:
    """A minute's steps over a day, a few texts put together."""
    assert growth._MAX_RANGE_ROWS >= 24 * 60
    assert telemetry.query("range t from ago(1d) to now() step 1m | count").rows == [[1_441]]
    joined = "requests | where id == 'r0' | project a = strcat(name, ' ', id, ' ', replace_string(id, 'r', 'request '))"
    assert telemetry.query(joined).rows == [["GET /0 r0 request 0"]]
    assert KEY not in str(telemetry.query("requests | project id").rows)
