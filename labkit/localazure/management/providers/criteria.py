"""What metric alerts and log search alerts check alike in a rule."""

from labkit.localazure import timespan
from labkit.localazure.management.providers.base import Draft, bad_request, number, objects, text
from labkit.localazure.resources import Document

_DIMENSIONS = 10
_DIMENSION_VALUES = 100
_PERIODS = 6


def severity(properties: Document) -> int:
    """The rule's severity, 0 to 4; 400 when it is missing or anything else."""
    given = properties.get("severity")
    if isinstance(given, bool) or not isinstance(given, int | float) or given not in range(5):
        raise bad_request(f"The severity '{given}' is invalid. It is 0 (critical) to 4 (verbose).")
    return int(given)


def duration_s(properties: Document, name: str, allowed_s: tuple[int, ...]) -> int:
    """The duration in the property ``name`` in seconds; 400 when it is not one of ``allowed_s``."""
    given_s = lasting_s(properties.get(name))
    if given_s not in allowed_s:
        choices = ", ".join(timespan.iso_duration(allowed) for allowed in allowed_s)
        raise bad_request(f"The {name} '{properties.get(name)}' is invalid. Supported values: {choices}.")
    return given_s


def lasting_s(given: object) -> int:
    """The duration ``given`` in whole seconds; 0 when it is none."""
    try:
        return int(timespan.duration_s(given)) if isinstance(given, str) else 0
    except ValueError:
        return 0


def one_of(condition: Document, field: str, allowed: tuple[str, ...]) -> None:
    """400 when the condition's ``field`` is not one of ``allowed``."""
    if condition.get(field) not in allowed:
        raise bad_request(f"The {field} '{condition.get(field)}' is invalid. Supported values: {', '.join(allowed)}.")


def check_periods(periods: object) -> None:
    """400 when ``periods`` does not say how many of how many windows must fail."""
    given = periods if isinstance(periods, dict) else {}
    of, least = (number(given.get(name)) for name in ("numberOfEvaluationPeriods", "minFailingPeriodsToAlert"))
    whole = of is not None and least is not None and of.is_integer() and least.is_integer()
    if not whole or not 1 <= (least or 0) <= (of or 0) <= _PERIODS:
        raise bad_request(
            "failingPeriods needs numberOfEvaluationPeriods and minFailingPeriodsToAlert, whole numbers from 1 to "
            f"{_PERIODS}, the second not above the first."
        )


def check_dimensions(given: object) -> None:
    """400 when ``given`` is not a list of dimensions, each with a name, Include or Exclude, and values."""
    dimensions = objects(given)
    if len(dimensions) > _DIMENSIONS:
        raise bad_request(f"A condition has {len(dimensions)} dimensions. It can have up to {_DIMENSIONS}.")
    for dimension in dimensions:
        values = dimension.get("values")
        if (
            not text(dimension.get("name"))
            or text(dimension.get("operator")).lower() not in ("include", "exclude")
            or not isinstance(values, list)
            or not 1 <= len(values) <= _DIMENSION_VALUES
            or not all(isinstance(value, str) for value in values)
        ):
            raise bad_request(
                f"The dimension '{dimension.get('name')}' is invalid. It has a name, the operator Include or Exclude, "
                f"and 1 to {_DIMENSION_VALUES} texts in values, of which '*' stands for all."
            )


def check_group(draft: Draft, given: object) -> str:
    """The id of the action group ``given``; 400 when there is none."""
    group = text(given)
    found = draft.azure.resources.get(group) if group else None
    if found is None or found.type.lower() != "microsoft.insights/actiongroups":
        raise bad_request(f"The action group '{group}' was not found. An action names the id of an action group.")
    return group
