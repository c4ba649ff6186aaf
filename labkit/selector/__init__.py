"""Which model fits a use case, what it would cost in a month, and why the others do not fit."""

from labkit.selector.availability import offered_skus
from labkit.selector.selector import ModelSelector

__all__ = ["ModelSelector", "offered_skus"]
