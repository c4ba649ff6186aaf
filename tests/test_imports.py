"""Which part of the package may import which, what the package offers, and what ``import labkit`` costs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import labkit

PACKAGE = Path(labkit.__file__).parent
BASE = {"bank", "catalog", "errors", "tokens"}
# Layer -> the layers whose modules it may import, besides its own.
MAY_IMPORT = {
    "base": set(),
    "localazure": {"base"},
    "call": {"base"},
    "grading": {"localazure", "call", "base"},
    # The command line imports the rest inside its functions, so that `labkit --help` is quick.
    "cli": {"base"},
    # The package itself only tells type checkers where its names are; the imports happen on first use.
    "package": set(),
}
HEAVY = (
    "IPython",
    "azure",
    "genai_prices",
    "httpx2",
    "matplotlib",
    "numpy",
    "openai",
    "opentelemetry",
    "pandas",
    "pydantic",
    "uvicorn",
)


def layer(module: str) -> str:
    """The layer a module of the package belongs to, by its name."""
    parts = module.split(".")
    if len(parts) == 1:
        return "package"
    if parts[1] in BASE:
        return "base"
    return parts[1] if parts[1] in ("localazure", "grading", "cli") else "call"


def name_of(path: Path) -> str:
    """``labkit.localazure.app`` for ``labkit/localazure/app.py``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(tree: ast.AST, *, everywhere: bool) -> Iterator[str]:
    """The modules of the package that ``tree`` imports when it is run; with ``everywhere`` also inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "labkit")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "labkit":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, everywhere=everywhere)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    """No module imports one of a layer above its own, not even inside a function (the command line may there)."""
    own = layer(module)
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    allowed = MAY_IMPORT[own] | {own, "package"}
    wrong = {name for name in imports(tree, everywhere=own != "cli") if layer(name) not in allowed}
    assert not wrong, f"{module} is in the layer {own!r} and imports {sorted(wrong)}"


def test_no_import_is_relative() -> None:
    """Absolute imports only: the test above reads those."""
    for path in MODULES.values():
        relative = [
            n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.ImportFrom) and n.level
        ]
        assert not relative, path


def test_a_wrong_import_is_found() -> None:
    """The reader of imports sees all the ways to write one, and leaves out what only type checkers see."""
    source = """
import labkit.grading.score
from labkit import localazure
from labkit.localazure.app import App
def inside():
    from labkit.manager import AzureOpenAIManager
if TYPE_CHECKING:
    from labkit import cli
"""
    found = list(imports(ast.parse(source), everywhere=True))
    assert found == ["labkit.grading.score", "labkit.localazure", "labkit.localazure.app", "labkit.manager"]
    assert "labkit.manager" not in list(imports(ast.parse(source), everywhere=False))


def test_public_names_are_those_in_all() -> None:
    """``__all__``, what is imported on first use, and what type checkers see are the same names."""
    block = next(node for node in ast.parse(MODULES["labkit"].read_text("utf-8")).body if isinstance(node, ast.If))
    shown = [alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    lazy = vars(labkit)["_HOME"]
    assert sorted(shown) == sorted(lazy)
    assert sorted([*lazy, "__version__"]) == sorted(labkit.__all__)
    assert len(set(labkit.__all__)) == len(labkit.__all__)


@pytest.mark.parametrize("name", labkit.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    """Each name can be had, says what it is, and shows up in ``dir(labkit)`` for completion."""
    value = getattr(labkit, name)
    assert value.__doc__
    assert name in dir(labkit)


def test_an_unknown_name_says_which_there_are() -> None:
    """A misspelt name gets the list."""
    with pytest.raises(AttributeError, match="no attribute 'Manager'.*AzureOpenAIManager"):
        _ = labkit.Manager  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import labkit", id="labkit"),
        pytest.param("from labkit import check, scoreboard", id="checks"),
        pytest.param("from labkit import connect, clients, lab", id="connection"),
        pytest.param("from labkit import AzureOpenAIManager, ModelSelector", id="manager-selector"),
        pytest.param("from labkit import LLMOptimizer, ProductionLLMService", id="optimizer-service"),
    ],
)
def test_importing_brings_no_heavy_package(statement: str) -> None:
    """The SDKs are imported when they are first needed, not when a name is."""
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & set(HEAVY)
