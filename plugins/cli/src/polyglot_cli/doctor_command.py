"""``polyglot doctor``: the report as text for people, and as JSON for scripts."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from polyglot_cli.control_sequences import one_line
from polyglot_cli.doctor import Report, examine
from polyglot_cli.online import Trial, try_all
from polyglot_cli.output import Output, is_terminal, write_line
from polyglot_cli.views import as_json as json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyglot_cli.isolated import ConnectionRow, DriverRow

__all__ = ["run"]

_WIDEST = 100  # columns; longer lines are hard to read
_PIPED = 80  # columns, where there is no terminal
_LABEL = 26  # columns of the names on the left, at most

Row = tuple[str, str]
"""A name, and what there is to say about it."""


def run(config: str | None, *, as_json: bool, online: bool) -> int:
    """Print the report, and return the exit code: 1 if a problem was found, else 0.

    Args:
        config: Path of the configuration file; None is the default one.
        as_json: Print JSON.
        online: Make a small call over each connection that can be used.
    """
    report = examine(config)
    if online:
        report = report._replace(trials=_trials(report, config))
    output = Output()
    if as_json:
        output.write(json_text(report.as_json(), indent=2) + "\n")
    else:
        columns = shutil.get_terminal_size().columns if output.is_terminal else _PIPED
        bold = output.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        lines = _lines(report, min(columns, _WIDEST))
        output.write("".join(f"{click.style(line, bold=True) if head and bold else line}\n" for head, line in lines))
    return 1 if report.problems() else 0


def _trials(report: Report, config: str | None) -> list[Trial]:
    """Make the calls; on a terminal, print each when it has ended."""
    names = [row.name for row in report.found.connections if row.usable and (row.source == "file" or row.key)]
    ended: list[Trial] = []

    def show(trial: Trial) -> None:
        ended.append(trial)
        if is_terminal(sys.stderr):
            write_line(f"{len(ended)} of {len(names)} calls: {trial.connection}, {_state(trial)}")

    return try_all(names, config, show)


# As text


def _lines(report: Report, columns: int) -> Iterator[tuple[bool, str]]:
    """Yield the lines of the report, each with whether it is a heading."""
    for heading, rows in _sections(report):
        shown = list(rows)
        if not shown:
            continue
        yield True, heading
        width = min(_LABEL, max(len(name) for name, _ in shown))
        for name, text in shown:
            yield from ((False, line) for line in _wrapped(one_line(name), one_line(text), width, columns))
        yield False, ""
    problems = report.problems()
    yield True, f"{len(problems)} problem{'s' * (len(problems) != 1)} found." if problems else "No problem found."
    for number, problem in enumerate(problems, 1):
        yield from ((False, line) for line in _wrapped(f"{number}.", one_line(problem), 2, columns))


def _wrapped(name: str, text: str, width: int, columns: int) -> list[str]:
    """Return lines with the name on the left; the text is below a name that is too long."""
    start = f"  {name:<{width}}  "
    indent = " " * (width + 4)
    lines = textwrap.wrap(
        text, columns, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    if len(name) > width or not lines:
        return [start.rstrip(), *lines]
    return [start + lines[0].lstrip(), *lines[1:]]


def _sections(report: Report) -> Iterator[tuple[str, Iterable[Row]]]:
    found, file = report.found, report.file
    yield "System", [("Python", report.python["version"]), ("", report.python["path"]), ("Platform", report.platform)]
    yield "Packages", report.packages.items()
    yield "Drivers", [(row.name, _driver(row)) for row in found.drivers]
    yield "Connections", _connections(found.connections)
    yield "Calls", [(trial.connection, _state(trial)) for trial in report.trials]
    yield (
        "Other packages",
        [(f"{each.kind} {each.name}", f"{each.origin}: {each.reason or 'ok'}") for each in found.extensions],
    )
    mode = f", permissions {file.permissions}" if file.permissions else ""
    yield (
        "Settings",
        [
            ("File", f"{file.path}{mode if file.exists else ', not there'}"),
            *((name, f"is served by {package}") for name, package in file.packages.items()),
            ("Variables", ", ".join(report.variables) or "none"),
        ],
    )
    yield (
        "Network",
        [
            ("Transport", report.transport),
            *((f"Proxy, {scheme}", url) for scheme, url in report.proxies.items()),
            *(("Certificates", f"{path} ({kind})") for kind, path in report.certificates.items()),
        ],
    )


def _driver(row: DriverRow) -> str:
    state = f"{row.origin}: ok, {', '.join(row.hooks)}." if row.usable else row.reason
    return " ".join([state, *row.notes])


def _connections(rows: Iterable[ConnectionRow]) -> Iterator[Row]:
    """Yield the connections of the file and those that have a key, and the number of the others."""
    others = 0
    for row in rows:
        if row.source == "file" or (row.usable and row.key):
            key = f"the key is from {row.key}" if row.key else "no key"
            address = ", ".join(filter(None, (row.driver, row.model, row.base_url)))
            yield row.name, f"{address}; {key}{'' if row.usable else f'; cannot be used: {row.reason}'}"
        else:
            others += 1
    if others:
        yield "others", f"{others} presets and drivers without a key of yours; see polyglot connections --all"


def _state(trial: Trial) -> str:
    if trial.error:
        return f"failed: {trial.error}"
    first = "" if trial.first is None else f", first text after {trial.first:.2g} s"
    tokens = "" if trial.tokens is None else f", {trial.tokens} tokens"
    return f"ok, {trial.model or 'model unknown'}{first}{tokens}"
