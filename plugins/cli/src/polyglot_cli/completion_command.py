"""``polyglot completion``: completion of commands, options and connections in a shell."""

from __future__ import annotations

import os
from pathlib import Path

import click

from polyglot_cli.folders import required_folder

__all__ = ["completion"]

_SHELLS = ("bash", "zsh", "fish")
_MARK = "# completion of polyglot"
_ZSH_START = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"
"""Loads zsh's own functions, which the script calls."""


@click.group()
def completion() -> None:
    """Complete commands, options and connections with the Tab key.

    \b
    Examples:
      polyglot completion install
      polyglot completion install fish
      polyglot completion show bash > polyglot.bash
    """  # noqa: D301 (click's sign for lines that stay as they are)


@completion.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def install(shell: str | None) -> None:
    """Install completion for a shell: the one that the variable SHELL names, unless another is given.

    The script is written into your own folder, and a line that reads it is added to .bashrc or .zshrc. fish needs none.
    """
    chosen = shell or _current()
    script, start = _files(chosen)
    try:
        changed = _written(script, _script(chosen) + "\n")
        if start is not None:
            changed = _with_line(start, f"[ -f '{script}' ] && . '{script}'  {_MARK}\n") or changed
    except OSError as error:
        raise click.ClickException(f"{error.filename} cannot be written: {error.strerror}.") from error
    state = "is installed: " if changed else "was installed already: "
    click.echo(f"Completion for {chosen} {state}{script}. Open a new shell to use it.", err=True)


@completion.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
def show(shell: str | None) -> None:
    """Print the completion script of a shell."""
    click.echo(_script(shell or _current()))


def _current() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in _SHELLS:
        raise click.UsageError(
            f"The shell {name or 'of this terminal'!r} is not known; name one: {', '.join(_SHELLS)}."
        )
    return name


def _files(shell: str) -> tuple[Path, Path | None]:
    """Return the file of the script, and the file that the shell reads at its start; None if it finds the script."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path.home raises where there is none)
    if not home.is_absolute():
        raise click.ClickException("There is no home folder; use `polyglot completion show SHELL`.")
    if shell == "fish":
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        return folder / "fish" / "completions" / "polyglot.fish", None
    start = home / ".bashrc" if shell == "bash" else Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
    return required_folder() / f"completion.{shell}", start


def _written(file: Path, text: str) -> bool:
    """Write a file; return False if it has this text already."""
    if file.exists() and file.read_text("utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return True


def _with_line(file: Path, line: str) -> bool:
    """Append a line to a file; return False if it is there already."""
    before = file.read_text("utf-8") if file.exists() else ""
    if line in before:
        return False
    gap = "" if not before or before.endswith("\n") else "\n"
    with file.open("a", encoding="utf-8") as opened:
        opened.write(gap + line)
    return True


def _script(shell: str) -> str:
    from click.shell_completion import get_completion_class  # noqa: PLC0415 (needed here alone)

    from polyglot_cli.commands import polyglot  # noqa: PLC0415 (it imports this module)

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"There is no completion for {shell}.")
    script = kind(polyglot, {}, "polyglot", "_POLYGLOT_COMPLETE").source()
    return _ZSH_START + script if shell == "zsh" else script
