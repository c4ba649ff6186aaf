"""The tables that telemetry is kept in: their columns under Application Insights' and Log Analytics' names.

Microsoft Learn, azure-monitor/app/convert-classic-resource ("Table structure" and "Table schemas"; 2024-06-28) and
azure-monitor/reference/tables (AppRequests and the others), read 2026-11-25. Of the columns about browsers and cities,
which a server never sends, there are none; ``success`` is a bool under both names, as queries compare it with one.
"""

from dataclasses import dataclass
from typing import Literal

KustoType = Literal["bool", "datetime", "dynamic", "guid", "int", "long", "real", "string", "timespan", "decimal"]

_DUCKDB: dict[str, str] = {
    "bool": "BOOLEAN",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
    "int": "INTEGER",
    "real": "DOUBLE",
    "string": "VARCHAR",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``workspace_name`` is how Log Analytics calls it, empty when it has none."""

    name: str
    type: str
    workspace_name: str

    @property
    def duckdb_type(self) -> str:
        """The type it has in the database."""
        return _DUCKDB[self.type]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: ``name`` in Application Insights, ``workspace_name`` in Log Analytics."""

    name: str
    workspace_name: str
    item_type: str
    columns: tuple[Column, ...]


def _columns(text: str) -> tuple[Column, ...]:
    """Columns from lines of name, type and Log Analytics' name (a dash for none)."""
    rows = [line.split() for line in text.strip().splitlines()]
    return tuple(Column(name, type, "" if other == "-" else other) for name, type, other in rows)


_TIME = _columns("timestamp datetime TimeGenerated")
_PROPERTIES = _columns("customDimensions dynamic Properties")
_MEASUREMENTS = _columns("customMeasurements dynamic Measurements")
_COUNT = _columns("itemCount int ItemCount")
_CONTEXT = _columns("""
    operation_Name            string  OperationName
    operation_Id              string  OperationId
    operation_ParentId        string  ParentId
    operation_SyntheticSource string  SyntheticSource
    session_Id                string  SessionId
    user_Id                   string  UserId
    user_AuthenticatedId      string  UserAuthenticatedId
    user_AccountId            string  UserAccountId
    application_Version       string  AppVersion
    client_Type               string  ClientType
    client_Model              string  ClientModel
    client_OS                 string  ClientOS
    cloud_RoleName            string  AppRoleName
    cloud_RoleInstance        string  AppRoleInstance
    appId                     string  ResourceGUID
    appName                   string  -
    iKey                      string  IKey
    sdkVersion                string  SDKVersion
    itemId                    string  -
    itemType                  string  -
    _ResourceId               string  _ResourceId
""")


def _table(name: str, workspace_name: str, item_type: str, own: str, *, counted: bool = True) -> Table:
    # A metric is not sampled and has no measurements: it counts values (valueCount), not items.
    rest = (_MEASUREMENTS + _CONTEXT + _COUNT) if counted else _CONTEXT
    return Table(name, workspace_name, item_type, _TIME + _columns(own) + _PROPERTIES + rest)


_ALL = (
    _table(
        "requests",
        "AppRequests",
        "request",
        """
        id                string  Id
        source            string  Source
        name              string  Name
        url               string  Url
        success           bool    Success
        resultCode        string  ResultCode
        duration          real    DurationMs
        performanceBucket string  PerformanceBucket
        """,
    ),
    _table(
        "dependencies",
        "AppDependencies",
        "dependency",
        """
        id                string  Id
        target            string  Target
        type              string  DependencyType
        name              string  Name
        data              string  Data
        success           bool    Success
        resultCode        string  ResultCode
        duration          real    DurationMs
        performanceBucket string  PerformanceBucket
        """,
    ),
    _table(
        "traces",
        "AppTraces",
        "trace",
        """
        message       string  Message
        severityLevel int     SeverityLevel
        """,
    ),
    _table(
        "exceptions",
        "AppExceptions",
        "exception",
        """
        problemId        string   ProblemId
        type             string   ExceptionType
        outerMessage     string   OuterMessage
        innermostType    string   InnermostType
        innermostMessage string   InnermostMessage
        severityLevel    int      SeverityLevel
        details          dynamic  Details
        """,
    ),
    _table("customEvents", "AppEvents", "customEvent", "name string Name"),
    _table(
        "customMetrics",
        "AppMetrics",
        "customMetric",
        """
        name        string  Name
        value       real    -
        valueCount  int     ItemCount
        valueSum    real    Sum
        valueMin    real    Min
        valueMax    real    Max
        valueStdDev real    -
        """,
        counted=False,
    ),
    _table(
        "performanceCounters",
        "AppPerformanceCounters",
        "performanceCounter",
        """
        name     string  Name
        category string  Category
        counter  string  Counter
        instance string  Instance
        value    real    Value
        """,
        counted=False,
    ),
)
TABLES: dict[str, Table] = {table.name: table for table in _ALL}
BY_WORKSPACE_NAME: dict[str, Table] = {table.workspace_name: table for table in _ALL}
