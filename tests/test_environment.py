"""The ways to install the workbook agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FIXED_BY_THE_COURSE = {
    "jupyterlab", "openai", "azure-identity", "pandas", "matplotlib", "ipywidgets", "nbval", "papermill",
}  # fmt: skip


def _name(pin: str) -> str:
    return re.split(r"[\[=]", pin)[0].lower().replace("_", "-")


def _pins() -> list[str]:
    everything = PROJECT["dependencies"] + [pin for extra in EXTRAS.values() for pin in extra]
    return [pin for pin in everything if _name(pin) != "labkit"]


def test_environment_yml_has_the_pins_of_pyproject() -> None:
    """Conda and Binder install exactly what `make lab` and the instructor's extra install."""
    environment = yaml.safe_load((REPO / "environment.yml").read_text("utf-8"))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == [*PROJECT["dependencies"], *EXTRAS["instructor"], "--editable ."]
    assert "pip" in conda
    assert any(entry.startswith("python=3.") for entry in conda)


@pytest.mark.parametrize("pin", _pins())
def test_every_dependency_is_pinned_to_one_version(pin: str) -> None:
    """A course is taught for months: name==version, and nothing looser."""
    assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z]+\])?==[0-9][0-9a-z.]*", pin), pin


def test_constraints_repeat_the_pins() -> None:
    """constraints.txt pins the indirect dependencies too, and contradicts no direct pin."""
    lines = [line for line in (REPO / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.+]*", line) for line in lines)
    constraints = {_name(line): line.split("==")[1] for line in lines}
    assert {_name(pin): constraints.get(_name(pin)) for pin in _pins()} == {
        _name(pin): pin.split("==")[1] for pin in _pins()
    }


def test_the_packages_the_course_fixed_are_there() -> None:
    """The owner's list of packages is installed by somebody's `make`."""
    assert {_name(pin) for pin in _pins()} >= FIXED_BY_THE_COURSE
