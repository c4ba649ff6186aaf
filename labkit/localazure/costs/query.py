"""The cost query: charges summed by day or month and grouped, in Cost Management's columns and rows.

REST reference, Cost Management, Query, Usage (2025-03-01), and azure-mgmt-costmanagement 5.0; the shape of the answer
is that of Azure/azure-rest-api-specs#5005 (2019-01); all read 2026-11-25. Where no wording of an error was found it is
ours. All rows come on one page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from labkit.localazure.costs.charges import Charge, charges
from labkit.localazure.costs.dimensions import BadFilter, check_filter, dimension, keeps, known, tag, valid_names
from labkit.localazure.errors import AzureError

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

Document = dict[str, Any]
_TYPES = ("Usage", "ActualCost", "AmortizedCost")
_TIMEFRAMES = (
    "MonthToDate",
    "BillingMonthToDate",
    "TheCurrentMonth",
    "TheLastMonth",
    "TheLastBillingMonth",
    "WeekToDate",
    "Custom",
)
_GRANULARITIES = ("None", "Daily", "Monthly")
# Usage is counted in thousands of tokens, as the meters' unit 1K says.
_AGGREGATES: dict[str, Callable[[Charge], float]] = {
    "Cost": lambda charge: charge.cost_usd,
    "CostUSD": lambda charge: charge.cost_usd,
    "PreTaxCost": lambda charge: charge.cost_usd,
    "PreTaxCostUSD": lambda charge: charge.cost_usd,
    "UsageQuantity": lambda charge: charge.tokens / 1_000,
}
_CLAUSES = 2
_LONGEST = timedelta(days=366)
_DEFAULT = {"total": {"name": "PreTaxCost", "function": "Sum"}}


@dataclass(frozen=True, slots=True)
class _Group:
    """One grouping clause: a dimension, or a tag, which answers with its key and its value."""

    name: str
    is_tag: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return ("TagKey", "TagValue") if self.is_tag else (self.name,)

    def values(self, azure: "Azure", charge: Charge) -> tuple[str, ...]:
        if self.is_tag:
            return self.name.lower(), tag(azure, charge, self.name)
        return (dimension(charge, self.name),)


def run(azure: "Azure", scope: str, asked: Document) -> Document:
    """The answer to the query ``asked`` at ``scope``; ``AzureError`` 400 says what of it cannot be."""
    _one_of(asked.get("type"), _TYPES, "type")
    start, end = _period(asked, datetime.fromtimestamp(azure.clock.now(), UTC))
    dataset = asked.get("dataset")
    if not isinstance(dataset, dict):
        # Azure/azure-rest-api-specs#21966 (2022-12).
        raise _bad("Invalid query definition, Dataset is invalid or not supplied.")
    granularity = _one_of(dataset.get("granularity") or "None", _GRANULARITIES, "dataset granularity")
    sums = _aggregation(dataset)
    groups = _grouping(dataset)
    kept = _filtered(azure, dataset.get("filter"), charges(azure, scope, start.timestamp(), end.timestamp()))
    columns = [*((name, "Number") for name in sums), *_date_column(granularity)]
    columns += [(column, "String") for group in groups for column in group.columns] + [("Currency", "String")]
    return _result(scope, columns, _rows(azure, kept, sums, granularity, groups))


def _rows(
    azure: "Azure", kept: list[Charge], sums: list[str], granularity: str, groups: list[_Group]
) -> list[list[Any]]:
    totals: dict[tuple[Any, ...], list[float]] = {}
    for charge in kept:
        key = (*_date(granularity, charge), *(value for group in groups for value in group.values(azure, charge)))
        total = totals.setdefault(key, [0.0] * len(sums))
        for index, name in enumerate(sums):
            total[index] += _AGGREGATES[name](charge)
    return [[*(round(total, 9) for total in totals[key]), *key, "USD"] for key in sorted(totals)]


def _result(scope: str, columns: list[tuple[str, str]], rows: list[list[Any]]) -> Document:
    name = str(uuid5(NAMESPACE_URL, f"{scope.lower()}{columns}{rows}"))
    return {
        "id": f"{scope.strip('/')}/providers/Microsoft.CostManagement/query/{name}",
        "name": name,
        "type": "Microsoft.CostManagement/query",
        "location": None,
        "sku": None,
        "eTag": None,
        "properties": {
            "nextLink": None,
            "columns": [{"name": name, "type": type} for name, type in columns],
            "rows": rows,
        },
    }


# -- the parts of a query ---------------------------------------------------------------------------------------


def _period(asked: Document, now: datetime) -> tuple[datetime, datetime]:
    """The beginning of the first day and the end of the last one."""
    timeframe = _one_of(asked.get("timeframe"), _TIMEFRAMES, "timeframe")
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month, tomorrow = today.replace(day=1), today + timedelta(days=1)
    if timeframe == "Custom":
        return _custom(asked.get("timePeriod"))
    if timeframe in ("TheLastMonth", "TheLastBillingMonth"):
        return (month - timedelta(days=1)).replace(day=1), month
    if timeframe == "WeekToDate":  # weeks begin on Sunday in Cost Management's own views
        return today - timedelta(days=(today.weekday() + 1) % 7), tomorrow
    return month, tomorrow


def _custom(period: object) -> tuple[datetime, datetime]:
    given = period if isinstance(period, dict) else {}
    start, last = (_day(given.get(name), name) for name in ("from", "to"))
    if not timedelta(0) <= last - start <= _LONGEST:
        raise _bad("Invalid query definition: the timePeriod ends before it begins, or is longer than one year.")
    return start, last + timedelta(days=1)


def _day(given: object, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(given))
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)
    except (ValueError, OverflowError):
        raise _bad(f"Invalid query definition: the timePeriod's {name} is a date such as 2026-11-01.") from None


def _aggregation(dataset: Document) -> list[str]:
    given = dataset.get("aggregation") or _DEFAULT
    clauses = list(given.values()) if isinstance(given, dict) else []
    if not 1 <= len(clauses) <= _CLAUSES or not all(isinstance(clause, dict) for clause in clauses):
        raise _bad(f"Invalid query definition: a query can have up to {_CLAUSES} aggregation clauses, named objects.")
    names = {name.lower(): name for name in _AGGREGATES}
    for clause in clauses:
        if str(clause.get("function")).lower() != "sum" or str(clause.get("name")).lower() not in names:
            raise _bad(
                f"Invalid query definition: Invalid dataset aggregation: '{str(clause.get('name'))[:100]}'; "
                f"valid values: {','.join(repr(name) for name in _AGGREGATES)}, with the function 'Sum'."
            )
    return list(dict.fromkeys(names[clause["name"].lower()] for clause in clauses))


def _grouping(dataset: Document) -> list[_Group]:
    given = dataset.get("grouping") or []
    if not isinstance(given, list) or len(given) > _CLAUSES or not all(isinstance(clause, dict) for clause in given):
        raise _bad(f"Invalid query definition: a query can have up to {_CLAUSES} group by clauses.")
    return [_group(clause) for clause in given]


def _group(clause: Document) -> _Group:
    kind, name = str(clause.get("type")).lower(), clause.get("name")
    if kind in ("tagkey", "tag") and isinstance(name, str) and 0 < len(name) <= 512:
        return _Group(name, True)
    if kind == "dimension" and known(name):
        return _Group(str(name), False)
    # Azure/azure-rest-api-specs#32810 (2025-02).
    raise _bad(
        f"Invalid query definition: Invalid dataset grouping: '{str(name)[:100]}'; valid values: {valid_names()}."
    )


def _filtered(azure: "Azure", given: Any, found: list[Charge]) -> list[Charge]:
    if not given:
        return found
    try:
        check_filter(given)
    except BadFilter as reason:
        raise _bad(f"Invalid query definition: Invalid dataset filter; {reason}.") from None
    return [charge for charge in found if keeps(azure, given, charge)]


def _date_column(granularity: str) -> list[tuple[str, str]]:
    return {"Daily": [("UsageDate", "Number")], "Monthly": [("BillingMonth", "Datetime")]}.get(granularity, [])


def _date(granularity: str, charge: Charge) -> tuple[int | str, ...]:
    """The day as the number 20261125, the month as the text of its first moment."""
    day = datetime.fromtimestamp(charge.day_s, UTC)
    if granularity == "Daily":
        return (int(f"{day:%Y%m%d}"),)
    return (f"{day:%Y-%m}-01T00:00:00",) if granularity == "Monthly" else ()


def _one_of(given: object, allowed: tuple[str, ...], what: str) -> str:
    found = next((name for name in allowed if isinstance(given, str) and name.lower() == given.lower()), None)
    if found is None:
        values = ",".join(f"'{name}'" for name in allowed)
        raise _bad(f"Invalid query definition: Invalid {what}: '{str(given)[:100]}'; valid values: {values}.")
    return found


def _bad(message: str) -> AzureError:
    return AzureError(400, "BadRequest", message)
