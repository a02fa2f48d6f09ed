"""The reports of the exam, recordings from files, and the command that runs it."""

from __future__ import annotations

import html.parser
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from polyglot_cli import packaged
from polyglot_testkit import CHECKS, reference
from polyglot_testkit.exam import examine, prepare
from polyglot_testkit.given_recordings import given_recordings
from polyglot_testkit.reports import as_html, as_json, as_text

from . import mutants
from .reference_recordings import PAGES, PLAIN, REQUEST, SENT, SINGLE, TEXT

HERE = Path(__file__).parent


def report_on(module=reference, recordings=()):
    return examine(prepare(module, recordings, connection=mutants.CONNECTION, requests=[REQUEST]))


# Reports


class Page(html.parser.HTMLParser):
    """Collects the tags of a page and the addresses in it."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_as_page():
    """It is whole, has no other file, and text of the driver is escaped."""

    def encode_request(connection, request):
        raise KeyError("<script>")

    text = as_html(report_on(mutants.driver(encode_request=encode_request), SINGLE))
    page = Page()
    page.feed(text)
    assert (page.open, page.addresses) == ([], [])
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "prefers-color-scheme: dark" in text


def test_report_as_text_and_json():
    """Both have the checks, what was not seen, the hooks and the cost."""
    report = report_on(recordings=SINGLE)
    text, fields = as_text(report), json.loads(as_json(report))
    assert "THIN RECORDINGS" in text
    assert "times as long as the reference driver" in text
    assert fields["passed"] is True
    assert {check["name"] for check in fields["checks"]} == set(CHECKS)
    assert fields["thin"]["a tool call"]
    assert fields["hooks"]["encode_resume"] == "run"
    assert set(fields["microseconds_per_chunk"]) == {"driver", "reference"}


# The command


def command(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(packaged.load("check-driver"), arguments)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with recordings of the reference driver's dialect."""
    files = {
        "text.sse": TEXT,
        "text.json": PLAIN,
        "text.sent.json": json.dumps({**SENT, "model": "exam"}).encode(),
        "text.expect.json": b'{"content": "Hello, garden.", "tool_calls": []}',
        "busy.503.json": b'{"error": {"message": "Busy.", "code": "overloaded"}}',
        "models.1.json": PAGES[0],
        "models.2.json": PAGES[1],
    }
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    return tmp_path


def test_recordings_of_a_folder(folder):
    """The names state what the files are."""
    given = given_recordings(str(folder))
    by_name = {recording.name: recording for recording in given.recordings}
    assert set(by_name) == {"text.sse", "text.json", "busy.503.json"}
    assert (by_name["text.sse"].same_as, by_name["text.sse"].streamed) == ("text.json", True)
    assert by_name["text.sse"].sent["model"] == "exam"
    assert by_name["text.json"].expect["content"] == "Hello, garden."
    assert (by_name["busy.503.json"].status, by_name["busy.503.json"].fails) == (503, True)
    assert given.arguments == {"models": PAGES}


def test_command_with_recordings(folder, tmp_path):
    """A sound driver gives exit code 0, and the page is written."""
    page = tmp_path / "report.html"
    run = command("polyglot_testkit.reference", "--recordings", str(folder), "--html", str(page))
    assert run.exit_code == 0, run.output
    assert "polyglot_testkit.reference passed:" in run.output
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_command_without_recordings():
    """The checks that need one are named as not run."""
    run = command("polyglot_testkit.reference", "--json")
    assert run.exit_code == 0
    report = json.loads(run.output)
    assert report["hooks"]["decode_chunk"] == "not run: there is no recording"
    assert {"not run", "passed"} == {check["state"] for check in report["checks"]}


def test_command_with_a_module_of_recordings():
    """The module may have further arguments of `check_driver`."""
    run = command("polyglot_testkit.reference", "-r", str(HERE / "reference_recordings.py"), "--json")
    assert run.exit_code == 0, run.output
    assert json.loads(run.output)["hooks"]["decode_chunk"] == "run"


WRONG_DRIVER = """
from polyglot_core.plugin import Usage, hookimpl, json_request
@hookimpl
def encode_request(connection, request):
    return json_request(f"{connection.base_url}/x?key={connection.secret.reveal()}", {}, stream=request.stream)
@hookimpl
def decode_chunk(chunk): return []
@hookimpl
def extract_usage(payload): return Usage()
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (WRONG_DRIVER, "FAILED   no request shows the key"),
        ("import sys; sys.exit(3)", "FAILED   it can be imported\n         SystemExit: 3"),
        ("import nothing_of_this_name", "FAILED   it can be imported\n         ModuleNotFoundError"),
        ("x = 1", "FAILED   it keeps the contract"),
    ],
)
def test_command_on_a_wrong_driver(text, why, tmp_path, monkeypatch):
    """A failed check, an import that fails and a module without hooks give exit code 1."""
    package = tmp_path / f"wrong_{abs(hash(text))}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "driver.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = command(f"{package.name}.driver")
    assert run.exit_code == 1, run.output
    assert why in run.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("opnai",), "There is no driver, preset or module 'opnai'. Did you mean 'openai'?"),
        (("no.such.module",), "There is no driver, preset or module 'no.such.module'."),
        (("groqq", "--preset"), "There is no preset 'groqq'. Did you mean 'groq'?"),
        (("groq", "-r", "."), "'groq' is a preset, which needs no recordings."),
        (("ollama", "-r", "no_such_module"), "No module named 'no_such_module'"),
        (("ollama", "-r", "no_such_file.py"), "There is no Python file no_such_file.py."),
        (("ollama", "-r", "json"), "json has no RECORDINGS"),
        (("ollama", "--exam", "7.0"), "There is no version '7.0' of the exam"),
        (("ollama", "--left-out", "Audio"), "--left-out 'Audio' has no reason; write NAME=REASON."),
        ((), "Missing argument 'NAME'"),
    ],
)
def test_command_line_that_is_wrong(arguments, why):
    """The exit code is 2, and the message states what to write."""
    run = command(*arguments)
    assert run.exit_code == 2
    assert why in run.output


def test_command_on_installed_drivers_and_presets():
    """A preset is examined with its driver, and a driver with the facts of the preset of its name."""
    assert command("ollama").exit_code == 0
    assert command("groq").exit_code == 0
    left_out = "Reasoning with signature=the API takes no thinking of earlier turns"
    assert command("openai", "--left-out", left_out).exit_code == 0
    assert "the row is a preset" in command("openai", "--preset").output


def test_the_help_of_the_command_imports_nothing_heavy():
    """`polyglot --help` loads each command, and must not wait for the core."""
    code = (
        "import sys, polyglot_testkit.exam_command; "
        "print([name for name in sys.modules if name.startswith(('polyglot_core', 'httpx', 'msgspec', 'pytest'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert run.stdout.strip() == "[]"
