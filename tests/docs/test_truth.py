"""Names, fields, codes and commands in the pages match the code."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib.metadata import entry_points
from typing import get_args

import click
import pytest

import polyglot_core
import polyglot_core.errors
import polyglot_core.plugin
import polyglot_simulator
from polyglot_cli import packaged
from polyglot_cli.commands import polyglot
from polyglot_cli.error_report import EXIT_CODES
from polyglot_core import FinishReason, Inference, Retries, TimedOut, Timeouts, hookspecs
from polyglot_core._attempt.lifecycle import Signal, State
from polyglot_core._config.resolve import ENVIRONMENT_FIELDS
from polyglot_core._drivers.discovery import load_preset
from polyglot_core._engine.retry_policy import Fallback, RetryState, decide
from polyglot_core._values.events import Event
from polyglot_core._values.options import NAMES
from polyglot_core._values.parts import Part
from polyglot_core._values.response import Outcome
from polyglot_core._wire.framings import FRAMERS
from polyglot_simulator import (
    ByteAtATime,
    Comments,
    ContentType,
    Cut,
    Drop,
    ErrorEvent,
    Fault,
    Garbage,
    Gzip,
    LeaveOpen,
    Reset,
    Simulator,
    SlowHeaders,
    Stall,
    Status,
)

from .pages import CHECKOUT, DOCS, PACKAGES, PAGES, README, blocks, named, prose, table

DOORS = (polyglot_core, polyglot_core.plugin, polyglot_core.errors)
ERRORS = {
    name: kind
    for name in polyglot_core.errors.__all__
    if isinstance(kind := getattr(polyglot_core.errors, name), type) and kind is not polyglot_core.PolyglotError
}
HOOKS = [
    hook for hook in vars(hookspecs).values() if inspect.isfunction(hook) and hook.__module__ == hookspecs.__name__
]
FAULTS = [
    Cut(after_events=2),
    Drop(after_events=2),
    Reset(after_events=2),
    Stall(after_events=2),
    ErrorEvent(after_events=2),
    Status(503),
    ContentType("text/html", body="<p>Hello</p>"),
    Comments(0.001, 3),
    Garbage(after_events=2),
    ByteAtATime(),
    SlowHeaders(0.0001),
    LeaveOpen(),
    Gzip(),
]
PAGES_TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)


def test_the_generated_parts_are_up_to_date():
    """Check that generated pictures and tables are up to date."""
    command = [sys.executable, str(DOCS / "generate.py"), "--check"]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert run.returncode == 0, f"{run.stdout}{run.stderr}; run python docs/generate.py"


def test_the_commands_of_the_readme_are_those_that_are_run():
    """The README's two commands: one installs what a first stream needs, the other is what the project itself runs."""
    install, check = (block.text.strip() for block in blocks(README, "sh"))
    folders = "./core ./plugins/openai ./plugins/simulator ./plugins/cli"
    assert install == (
        f'python3 -m venv .venv && .venv/bin/python -m pip install {folders} && .venv/bin/polyglot -c simulator "Hello"'
    )
    assert check in (CHECKOUT / ".ci/run").read_text("utf-8").splitlines()
    windows = README.read_text("utf-8")
    assert rf"pip install {folders}; .venv\Scripts\polyglot" in windows


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    """Check that every relative link has a file of the checkout, and every anchor a heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in headings(file), target


def headings(page):
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=named)
def test_every_page_is_linked(page):
    """Check that every page is reachable from the index or the README."""
    if page == DOCS / "index.md":
        return
    starts = [README, *DOCS.rglob("index.md")]
    assert page.resolve() in {target for start in starts for target in linked(start)}


def linked(page):
    """Return the files that a page links to."""
    targets = re.findall(r"\]\(([^)#\s]+)", prose(page))
    return [(page.parent / target).resolve() for target in targets]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_public_name_is_on_a_page(door):
    """Check that every public name is mentioned on some page."""
    assert [name for name in door.__all__ if not re.search(rf"\b{name}\b", PAGES_TEXT)] == []


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
@pytest.mark.parametrize("page", ["drivers.md", "architecture.md"])
def test_every_hook_is_described_with_its_arguments(hook, page):
    """A hook stands on the page as ``name(arguments)``, exactly as the contract has it."""
    shown = f"{hook.__name__}({', '.join(inspect.signature(hook).parameters)})"
    assert f"`{shown}`" in (DOCS / page).read_text("utf-8")


def test_no_hook_is_described_that_there_is_not():
    """The headings of the contract are the hooks, in the order of the contract."""
    found = re.findall(r"^### `(\w+)\(", (DOCS / "drivers.md").read_text("utf-8"), re.MULTILINE)
    assert found == [hook.__name__ for hook in HOOKS]


def test_every_event_is_there_with_its_fields():
    """The page on drivers shows how each event is made, in the order of the contract."""
    shown = re.findall(r"^#### `(\w+)\((.*)\)`", (DOCS / "drivers.md").read_text("utf-8"), re.MULTILINE)
    made = [(kind.__name__, ", ".join(inspect.signature(kind).parameters)) for kind in get_args(Event)]
    assert [(name, re.sub(r"=[^,]+", "", fields)) for name, fields in shown] == made


def test_the_reasons_of_a_finish_are_all_there():
    """The page on drivers names every word that a `Finish` may have."""
    (row,) = re.findall(r"^\| `reason` \|(.*)$", (DOCS / "drivers.md").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"`(\w+)`", row.partition(":")[2]) == [reason.value for reason in FinishReason]


def test_the_framings_are_those_that_the_core_knows():
    """The page on drivers names every framing that has a row in the core."""
    (row,) = (row for row in table(DOCS / "drivers.md", "its field") if row[0] == "`framing`")
    assert set(re.findall(r'"([\w-]+)"', row[1])) == set(FRAMERS)


def test_every_part_has_a_row():
    """The table of parts names each kind of part, and no other."""
    names = {row[0].strip("`") for row in table(DOCS / "requests.md", "part")}
    assert names == {kind.__name__ for kind in get_args(Part)}


def test_the_options_are_those_that_drivers_translate():
    """The table of options has each option with its meaning."""
    shown = {row[0].strip("`"): row[1] for row in table(DOCS / "requests.md", "option")}
    assert shown == NAMES


def test_the_arguments_of_a_call_are_those_of_the_code():
    """The table of what `create` takes has every argument, in its order."""
    shown = [row[0].strip("`") for row in table(DOCS / "requests.md", "argument")]
    _, *parameters, _ = inspect.signature(Inference.create).parameters  # self, and names that are refused
    assert shown == parameters


def test_every_installed_driver_and_preset_has_a_row():
    """Whatever the project's own packages offer by entry points is on the page, as it is, and leads to more."""
    ours = {f"polyglot_{package.name}" for package in PACKAGES}
    for group, heading in (("polyglot.drivers", "driver"), ("polyglot.presets", "preset")):
        shown = {re.search("`(.+?)`", row[0])[1]: row for row in table(DOCS / "providers.md", heading)}
        found = [point for point in entry_points(group=group) if point.module.partition(".")[0] in ours]
        assert found
        for point in found:
            row = shown[point.name]
            assert f"[`{point.name}`](providers/" in row[0]
            if heading == "preset":
                preset = point.load().PRESETS[point.name]
                values = (
                    preset.driver,
                    preset.api_key_env or "–",
                    preset.model or "–",
                    preset.base_url or "per account",
                )
                assert tuple(cell.strip("`") for cell in row[1:]) == values


