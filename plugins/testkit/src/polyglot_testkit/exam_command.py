"""``polyglot check-driver``: the command that the package adds to ``polyglot``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, Preset
    from polyglot_testkit.check import ExamArguments
    from polyglot_testkit.exam import Report

__all__ = ["check_driver_command"]

_FAILED = 1


@click.command(name="check-driver")
@click.argument("name", metavar="NAME")
@click.option(
    "-r",
    "--recordings",
    metavar="SOURCE",
    help="Folder of recorded bodies, or a Python file or module with RECORDINGS. Without it, only the checks that need "
    "no recording are run.",
)
@click.option(
    "--left-out",
    "left_out",
    metavar="NAME=REASON",
    multiple=True,
    help="Feature that the driver leaves out silently, as the report names it, with the reason. Repeatable.",
)
@click.option(
    "--switch",
    metavar="FIELD",
    multiple=True,
    help="Field of the body that switches streaming on, instead of stream and stream_options. Repeatable.",
)
@click.option("--preset", is_flag=True, help="NAME is a preset, also if there is a driver of that name.")
@click.option("--exam", metavar="VERSION", help="Version of the exam whose checks count, such as 1.0.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--html", "page", type=click.Path(dir_okay=False), metavar="FILE", help="Write the report as a web page.")
def check_driver_command(  # noqa: PLR0917 (click passes them by name)
    name: str,
    recordings: str | None,
    left_out: tuple[str, ...],
    switch: tuple[str, ...],
    preset: bool,  # noqa: FBT001 (click's)
    exam: str | None,
    as_json: bool,  # noqa: FBT001 (click's)
    page: str | None,
) -> None:
    """Run the exam on a driver or a preset.

    NAME is an installed driver, an installed preset, or a module with the hooks of a driver.

    \b
    Examples:
      polyglot check-driver acme
      polyglot check-driver acme --recordings tests/recordings
      polyglot check-driver acme -r tests/recordings.py --html report.html
      polyglot check-driver polyglot_acme.driver --json
      polyglot check-driver acme-cloud --preset

    \b
    Exit codes: 0 if every check that was run passed, 1 if one failed, 2 if the command line is wrong.
    """  # noqa: D301 (click's sign for lines that stay as they are)
    # Imported here: they import the whole library, which `--help` does not need.
    from polyglot_testkit import reports  # noqa: PLC0415

    try:
        stated: ExamArguments = {"left_out": _reasons(left_out)}
        if switch:
            stated["switch"] = switch
        report = _report(name, recordings, stated, preset=preset, version=exam)
    except (ImportError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    click.echo(reports.as_json(report) if as_json else reports.as_text(report))
    if page is not None:
        Path(page).write_text(reports.as_html(report), "utf-8")
    if report.failed:
        click.get_current_context().exit(_FAILED)


def _reasons(left_out: tuple[str, ...]) -> dict[str, str]:
    """Return the reasons for what is left out.

    Raises:
        ValueError: One has no reason.
    """
    pairs = [each.rpartition("=") for each in left_out]
    if bare := [each for each, (name, _, reason) in zip(left_out, pairs, strict=True) if not (name and reason)]:
        msg = f"--left-out {bare[0]!r} has no reason; write NAME=REASON."
        raise ValueError(msg)
    return {name: reason for name, _, reason in pairs}


def _report(name: str, source: str | None, stated: ExamArguments, *, preset: bool, version: str | None) -> Report:
    """Return the report on what has a name.

    Raises:
        ValueError: Nothing has this name, the recordings cannot be read, or there is no such version of the exam.
        ImportError: The module with the recordings cannot be imported.
    """
    from polyglot_testkit.preset_exam import examine_preset, prepare_preset  # noqa: PLC0415 (as above)

    row = _preset(name)
    if preset or (row is not None and not _is_driver(name)):
        if row is None:
            msg = f"There is no preset {name!r}.{_near(name, 'polyglot.presets')}"
            raise ValueError(msg)
        if source is not None:
            msg = f"{name!r} is a preset, which needs no recordings."
            raise ValueError(msg)
        return examine_preset(prepare_preset(name, row))
    return _driver_report(name, row, source, stated, version)


def _driver_report(
    name: str, row: Preset | None, source: str | None, stated: ExamArguments, version: str | None
) -> Report:
    from polyglot_core.errors import PluginError  # noqa: PLC0415 (as above)
    from polyglot_testkit.exam import Report, Result, examine, prepare  # noqa: PLC0415
    from polyglot_testkit.given_recordings import Given, given_recordings  # noqa: PLC0415

    given = Given((), {}) if source is None else given_recordings(source)
    arguments: ExamArguments = {"connection": _connection(name, row), **given.arguments, **stated}
    arguments["left_out"] = {**(given.arguments.get("left_out") or {}), **(stated.get("left_out") or {})}
    found = "it can be imported"
    try:
        module = _module(name)
        found = "it keeps the contract"
        exam = prepare(module, given.recordings, **arguments)
    except (PluginError, ImportError, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        return Report((Result(found, "failed", why),), {}, {}, {}, None, name)
    return examine(exam, version=version)._replace(name=name)


def _is_driver(name: str) -> bool:
    from importlib.metadata import entry_points  # noqa: PLC0415 (as above)

    return bool(entry_points(group="polyglot.drivers", name=name.rpartition(":")[2]))


def _module(name: str) -> object:
    """Return the module of an installed driver, or of this name.

    Raises:
        ValueError: There is neither.
    """
    import importlib  # noqa: PLC0415 (as above)
    import importlib.util  # noqa: PLC0415

    from polyglot_testkit.preset_exam import installed_driver  # noqa: PLC0415

    if _is_driver(name):
        return installed_driver(name)
    try:
        exists = "." in name and importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        exists = False
    if not exists:
        msg = f"There is no driver, preset or module {name!r}.{_near(name, 'polyglot.drivers', 'polyglot.presets')}"
        raise ValueError(msg)
    return importlib.import_module(name)


def _near(name: str, *groups: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 (as above)
    from importlib.metadata import entry_points  # noqa: PLC0415

    names = {entry.name for group in groups for entry in entry_points(group=group)}
    near = get_close_matches(name, names, 1, cutoff=0.7)
    return f" Did you mean {near[0]!r}?" if near else ""


def _preset(name: str) -> Preset | None:
    """Return the installed preset of a name, or None."""
    from importlib.metadata import entry_points  # noqa: PLC0415 (as above)

    for entry in entry_points(group="polyglot.presets", name=name):
        rows = getattr(entry.load(), "PRESETS", {})
        found: Preset | None = rows.get(name)
        return found
    return None


def _connection(name: str, row: Preset | None) -> Connection:
    """Return the connection of the exam: with the facts of the preset of the same name, if there is one."""
    from polyglot_core.plugin import Connection  # noqa: PLC0415 (as above)

    short = name.rpartition(":")[2]
    base = "http://127.0.0.1/v1"
    if row is None:
        return Connection(name=short, driver=short, base_url=base, model="exam")
    return Connection(
        name=short,
        driver=row.driver,
        base_url=row.base_url or base,
        model=row.model or "exam",
        auth_header=row.auth_header,
        auth_scheme=row.auth_scheme,
        facts=row.facts,
    )
