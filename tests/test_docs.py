"""The page that compares the session with today names things that exist."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "from-the-session-to-today.md").read_text("utf-8")
NAMES = sorted(set(re.findall(r"`(labkit(?:\.\w+)+)", PAGE)))


@pytest.mark.parametrize("name", NAMES)
def test_names_in_the_page_exist(name):
    """``labkit.retry`` is a module, ``labkit.slo.scorecard`` something in one."""
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute) or importlib.import_module(name)


@pytest.mark.parametrize("name", ["AzureOpenAIManager", "ModelSelector", "LLMOptimizer", "ProductionLLMService"])
def test_each_class_of_the_session_has_its_table(name):
    """With a row for each trap."""
    section = PAGE.split(f"## `{name}`")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 5
    assert {line.count(" | ") for line in rows} == {3}
