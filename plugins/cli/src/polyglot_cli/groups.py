"""Groups of commands with a default one, and help whose options stand in sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DefaultGroup", "SectionedCommand", "in_section"]


_OTHER = "Other"
"""The last section."""


class _SectionedOption(click.Option):
    """An option that the help lists in a section.

    Attributes:
        section: Heading of the section.
    """

    def __init__(self, *args: Any, section: str = _OTHER, **settings: Any) -> None:  # noqa: ANN401 (click's)
        super().__init__(*args, **settings)
        self.section = section


def in_section(section: str, *names: str, **settings: Any) -> Callable[[Any], Any]:  # noqa: ANN401 (click's)
    """Return a decorator that adds an option to a command, in a section of its help."""
    return click.option(*names, cls=_SectionedOption, section=section, **settings)


class SectionedCommand(click.Command):
    """A command whose help lists its options in sections, in the order in which they first appear."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "section", _OTHER), []).append(record)
        if _OTHER in sections:
            sections[_OTHER] = sections.pop(_OTHER)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class DefaultGroup(click.Group):
    """A group that runs one of its subcommands if the command line names none.

    Attributes:
        default: Name of that subcommand.
    """

    default: ClassVar[str] = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, with the name of the default subcommand put before what is not for another."""
        if self.is_for_default(ctx, args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def is_for_default(self, ctx: click.Context, args: list[str]) -> bool:
        """Return True if the arguments are those of the default subcommand."""
        if not args:
            return True
        first = args[0]
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if first in own:
            return False
        return first.startswith("-") or not self.has_command(ctx, first)

    def has_command(self, ctx: click.Context, name: str) -> bool:
        """Return True if a subcommand has this name."""
        return self.get_command(ctx, name) is not None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the default subcommand, those of the group, and the subcommands."""
        command = self.commands[self.default]
        records = [
            record
            for parameter in command.params
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
        ]
        if records:
            with formatter.section(f"Options of {self.default}, the default"):
                formatter.write_dl(records)
        super().format_options(ctx, formatter)
