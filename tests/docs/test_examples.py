"""The examples of the pages run, with the simulator as the provider."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import types

import pytest

from polyglot_cli.script import read_script
from polyglot_core._config.config_file import read_settings
from polyglot_core._config.resolve import resolve
from polyglot_core._drivers.discovery import load_driver
from polyglot_core.plugin import InferenceRequest, Message
from polyglot_testkit import CHECKS, DriverHarness, Recording
from polyglot_testkit.exam import examine, prepare

from .pages import DOCS, PAGES, README, blocks, named, with_blocks

KINDS = {
    ("python",),  # run, one after the other, as one program
    ("python", "test"),  # a file of tests
    ("python", "notest"),  # needs something that is not installed here
    *((kind, "tutorial") for kind in ("python", "console", "json", "text", "toml")),  # run in order, by `test_tutorial`
    ("html",),  # shown in a browser, by `tox -e browser`
    ("toml",),  # a configuration
    ("toml", "script"),  # a script of the simulator
    ("toml", "pyproject"),  # a part of a package's metadata
    ("sh",),  # compared with what the checks of the project run
    ("console",),  # commands after a dollar sign, which are run
    ("console", "notest"),  # do not end by themselves
    ("mermaid",),
    (),  # pictures
}

GROUPS = {
    f"polyglot.{name}" for name in ("drivers", "formats", "presets", "transports", "observers", "admission", "commands")
}


@pytest.fixture
def program():
    """A module for a page's code to be in, as a program would be one."""
    module = types.ModuleType("page")
    sys.modules["page"] = module
    yield module
    del sys.modules["page"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_is_of_a_kind_that_is_checked(page):
    """Every fence has words that a test knows, and no page leaves out more of its Python than it runs."""
    words = [block.words for kind in KINDS for block in blocks(page, *kind)]
    assert len(words) == page.read_text("utf-8").count("\n```") // 2
    assert words.count(("python", "notest")) <= words.count(("python",)) + words.count(("python", "test"))


@pytest.mark.parametrize("page", with_blocks("python"), ids=named)
def test_the_code_of_a_page_runs(page, provider, program):
    """The Python blocks of a page, one after the other, are a program that runs without an error."""
    for block in blocks(page, "python"):
        exec(compile(block.padded, str(page), "exec", dont_inherit=True), program.__dict__)  # noqa: S102 (our own pages)


def test_the_first_example_of_the_readme_runs_without_a_key(nowhere, program, capsys):
    """It prints a story and then its finish reason, in ten lines, without a configuration."""
    first, *_ = blocks(README, "python")
    exec(compile(first.padded, str(README), "exec", dont_inherit=True), program.__dict__)  # noqa: S102 (our own page)
    assert capsys.readouterr().out.startswith("Once upon a time a fox looked up at the stars.stop Usage(")
    assert len(first.text.splitlines()) == 10


ACME = [
    Recording(
        name="a stream",
        body=b'data: {"say": "Hel"}\n\ndata: {"say": "lo."}\n\n'
        b'data: {"because": "all said", "tally": {"read": 3, "written": 2}}\n\n',
        same_as="a plain answer",
    ),
    Recording(
        name="a plain answer",
        body=b'{"say": "Hello.", "because": "all said", "tally": {"read": 3, "written": 2}}',
        streamed=False,
    ),
    Recording(name="a refusal", body=b'{"error": {"code": "busy"}}', status=503, fails=True, code="busy"),
]


def test_the_driver_of_the_readme_passes_the_exam(provider, program, capsys):
    """The provider that the README shows drops nothing, ends honestly, and passes every other check that there is."""
    (block,) = (block for block in blocks(README, "python") if "def encode_request" in block.text)
    exec(compile(block.padded, str(README), "exec", dont_inherit=True), program.__dict__)  # noqa: S102 (our own page)
    assert capsys.readouterr().out == "Hello."
    assert DriverHarness(program, base_url="https://acme.example").decode(ACME[0].body).response.finish_reason == "stop"
    nothing_to_check = {  # it has none of them
        "details can be read",
        "follow up requests receive the response",
        "work is cancelled by what identifies it",
        "broken tool calls go back as objects",
        "the list of models is read",
        "authorize adds credentials alone",
        "id and model are those of the wire",
        "prefill continues the text",
        "recorded requests are encoded",
        "recordings decode to what they state",
        "resume names the response",
        "the finish reason is that of the wire",
        "tool calls are whole",
    }
    report = examine(prepare(program, ACME))
    assert not report.failed
    assert set(report.skipped) == nothing_to_check
    assert set(report.passed) == set(CHECKS) - nothing_to_check


@pytest.mark.parametrize("page", with_blocks("python", "test"), ids=named)
def test_the_tests_of_a_page_pass(page, nowhere):
    """Test functions that a page shows pass under pytest."""
    files = [nowhere / f"test_page_{number}.py" for number, _ in enumerate(blocks(page, "python", "test"))]
    for file, block in zip(files, blocks(page, "python", "test"), strict=True):
        file.write_text(block.text, "utf-8")
    # One process for all of them: a start takes longer than the tests.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    run = subprocess.run([*command, *map(str, files)], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("page", with_blocks("toml"), ids=named)
def test_a_configuration_that_is_shown_is_understood(page, nowhere):
    """Every configuration on a page is read by the strict reader, and has connections in it."""
    for block in blocks(page, "toml"):
        file = nowhere / "polyglot.toml"
        file.write_text(block.text, "utf-8")
        assert read_settings(file).entries


@pytest.mark.parametrize("page", sorted((DOCS / "providers").glob("*.md")), ids=named)
def test_a_configuration_of_a_provider_is_all_that_a_request_needs(page, nowhere):
    """With a key, every connection on a provider's page has an address and a model, and its driver can be asked."""
    for block in blocks(page, "toml"):
        file = nowhere / "polyglot.toml"
        file.write_text(block.text, "utf-8")
        for name in read_settings(file).entries:
            connection = resolve(name, config=file, api_key="test-key")
            turns = (Message(role="user", content="Hello."),)
            request = InferenceRequest(model=connection.model, messages=turns, options=connection.options)
            wire = load_driver(connection.driver).bind(connection).encode(request)
            assert connection.model
            assert wire.url.startswith(("https://", "http://localhost", "http://SERVER"))


@pytest.mark.parametrize("page", with_blocks("toml", "script"), ids=named)
def test_a_script_that_is_shown_is_understood(page, nowhere):
    """Every script of the simulator on a page is read by the command's strict reader."""
    for block in blocks(page, "toml", "script"):
        file = nowhere / "script.toml"
        file.write_text(block.text, "utf-8")
        assert read_script(str(file)).replies


@pytest.mark.parametrize("page", with_blocks("toml", "pyproject"), ids=named)
def test_an_entry_point_that_is_shown_is_in_a_group_that_is_looked_at(page):
    """Every piece of a ``pyproject.toml`` on a page names entry-point groups of core or of the command."""
    for block in blocks(page, "toml", "pyproject"):
        groups = set(tomllib.loads(block.text)["project"]["entry-points"])
        assert groups <= GROUPS


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are written for a POSIX shell")
@pytest.mark.parametrize("page", with_blocks("console"), ids=named)
def test_a_command_that_is_shown_succeeds(page, provider, shell):
    """Every command line after a dollar sign ends with exit code 0."""
    lines = [line for block in blocks(page, "console") for line in block.text.splitlines()]
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    assert commands
    for command in commands:
        shell_command = ["sh", "-c", command]
        run = subprocess.run(shell_command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        assert run.returncode == 0, (command, run.stderr.decode())