def test_the_table_of_errors_is_that_of_the_code():
    """Every error class has a row, with its own retryability and the exit code that the command gives it."""
    rows = {row[0].strip("`"): row for row in table(DOCS / "errors.md", "class")}
    assert set(rows) == set(ERRORS)
    for name, kind in ERRORS.items():
        code = next(EXIT_CODES[base] for base in kind.__mro__ if base in EXIT_CODES)
        error = kind("x", "first") if kind is TimedOut else kind("x")
        decision = decide(error, RetryState(attempts=9, others=True), Retries())
        elsewhere = "yes" if isinstance(decision, Fallback) else "no"
        assert rows[name][2:5] == ["yes" if kind.retryable else "no", elsewhere, str(code)], name


def test_every_error_has_an_anchor():
    """Each class of error has a heading, so that a link can lead to it, in the order of the table but for the root."""
    section = (DOCS / "errors.md").read_text("utf-8").partition("## Error by error\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE)[1:] == [
        row[0].strip("`") for row in table(DOCS / "errors.md", "class")
    ]


def test_a_term_of_the_index_leads_to_one_section():
    """Terms that the search lists first are in small letters, as queries are compared, and each is on one page."""
    found = [re.findall(r"^<!-- index: (.+) -->$", page.read_text("utf-8"), re.MULTILINE) for page in PAGES]
    terms = [term for comments in found for comment in comments for term in comment.split("; ")]
    assert len(terms) > 100
    assert all(term == term.lower().strip() for term in terms)
    assert [term for term in set(terms) if terms.count(term) > 1] == []


def test_the_exit_codes_are_those_of_the_help():
    """The page on errors and the help of the command list the same exit codes."""
    listed = {row[0] for row in table(DOCS / "errors.md", "code")}
    help_text = click.Context(polyglot, info_name="polyglot").get_help()
    codes = help_text.partition("Exit codes:")[2].partition("Options:")[0]
    assert listed == set(re.findall(r"\b\d+\b", codes))
    assert {str(code) for code in EXIT_CODES.values()} <= listed


def test_the_outcomes_are_all_there():
    """README and the page on errors name every outcome."""
    words = {outcome.value for outcome in Outcome}
    assert {row[0].strip("`") for row in table(DOCS / "errors.md", "outcome")} == words
    assert all(f"`{word}`" in README.read_text("utf-8") for word in words)


def test_states_and_signals_are_all_explained():
    """The life of a stream is drawn from the code; the words in it are all explained beside it."""
    page = DOCS / "architecture.md"
    assert [row[0].strip("`") for row in table(page, "state")] == [state.value for state in State]
    assert [row[0].strip("`") for row in table(page, "signal")] == [signal.value for signal in Signal]


