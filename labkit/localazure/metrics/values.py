"""The values of a metric: what was measured in a minute, added up over longer intervals and across dimensions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Dimensions = tuple[tuple[str, str], ...]
Keep = Callable[[Mapping[str, str]], bool]


@dataclass(slots=True)
class Sample:
    """Measurements taken together: how many, their sum, the least and the greatest."""

    count: float = 0.0
    total: float = 0.0
    minimum: float = float("inf")
    maximum: float = float("-inf")

    @classmethod
    def of(cls, count: float, total: float) -> "Sample":
        """``count`` measurements of one minute that is only known as a whole: their mean is all there is of a range."""
        mean = total / count if count else 0.0
        return cls(count, total, mean, mean)

    def add(self, other: "Sample") -> None:
        """Take ``other``'s measurements in."""
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def value(self, aggregation: str) -> float | None:
        """The aggregated value (Average, Minimum, Maximum, Total or Count, any case); None if nothing was measured."""
        if not self.count:
            return None
        values = {
            "average": self.total / self.count,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "total": self.total,
            "count": self.count,
        }
        return values[aggregation.lower()]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in the minute that begins at ``start_s``, of one combination of dimension values."""

    start_s: float
    dimensions: Mapping[str, str]
    sample: Sample


@dataclass(slots=True)
class Series:
    """One time series: the ``dimensions`` it was split by, and a sample for each interval, oldest first."""

    dimensions: Dimensions
    samples: list[Sample] = field(default_factory=list)


def as_rates(measured: Iterable[Measured], split_by: Sequence[str], keep: Keep) -> list[Measured]:
    """One measurement for each minute and combination of ``split_by``: a rate, whose least and greatest are itself."""
    minutes: dict[tuple[float, Dimensions], Sample] = {}
    for one in measured:
        if keep(one.dimensions):
            key = one.start_s, tuple((name, one.dimensions.get(name, "")) for name in split_by)
            minutes.setdefault(key, Sample()).add(one.sample)
    return [Measured(at_s, dict(dims), Sample.of(sum_.count, sum_.total)) for (at_s, dims), sum_ in minutes.items()]


def everything(dimensions: Mapping[str, str]) -> bool:
    """Keeps whatever there is."""
    return True


def collect(
    measured: Iterable[Measured], split_by: Sequence[str], keep: Keep, *, start_s: float, interval_s: float, count: int
) -> list[Series]:
    """The series over ``count`` intervals from ``start_s`` of what ``keep`` lets pass, in the order of their names."""
    found: dict[Dimensions, Series] = {}
    for one in measured:
        place = int((one.start_s - start_s) // interval_s)
        if not 0 <= place < count or not keep(one.dimensions):
            continue
        key = tuple((name, one.dimensions.get(name, "")) for name in split_by)
        if key not in found:
            found[key] = Series(key, [Sample() for _ in range(count)])
        found[key].samples[place].add(one.sample)
    return [found[key] for key in sorted(found)]
