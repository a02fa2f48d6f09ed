"""``polyglot templates``: prompts and options under a name."""

from __future__ import annotations

import click

from polyglot_cli.groups import DefaultGroup
from polyglot_cli.parameters import complete_template

__all__ = ["templates"]


@click.group(cls=DefaultGroup, short_help="Prompts and options under a name.")
def templates() -> None:
    """List, show and delete templates: a prompt and options under a name.

    \b
    Examples:
      polyglot -s "Translate into $language." --save translate
      polyglot -t translate -p language=French "Good morning"
      git diff | polyglot -t review
      polyglot templates
      polyglot templates show translate

    $NAME in the prompt or the system message is a variable, and $input is the text given with the command, which
    otherwise follows the prompt. Templates are TOML files that you may edit, in the folder `polyglot templates path`.
    """  # noqa: D301 (click's sign for lines that stay as they are)


@templates.command(name="list")
def list_templates() -> None:
    """List the templates, one a line, with their first words."""
    from polyglot_cli import templates as stored  # noqa: PLC0415 (needed when it runs)
    from polyglot_cli.control_sequences import one_line  # noqa: PLC0415 (as above)

    names = stored.names()
    if not names:
        click.echo('There is no template; `polyglot "…" --save NAME` makes one.', err=True)
    width = max(map(len, names), default=0)
    for name in names:
        fields = stored.read(name)
        words = one_line(" · ".join(filter(None, (fields.get("system"), fields.get("prompt")))))
        click.echo(f"{name:<{width}}  {words[: max(76 - width, 20)]}".rstrip())


@templates.command()
@click.argument("name", shell_complete=complete_template)
def show(name: str) -> None:
    """Print a template as it is written."""
    from polyglot_cli import templates as stored  # noqa: PLC0415 (needed when it runs)

    click.echo(stored.text_of(name), nl=False)


@templates.command()
@click.argument("name", shell_complete=complete_template)
def delete(name: str) -> None:
    """Delete a template."""
    from polyglot_cli import templates as stored  # noqa: PLC0415 (needed when it runs)

    stored.delete(name)


@templates.command()
def path() -> None:
    """Print the folder of the templates."""
    from polyglot_cli.folders import required_folder  # noqa: PLC0415 (needed when it runs)

    click.echo(required_folder() / "templates")
