"""Help, versions, completion, and the tables behind exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from polyglot_cli import error_report, packaged
from polyglot_cli.commands import polyglot
from polyglot_core import errors


def _tree(group, path=()):
    """Return every command below a group by its path, without those of other packages."""
    found = {path: group}
    context = click.Context(group)
    for name in group.list_commands(context) if isinstance(group, click.Group) else ():
        if path or name not in packaged.names():
            found |= _tree(group.get_command(context, name), (*path, name))
    return found


ALL = _tree(polyglot)
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


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_teaches_by_examples(path):
    """The help of every command begins with a sentence and fits 80 columns; that of each group shows examples."""
    done = CliRunner().invoke(polyglot, [*path, "--help"], prog_name="polyglot")
    assert done.exit_code == 0
    if len(path) < 2:
        assert "  Examples:\n    " in done.output
    assert max(map(len, done.output.splitlines())) <= 80


def test_help_is_short_and_in_sections():
    """The help of the command itself fits a screen, and lists its subcommands in sections."""
    lines = CliRunner().invoke(polyglot, ["--help"], prog_name="polyglot").output.splitlines()
    assert len(lines) <= 50
    assert [line for line in lines[1:] if line.endswith("...")] == []
    assert {"Every day:", "Setting up:", "Looking inside:"} <= set(lines)
    sections = [
        line for line in CliRunner().invoke(polyglot, ["stream", "--help"]).output.splitlines() if line[-1:] == ":"
    ]
    assert [line for line in sections if not line.startswith(" ")][-1] == "Other:"


def test_ctrl_c_while_the_command_line_is_read(monkeypatch):
    """Ctrl-C has its exit code also before a command runs, and no word is added."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(polyglot, "parse_args", interrupt)
    done = CliRunner().invoke(polyglot, ["drivers"])
    assert (done.exit_code, done.output) == (130, "")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_example_can_be_parsed(path):
    """Each example line of a command's help names options that some command has, and itself unless it is a prompt."""
    examples = [line for line in (ALL[path].help or "").splitlines() if re.match(r"  (.*\| )?polyglot ", line)]
    known = {opt for command in ALL.values() for parameter in command.params for opt in parameter.opts}
    words = {word for line in examples for word in line.partition("polyglot ")[2].split() if word.startswith("-")}
    assert words - {"-", "-j", "-r"} <= known  # the last two are jq's
    assert path in {(), ("stream",)} or all(f"polyglot {path[0]}" in line or " -" in line for line in examples)


def test_every_option_is_explained():
    """No option is listed without a word about it."""
    options = [option for command in ALL.values() for option in command.params]
    assert [option.name for option in options if isinstance(option, click.Option) and not option.help] == []


def test_no_option_takes_a_key():
    """A key on a command line could be read by everyone on the machine, so there is no option for one."""
    options = {opt for command in ALL.values() for parameter in command.params for opt in parameter.opts}
    switches = {"--keyring"}  # it takes no value
    assert not [each for each in options - switches if "key" in each or "token" in each or "secret" in each]


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
