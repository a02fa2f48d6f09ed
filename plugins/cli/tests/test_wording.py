"""Errors in the words of the command: no advice that only a program could follow."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from polyglot_cli import known_packages
from polyglot_cli.known_packages import known, missing_package, package_of_command
from polyglot_cli.wording import as_command, counted, duration

PYTHON = re.compile(r"\w+\(|=\{|=True|=None|\w+='|\w+=…")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Leave it out; extra={…} goes into the body.", "Leave it out; --extra KEY=VALUE goes into the body."),
        ("Use extra={'a': True, 'b': {…}}.", "Use --extra a=true --extra b='{…}'."),
        ("leave it out, or pass unsupported='drop'", "leave it out, or give --unsupported drop"),
        ("Name one, as in Inference.using('NAME'), or", "Name one with -c NAME, or"),
        ("has no model; pass one, as in create(…, model='NAME').", "has no model; give one with -m NAME."),
        ("Use resume='restart' or None.", "Use --resume restart, or leave the option out."),
        (
            "set the environment variable A, or give api_key.",
            "set the environment variable A, or run `polyglot connections add`.",
        ),
        ("connections() lists all names.", "`polyglot connections` lists all names."),
        (
            "The total clock ran out; raise it with timeouts={'total': seconds}, or None for no limit.",
            "The total clock ran out; allow more with --timeout SECONDS.",
        ),
        (
            "The idle clock ran out; raise it with timeouts={'idle': seconds}, or None for no limit.",
            "The idle clock ran out; allow more with timeouts = { idle = SECONDS } of the connection, in the configuration.",
        ),
    ],
)
def test_advice_is_for_a_command_line(message, expected):
    """Arguments of functions become options."""
    assert as_command(message) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "top_k=4"],
        ["-o", "moood=1"],
        ["-o", "temperature=hot"],
        ["-c", "azure-v1"],
        ["-c", "tets"],
        ["-c", "openai"],
        ["--resume", "provider"],
        ["--config", "modelless.toml"],
    ],
    ids=" ".join,
)
def test_no_error_speaks_python(command, provider, arguments):
    """Errors that a command line can cause have no call, no dict and no keyword argument in them."""
    simulator = provider("text")
    (command.folder / "modelless.toml").write_text(
        f"default = 'm'\n[connections.m]\ndriver = 'openai'\nbase_url = '{simulator.base_url}'\n", "utf-8"
    )
    run = command.run(*arguments, "Hello there")
    assert run.code in {3, 4}, run
    assert not PYTHON.search(run.err), run.err


def texts_of(tree):
    """Return the texts in a module's code, with a word in the place of each value; docstrings are left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    skipped = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and is_text(node.body)}
    skipped |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def is_text(body):
    """Return whether a block begins with a docstring."""
    return bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


ADVICE = re.compile(
    r"extra=\{|unsupported='|resume='|as in Inference|as in create\(|connections\(\)|pass its mime_type"
)


@pytest.mark.parametrize("name", ["core", "openai", "anthropic", "google", "mistral", "cohere", "bedrock", "ollama"])
def test_all_advice_of_the_library_is_translated(name):
    """No message of core and of the drivers keeps advice that only a program could follow."""
    package = importlib.import_module(f"polyglot_{name}")
    files = [file for folder in package.__path__ for file in Path(folder).rglob("*.py")]
    texts = [text for file in files for text in texts_of(ast.parse(file.read_text("utf-8")))]
    advice = [text for text in texts if ADVICE.search(text)]
    assert advice or name not in {"core", "openai"}
    translated = [re.sub(r"--extra \S+", "", as_command(text)) for text in advice]
    assert [text for text in translated if PYTHON.search(text)] == []


def test_a_missing_package_is_named(command):
    """A name of a package that is not installed is an error that names the package."""
    hidden = command.home / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDE, "utf-8")
    run = command.run("-c", "anthropic", "Hello there", PYTHONPATH=str(hidden))
    assert run.code == 3
    assert "Install polyglot-anthropic, the package that brings 'anthropic'." in run.err
    run = command.run("connections", "anthropic", PYTHONPATH=str(hidden))
    assert "polyglot-anthropic" in run.err
    file = command.folder / "own.toml"
    file.write_text("[connections.a]\npreset = 'anthropic'\n", "utf-8")
    run = command.run("-c", "a", "--config", "own.toml", "Hello there", PYTHONPATH=str(hidden))
    assert "Install polyglot-anthropic" in run.err


HIDE = """
import importlib.metadata
import sys

import importlib_metadata


def without(find):
    def found(*args, **more):
        return [each for each in find(*args, **more) if each.metadata["Name"] != "polyglot-anthropic"]

    return found


for finder in sys.meta_path:
    if hasattr(finder, "find_distributions"):
        finder.find_distributions = without(finder.find_distributions)
"""


def test_every_installed_name_is_known():
    """The list of names has those of the packages that are installed here, each with its package."""
    assert known()["anthropic"] == ("anthropic", "polyglot-anthropic", "ANTHROPIC_API_KEY")
    assert known()["ollama"].variable == ""
    assert missing_package("openai") == ""
    assert missing_package("no such name") == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "0.25 seconds"),
        (4, "4 seconds"),
        (60, "1 minute"),
        (61, "2 minutes"),
        (4000, "67 minutes"),
        (7200, "2 hours"),
        (86401, "25 hours"),
    ],
)
def test_a_long_wait_has_a_larger_unit(seconds, words):
    """A wait is stated as a person would, and never as a power of ten."""
    assert duration(seconds) == words


def test_a_noun_agrees_with_its_count():
    """One is singular, none and many are plural."""
    assert [counted(number, "turn") for number in (0, 1, 2)] == ["0 turns", "1 turn", "2 turns"]


def test_commands_of_packages_that_are_not_installed(monkeypatch):
    """Of each command of a package of Polyglot the package is known; of one that is installed none is missing."""
    assert package_of_command("batch") == package_of_command("Hello") == ""
    monkeypatch.setattr(known_packages, "_is_installed", lambda _: False)
    missing = {name: package_of_command(name) for name in ("batch", "record", "replay", "check-driver", "Hello")}
    testkit = "polyglot-testkit"
    assert list(missing.values()) == ["polyglot-batch", testkit, testkit, testkit, ""]
