"""The lines that set a terminal's environment, for bash and for PowerShell."""

import sys
from collections.abc import Mapping

import typer


def print_exports(variables: Mapping[str, str]) -> None:
    """Print what a client's terminal has to be told."""
    typer.echo("\n# bash, zsh")
    for name, value in variables.items():
        typer.echo(_bash(name, value))
    typer.echo("\n# PowerShell")
    for name, value in variables.items():
        typer.echo(_powershell(name, value))
    sys.stdout.flush()


def print_admin_secret(secret: str, console: str) -> None:
    """Print the teacher's secret, apart from what students get, and the console's address with it."""
    typer.echo(
        "\n# The teacher's alone: opens the whole journal and all faults, and is what `labkit azure fault` needs."
    )
    typer.echo(f"# bash, zsh:   {_bash('LABKIT_ADMIN_SECRET', secret)}")
    typer.echo(f"# PowerShell:  {_powershell('LABKIT_ADMIN_SECRET', secret)}")
    typer.echo(f"# Console:     {console}")
    sys.stdout.flush()


def _bash(name: str, value: str) -> str:
    return f"export {name}='{value}'"


def _powershell(name: str, value: str) -> str:
    return f"$env:{name} = '{value}'"
