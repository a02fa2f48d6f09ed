"""Templates: a prompt and options under a name, as TOML files in the user's folder."""

from __future__ import annotations

import re
import string
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli.folders import own_folder, required_folder, write_private
from polyglot_cli.parameters import Input

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from polyglot_cli.call_options import CallOptions

__all__ = ["applied", "delete", "names", "read", "save", "text_of"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TEXTS = ("prompt", "system", "connection", "model", "schema")
_TABLES = ("options", "extra", "params")
_SWITCHES = ("extract",)
_INPUT = "input"
"""The variable of the text that is given with the command."""


def names() -> list[str]:
    """Return the names of all templates."""
    folder = own_folder()
    return [] if folder is None else sorted(file.stem for file in (folder / "templates").glob("*.toml"))


def read(name: str) -> dict[str, Any]:
    """Return the fields of a template.

    Raises:
        click.ClickException: There is none of this name, or it is not valid.
    """
    text = text_of(name)
    try:
        fields = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{_file(name)} is not TOML: {error}.") from error
    for key, value in fields.items():
        if problem := _problem(key, value):
            raise click.ClickException(f"{_file(name)}: {problem}")
    return fields


def text_of(name: str) -> str:
    """Return a template as it is written.

    Raises:
        click.ClickException: There is none of this name.
    """
    try:
        return _file(name).read_text("utf-8")
    except FileNotFoundError:
        known = ", ".join(names()) or 'none; `polyglot "…" --save NAME` makes one'
        raise click.ClickException(f"There is no template {name!r}. There are: {known}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"The template {name!r} cannot be read: {error}.") from error


def save(name: str, options: CallOptions) -> None:
    """Write a template with what the command line gives.

    Raises:
        click.ClickException: It cannot be written.
        click.UsageError: Nothing is given that a template could hold.
    """
    fields: dict[str, Any] = {
        "prompt": options.prompt,
        "system": options.system,
        "connection": options.connection,
        "model": options.model,
        "schema": options.schema,
        "extract": options.extract,
        "options": dict(options.options),
        "extra": dict(options.extra),
        "params": dict(options.values),
    }
    kept = {field: value for field, value in fields.items() if value}
    if not kept:
        raise click.UsageError("--save needs something to save: a prompt, --system, --model or other options.")
    import tomlkit  # noqa: PLC0415 (needed to write alone)

    try:
        text = tomlkit.dumps(kept)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"A template cannot hold this option: {error}.") from error
    file = _file(name)
    write_private(file, text)
    click.echo(f"Saved as {file}. Use it with: polyglot -t {name}", err=True)


def delete(name: str) -> None:
    """Delete a template.

    Raises:
        click.ClickException: There is none of this name.
    """
    text_of(name)
    _file(name).unlink()


def applied(options: CallOptions) -> CallOptions:
    """Return the options with what the template adds; what the command line gives comes before it.

    Raises:
        click.ClickException: There is no such template, or it is not valid.
        click.UsageError: A variable has no value, or the template has no variable of that name.
    """
    if options.template is None:
        return options
    fields = read(options.template)
    values = {**fields.get("params", {}), **dict(options.values)}
    _check_values(fields, values, options.template)
    prompt, system = fields.get("prompt"), fields.get("system")
    added: dict[str, Any] = {field: fields.get(field) for field in ("connection", "model", "schema")}
    given = options.given if prompt is None else _filled_prompt(prompt, values, options.given.text)
    return replace(
        options,
        given=given,
        system=options.system if options.system is not None or system is None else _filled(system, values),
        options=(*fields.get("options", {}).items(), *options.options),
        extra=(*fields.get("extra", {}).items(), *options.extra),
        extract=options.extract or fields.get("extract", False),
        values=(),
        template=None,
        **{field: getattr(options, field) or value for field, value in added.items()},
    )


def _filled_prompt(prompt: str, values: Mapping[str, object], given: str) -> Input:
    """Return the prompt with its variables replaced; the text given follows it unless the prompt has ``$input``."""
    if _INPUT in _variables(prompt):
        return Input(_filled(prompt, {**values, _INPUT: given}))
    return Input(_filled(prompt, values), given or None)


def _filled(text: str, values: Mapping[str, object]) -> str:
    return string.Template(text).safe_substitute(values)


def _variables(text: str) -> set[str]:
    """Return the names of the variables in a text; a dollar sign before anything else is one of the text."""
    return set(string.Template(text).get_identifiers())


def _check_values(fields: Mapping[str, Any], values: Mapping[str, object], name: str) -> None:
    used = {each for field in ("prompt", "system") for each in _variables(fields.get(field, ""))}
    missing, unknown = sorted(used - {_INPUT} - set(values)), sorted(set(values) - used)
    if unknown:
        known = ", ".join(sorted(used - {_INPUT})) or "none"
        raise click.UsageError(f"The template {name!r} has no variable {unknown[0]!r}. Its variables: {known}.")
    if missing:
        flags = " ".join(f"-p {each}=…" for each in missing)
        raise click.UsageError(f"The template {name!r} has variables without a value; give {flags}.")


def _problem(key: str, value: object) -> str:
    """Return what is wrong with a field; empty if nothing is."""
    if key in _TEXTS:
        return "" if isinstance(value, str) else f"{key} is a text."
    if key in _TABLES:
        return "" if isinstance(value, dict) else f"{key} is a table."
    if key in _SWITCHES:
        return "" if isinstance(value, bool) else f"{key} is true or false."
    return f"unknown key {key!r}. Known are {', '.join((*_TEXTS, *_TABLES, *_SWITCHES))}."


def _file(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name of a template: letters, digits, '.', '_' and '-'.")
    return required_folder() / "templates" / f"{name}.toml"
