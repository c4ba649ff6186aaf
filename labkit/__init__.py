"""Everything a notebook of the course uses: connect, deploy, choose, optimise, serve, and check.

Names are imported on first use (PEP 562), so that ``import labkit`` costs a few milliseconds: the SDKs behind these
names take over a second together, and no notebook needs them all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "2026.1"

# The name a notebook may use -> the module it lives in; a module offered whole stands for itself.
_HOME = {
    "AzureOpenAIManager": "labkit.manager",
    "Connection": "labkit.connection",
    "LLMOptimizer": "labkit.optimizer",
    "LabkitError": "labkit.errors",
    "ModelSelector": "labkit.selector",
    "ProductionLLMService": "labkit.service",
    "bank": "labkit.bank",
    "budget": "labkit.budget",
    "catalog": "labkit.catalog",
    "check": "labkit.checks",
    "clients": "labkit.clients",
    "connect": "labkit.connection",
    "current": "labkit.connection",
    "errors": "labkit.errors",
    "lab": "labkit.lab",
    "metering": "labkit.metering",
    "monitoring": "labkit.monitoring",
    "pareto": "labkit.pareto",
    "prices": "labkit.prices",
    "routing": "labkit.routing",
    "scoreboard": "labkit.checks",
    "slo": "labkit.slo",
    "traffic": "labkit.traffic",
}

__all__ = [
    "AzureOpenAIManager",
    "Connection",
    "LLMOptimizer",
    "LabkitError",
    "ModelSelector",
    "ProductionLLMService",
    "__version__",
    "bank",
    "budget",
    "catalog",
    "check",
    "clients",
    "connect",
    "current",
    "errors",
    "lab",
    "metering",
    "monitoring",
    "pareto",
    "prices",
    "routing",
    "scoreboard",
    "slo",
    "traffic",
]

if TYPE_CHECKING:
    # What type checkers and editors see; a test compares these lines with ``__all__``.
    from labkit import (
        bank,
        budget,
        catalog,
        clients,
        errors,
        lab,
        metering,
        monitoring,
        pareto,
        prices,
        routing,
        slo,
        traffic,
    )
    from labkit.checks import check, scoreboard
    from labkit.connection import Connection, connect, current
    from labkit.errors import LabkitError
    from labkit.manager import AzureOpenAIManager
    from labkit.optimizer import LLMOptimizer
    from labkit.selector import ModelSelector
    from labkit.service import ProductionLLMService
else:

    def __getattr__(name):
        """The public name, imported now and kept, so that this runs once for each name."""
        if name not in _HOME:
            raise AttributeError(f"module 'labkit' has no attribute {name!r}; it offers {', '.join(__all__)}")
        home = import_module(_HOME[name])
        value = home if _HOME[name] == f"labkit.{name}" else getattr(home, name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
