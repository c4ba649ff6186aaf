"""Sends each prompt to the cheapest model that measurements expect to be right, and says what that is worth."""

from labkit.routing.cascade import Cascade
from labkit.routing.evaluation import evaluate, evaluate_cascade
from labkit.routing.router import Choice, Router

__all__ = ["Cascade", "Choice", "Router", "evaluate", "evaluate_cascade"]
