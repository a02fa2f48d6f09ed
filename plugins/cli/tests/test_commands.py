"""Help, versions, completion, and the tables behind exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from polyglot_cli import error_report
from polyglot_cli.commands import polyglot
from polyglot_core import errors

COMMANDS = [[], *([name] for name in polyglot.commands)]
HEAVY = {"anyio", "httpx", "httpx2", "rich", "h11", "msgspec", "polyglot_core", "polyglot_simulator"}
KINDS = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]

LIST_MODULES = """
import json, sys
from polyglot_cli.main import main
try:
    main()
except SystemExit:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", COMMANDS, ids=str)
def test_help_teaches_by_examples(arguments):
    """The help of every command shows examples, begins with a sentence, and fits 80 columns."""
    done = CliRunner().invoke(polyglot, [*arguments, "--help"], prog_name="polyglot")
    assert done.exit_code == 0
    assert "  Examples:\n    polyglot " in done.output
    assert max(map(len, done.output.splitlines())) <= 80


def test_ctrl_c_while_the_command_line_is_read(monkeypatch):
    """Ctrl-C has its exit code also before a command runs, and no word is added."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(polyglot, "parse_args", interrupt)
    done = CliRunner().invoke(polyglot, ["drivers"])
    assert (done.exit_code, done.output) == (130, "")


@pytest.mark.parametrize("name", polyglot.commands)
def test_every_example_can_be_parsed(name):
    """Each example line of a command's help names options that the command has."""
    command = polyglot.commands[name]
    known = {opt for parameter in command.params for opt in parameter.opts}
    examples = [line for line in command.help.splitlines() if f"polyglot {name}" in line]
    used = {word for line in examples for word in line.partition(f"polyglot {name}")[2].split() if word.startswith("-")}
    assert examples
    assert used - {"-", "-j", "-r"} <= known  # the last two are jq's


def test_every_option_is_explained():
    """No option is listed without a word about it."""
    options = [option for command in polyglot.commands.values() for option in command.params]
    assert [option.name for option in options if isinstance(option, click.Option) and not option.help] == []


def test_no_option_takes_a_key():
    """A key on a command line could be read by everyone on the machine, so there is no option for one."""
    options = {opt for command in polyglot.commands.values() for parameter in command.params for opt in parameter.opts}
    assert not [option for option in options if "key" in option or "token" in option or "secret" in option]


@pytest.mark.parametrize("arguments", [["--help"], ["stream", "--help"], ["--version"]], ids=" ".join)
def test_what_needs_no_library_imports_none(command, arguments):
    """Help and versions are printed without the HTTP client, the library or anything else that takes a while to read."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *arguments], capture_output=True, env=command.env, timeout=20, check=True
    )
    assert not HEAVY & set(json.loads(done.stderr))


def test_version_names_every_package_of_ours(command):
    """``--version`` prints one line for each installed distribution of ours, by name."""
    run = command.run("--version")
    names = [line.split()[0] for line in run.text.splitlines()]
    assert run.code == 0
    assert {"polyglot-cli", "polyglot-core", "polyglot-openai", "polyglot-simulator"} <= set(names)
    assert names == sorted(set(names))


def test_a_shell_can_complete(command, provider):
    """Completion, which is click's own, knows commands, options and the names of connections."""
    provider("text")
    env = {"_POLYGLOT_COMPLETE": "bash_complete", "COMP_WORDS": "polyglot stream -c te", "COMP_CWORD": "3"}
    assert command.run(**env).text == "plain,test\n"
    assert "plain,stream" in command.run(**env | {"COMP_WORDS": "polyglot st", "COMP_CWORD": "1"}).text
    broken = env | {"POLYGLOT_CONFIG": "nowhere.toml"}
    run = command.run(**broken)
    assert (run.text.strip(), run.err) == ("", "")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_and_a_word_of_advice(kind):
    """Each class of error ends in its group's code, and its message or a line of its own states what to do."""
    groups = {
        3: (errors.ConfigError, errors.PluginError),
        4: (errors.ProviderError, errors.RequestError),
        5: (errors.StreamError, errors.TransportError),
        6: (errors.TimedOut,),
        1: (errors.PolyglotError,),
    }
    error = kind("What was wrong.")
    assert error_report.exit_code(error) == next(code for code, group in groups.items() if isinstance(error, group))
    advised = not isinstance(error, (errors.ConfigError, errors.PluginError)) and kind not in {
        errors.PolyglotError,
        errors.ProviderError,
        errors.StreamError,
    }
    assert bool(error_report.hint(error)) == advised


@pytest.mark.parametrize("clock", ["connect", "first", "idle", "silence", "total"])
def test_error_is_reported_in_its_own_words(clock, capsys):
    """The command prints the message and the facts of the error unchanged, and adds a hint."""
    error = errors.TimedOut("No data in 1.23 seconds.", clock, elapsed=1.234, connection="test")
    error_report.report(error)
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"Error: {error}"
    assert first.startswith("Error: No data in 1.23 seconds.")
    assert "--timeout" in second


def test_an_error_that_is_not_ours_is_not_hidden(monkeypatch):
    """A defect of the command itself keeps its traceback."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("polyglot_cli.tables.survey", broken)
    assert isinstance(CliRunner().invoke(polyglot, ["drivers"]).exception, ZeroDivisionError)


@pytest.mark.skipif(sys.platform == "win32", reason="it needs a shell's redirections")
@pytest.mark.parametrize("arguments", [["stream", "Hello"], ["drivers"], ["--version"]], ids=" ".join)
def test_a_closed_standard_output_is_an_error(command, arguments):
    """Without anywhere to write to, the command fails instead of losing its output."""
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command.arguments(*arguments)]
    run = subprocess.run(shell, capture_output=True, env=command.env, timeout=command.patience, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith(b"Error: Standard output is closed")
