"""When a rule is evaluated: at whole multiples of its frequency since 1970, so that windows begin on whole minutes."""

# How many evaluations of one rule are made up for when the clock has jumped.
CATCH_UP = 60


def due(frequency_s: int, evaluated_s: float, now_s: float) -> list[int]:
    """The times after ``evaluated_s`` and up to ``now_s``, oldest first.

    After a long jump the first and the last ones: what came in just before the jump is looked at, and so is how
    things stand now.
    """
    first, last = int(evaluated_s // frequency_s) + 1, int(now_s // frequency_s)
    count = last - first + 1
    if count <= CATCH_UP:
        return [number * frequency_s for number in range(first, last + 1)]
    half = CATCH_UP // 2
    numbers = [*range(first, first + half), *range(last - half + 1, last + 1)]
    return [number * frequency_s for number in numbers]
