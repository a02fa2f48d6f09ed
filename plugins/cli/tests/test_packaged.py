"""Subcommands of packages: found by their entry points, and reported when they cannot be used."""

from __future__ import annotations

from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from polyglot_cli import packaged
from polyglot_cli.commands import polyglot


@click.command()
@click.argument("name")
def greet(name):
    """Greet somebody by name."""
    click.echo(f"Hello, {name}.")


def entry(name, thing, owner="polyglot-other"):
    """Return an entry point whose module is imported without a problem, or with one."""

    def load():
        if isinstance(thing, Exception):
            raise thing
        return thing

    return SimpleNamespace(name=name, load=load, value=f"other:{name}", dist=SimpleNamespace(name=owner))


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs the command in an environment with these entry points."""

    def run(entries, *arguments):
        monkeypatch.setattr(packaged, "entry_points", lambda group: entries if group == "polyglot.commands" else [])
        return CliRunner().invoke(polyglot, arguments)

    return run


def test_a_command_of_a_package(run):
    """It is listed with its help, and is run with its arguments."""
    entries = [entry("greet", greet)]
    assert "greet     Greet somebody by name." in run(entries, "--help").output
    ended = run(entries, "greet", "Ada")
    assert (ended.exit_code, ended.output) == (0, "Hello, Ada.\n")


def test_own_commands_win(run):
    """A package cannot replace a command."""
    assert "greet" not in run([entry("drivers", greet)], "drivers", "--help").output


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([entry("greet", ImportError("no click"))], "polyglot-other could not be imported: ImportError: no click"),
        ([entry("greet", print)], "other:greet of polyglot-other is no click command"),
        ([entry("greet", greet), entry("greet", greet, "rival")], "it is provided by polyglot-other and by rival"),
    ],
)
def test_a_command_that_cannot_be_used(run, entries, why):
    """It says why when it is run, with whatever arguments; the help of the others is not affected."""
    ended = run(entries, "greet", "--loud", "Ada")
    assert ended.exit_code == 1
    assert why in " ".join(ended.output.split())
    helped = run(entries, "--help")
    assert (helped.exit_code, "drivers" in helped.output) == (0, True)


def test_the_allow_list(run, monkeypatch):
    """Packages that are left out of the process bring no commands."""
    monkeypatch.setenv("POLYGLOT_DRIVERS", "openai,polyglot-allowed")
    entries = [entry("greet", greet), entry("wave", greet, "polyglot-allowed")]
    output = run(entries, "--help").output
    assert ("greet" in output, "wave" in output) == (False, True)
    assert run(entries, "greet", "Ada").exit_code == 2
