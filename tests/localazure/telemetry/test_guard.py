"""A query sees telemetry and nothing else: not the resources in the same file, not the machine."""

from collections.abc import Iterator

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.database import Database
from labkit.localazure.telemetry import guard
from labkit.localazure.telemetry.kqlerrors import QueryError
from labkit.localazure.telemetry.store import Telemetry
from tests.localazure.telemetry.sending import send_calls

SECRET = "sk-of-the-account"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A state file with resources beside the telemetry."""
    made = Database(tmp_path_factory.mktemp("state") / "state.duckdb")
    made.execute("CREATE TABLE resources (id VARCHAR, secrets VARCHAR)")
    made.execute("INSERT INTO resources VALUES ('account', ?)", [SECRET])
    yield made
    made.close()


@pytest.fixture(scope="module")
def telemetry(database: Database) -> Telemetry:
    """Telemetry in that file."""
    made = Telemetry(clock := ManualClock(), database)
    send_calls(made, clock.now())
    return made


@pytest.mark.parametrize(
    "kql",
    [
        "resources",
        '["resources"]',
        "['resources'] | project secrets",
        'database("main").resources',
        'database("state").resources',
        'database("telemetry").requests',
        'cluster("x").database("main").resources',
        'table("resources")',
        "union requests, resources",
        'union withsource = T re*, ["resources"]',
        "requests | join kind=inner (resources) on $left.id == $right.id",
        "requests | where id in ((resources | project secrets))",
        "requests | extend s = toscalar(resources | project secrets)",
        "let resources = resources; resources",
        "information_schema.tables",
        '["information_schema.tables"]',
        "duckdb_tables()",
        '["duckdb_tables()"]',
        "sqlite_master",
        '["main.resources"]',
        '["state.main.resources"]',
        "['requests\" UNION ALL SELECT * FROM \"resources']",
        '["/etc/passwd"]',
        'externaldata(line: string)["file:///etc/passwd"]',
        'print read_text("/etc/passwd")',
        'requests | extend x = read_csv("/etc/passwd")',
        'print getvariable("shown_of")',
        'print current_setting("memory_limit")',
        'print getenv("HOME")',
        'evaluate http_request("http://127.0.0.1")',
        ".show tables",
        ".set stolen <| resources",
        "print 1; print 2",
        "set query_now = datetime(2020-01-01); resources",
    ],
)
def test_nothing_else_can_be_read(telemetry: Telemetry, kql: str) -> None:
    """Refused, whatever the spelling, and the secret is in no message."""
    with pytest.raises(QueryError) as refused:
        telemetry.query(kql)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "kql",
    [
        'requests | where name == "x\'; DROP TABLE resources; --"',
        "requests | where name == 'x\\'; DROP TABLE resources; --'",
        "requests | where name == @'\\'",
        "requests | extend ['a\", (SELECT secrets FROM resources) AS \"b'] = 1",
        "requests | extend ['a\\\"; DROP TABLE resources; --'] = 1",
        "requests | summarize ['n\" FROM resources --'] = count()",
        "requests | project customDimensions['\\'); DROP TABLE resources; --']",
        'requests | where name matches regex "\'); DROP TABLE resources; --"',
        'let x = "\'; DROP TABLE resources; --"; requests | where name == x',
        "requests | where name contains '%' or name startswith \"'\"",
        'requests | parse name with * "\'" rest',
        "union * | take 9",
    ],
)
def test_text_in_a_query_stays_text(telemetry: Telemetry, database: Database, kql: str) -> None:
    """Quotes, semicolons and comments are values or names; the secret does not come out and nothing is dropped."""
    try:
        said = str(telemetry.query(kql).rows)
    except QueryError as refused:
        said = str(refused)
    assert SECRET not in said
    assert database.execute("SELECT secrets FROM resources") == [(SECRET,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM resources",
        "SELECT * FROM main.resources",
        "SELECT * FROM telemetry.requests",
        "SELECT (SELECT secrets FROM resources)",
        "SELECT * FROM requests WHERE EXISTS (FROM resources)",
        "WITH _a AS (FROM resources) SELECT * FROM _a",
        "WITH _a AS (WITH resources AS (SELECT 1) FROM resources) SELECT * FROM _a, resources",
        "WITH RECURSIVE _a AS (SELECT '' UNION ALL SELECT secrets FROM resources) FROM _a",
        "FROM requests UNION ALL FROM resources",
        "FROM query('FROM resources')",
        "FROM query_table('resources')",
        "FROM duckdb_tables()",
        "FROM pragma_table_info('resources')",
        "FROM read_csv('/etc/passwd')",
        "FROM '/etc/passwd'",
        "FROM glob('*')",
        "SELECT system.main.getvariable('shown_of')",
        "SELECT current_setting('threads')",
        "DESCRIBE resources",
        "SUMMARIZE resources",
        "SHOW TABLES",
        "DROP TABLE resources",
        "ATTACH 'x'",
        "COPY resources TO 'x'",
        "SET threads = 8",
        "SELECT 1; FROM resources",
        "nonsense",
    ],
)
def test_the_last_look_refuses_all_but_the_views(database: Database, sql: str) -> None:
    """Even if the translation were fooled."""
    with pytest.raises(guard.ForbiddenSqlError):
        guard.check(database.reader(), sql, ("requests",))


def test_the_last_look_lets_translations_pass(telemetry: Telemetry, database: Database) -> None:
    """The views, what a query makes itself, and values unnested."""
    sql = (
        'WITH _s0 AS (SELECT * FROM "requests"), _s1 AS (SELECT unnest([1, 2]) AS x FROM _s0) SELECT count(*) FROM _s1'
    )
    guard.check(database.reader(), sql, ("requests",))


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('/etc/passwd')",
        "FROM glob('/*')",
        "ATTACH '/tmp/other.duckdb'",
        "COPY (SELECT 1) TO '/tmp/labkit-leak.csv'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET threads = 8",
    ],
)
def test_the_database_itself_reaches_nothing(database: Database, sql: str) -> None:
    """No file, no network, and no way to allow them again."""
    import duckdb

    with pytest.raises(duckdb.Error):
        database.execute(sql)