def test_the_faults_are_those_of_the_simulator():
    """The tables of faults, on the page and in the package's README, have a row for each fault."""
    offered = (getattr(polyglot_simulator, name) for name in polyglot_simulator.__all__)
    faults = {kind.__name__ for kind in offered if issubclass(kind, Fault)} - {"Fault"}
    for page in (DOCS / "testing.md", CHECKOUT / "plugins/simulator/README.md"):
        assert {re.match(r"`(\w+)", row[0])[1] for row in table(page, "fault")} == faults


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_fault_is_met_as_the_page_says(fault):
    """The result of a fault is the one in its row: the response, or an error of that class."""
    rows = {row[0].strip("`"): row[2] for row in table(DOCS / "testing.md", "fault")}
    expected = re.findall(r"`(\w+)`", rows[type(fault).__name__])
    with Simulator("One two three.", fault=fault) as simulator:
        connection = simulator.connection.with_changes(timeouts=Timeouts(idle=0.2))
        pending = Inference.from_connection(connection).create("Count.", stream=True)
        if rows[type(fault).__name__].startswith("the response"):
            assert pending.text() == "One two three."
        else:
            with pytest.raises(ERRORS[expected[0]]):
                pending.text()


def test_the_options_are_those_of_the_command():
    """The page on the command names every option of every command, and no other."""
    page = (DOCS / "command.md").read_text("utf-8")
    shown = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", page))
    known = {"-h", "--help"} | _options(polyglot)
    assert shown - {"-j", "-r"} == known  # these are options of jq
    readme = (CHECKOUT / "plugins/cli/README.md").read_text("utf-8")
    assert set(re.findall(r"`(--?[a-zA-Z][\w-]*)", readme)) <= known
    assert set(re.findall(r"^## polyglot (\w+)", page, re.MULTILINE)) == set(_subcommands(polyglot))


def _subcommands(group):
    """Return the subcommands of a group by name, without those of other packages."""
    names = set(group.list_commands(click.Context(group))) - set(packaged.names())
    return {name: group.get_command(click.Context(group), name) for name in names}


def _options(command):
    found = {
        name
        for option in command.params
        for name in (*option.opts, *option.secondary_opts)
        if isinstance(option, click.Option)
    }
    return found.union(*map(_options, _subcommands(command).values() if isinstance(command, click.Group) else ()))


def test_the_environment_variables_are_those_of_the_code():
    """Every ``POLYGLOT_…`` variable that the code reads is in the configuration page, and no other is anywhere."""
    code = "\n".join(file.read_text("utf-8") for package in PACKAGES for file in (package / "src").rglob("*.py"))
    variables = set(re.findall(r'"(POLYGLOT_[A-Z]+)"', code))
    made_of_names = {f"POLYGLOT_NAME_{field.upper()}" for field in ENVIRONMENT_FIELDS}
    page = set(re.findall(r"POLYGLOT_[A-Z_]+", (DOCS / "configuration.md").read_text("utf-8")))
    assert page == variables | made_of_names
    shown = set(re.findall(r"(?<!_)POLYGLOT_[A-Z0-9_]+", PAGES_TEXT))  # _POLYGLOT_COMPLETE is click's
    of_connections = {name for name in shown if name.endswith(("_MODEL", "_BASE_URL", "_API_KEY"))}
    assert shown - of_connections <= page


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_speaks_of_the_project_alone(page):
    """Check that no page contains a path of a machine, a key, or a placeholder."""
    text = page.read_text("utf-8")
    assert re.findall(r"/(?:work|tmp|home|root|Users)/|sk-\w{8}|TODO|TBD|FIXME", text) == []


def test_the_readme_is_short():
    """Check that the README has at most 200 lines."""
    assert len(README.read_text("utf-8").splitlines()) <= 200


def test_decisions_are_numbered_without_a_gap():
    """Decision pages are numbered from 1 on, and title and index carry the number."""
    pages = sorted((DOCS / "decisions").glob("0*.md"))
    index = (DOCS / "decisions/index.md").read_text("utf-8")
    for number, page in enumerate(pages, 1):
        assert page.name.startswith(f"{number:04}-")
        title = re.match(rf"# {number}\. (.+)\n", page.read_text("utf-8"))[1]
        assert f"{number}. [{title}]({page.name})" in index
        assert all(f"**{part}" in page.read_text("utf-8") for part in ("What", "Why", "Given up"))
        assert re.search(
            r"^Date: \d{4}-\d\d-\d\d\. Status: (accepted|superseded by \d+)\.$", page.read_text("utf-8"), re.MULTILINE
        )


def test_names_to_migrate_to_are_presets():
    """Each connection that the page on migration names instead of another one exists, with that variable for its key."""
    for old, new, variable in table(DOCS / "migration.md", "PHP preset"):
        preset = load_preset(re.findall(r"`([\w-]+)`", new)[0])
        assert preset is not None, old
        assert preset.api_key_env == (None if variable == "–" else variable.strip("`")), old
