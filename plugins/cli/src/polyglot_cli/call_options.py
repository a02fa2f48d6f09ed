"""The options of a call on the command line, and the request that they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import click

from polyglot_cli.parameters import Input, check_prompt
from polyglot_core import Message, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CallOptions"]


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """The options of the command line; each field is the option of that name.

    Attributes:
        given: The prompt, as argument and as piped text.

    Raises:
        click.UsageError: Two options contradict each other.
    """

    given: Input = field(default_factory=Input)
    system: str | None = None
    attachments: tuple[str, ...] = ()
    typed_attachments: tuple[tuple[str, str], ...] = ()
    connection: str | None = None
    model: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()
    schema: str | None = None
    unsupported: Literal["raise", "warn", "drop"] = "raise"
    no_stream: bool = False
    tools: tuple[str, ...] = ()
    yes: bool = False
    extract: bool = False
    as_json: bool = False
    events: bool = False
    reasoning: bool = False
    usage: bool = False
    raw: bool = False
    continued: bool = False
    conversation: str | None = None
    logged: bool | None = None
    template: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    save: str | None = None
    timeout: float | None = None
    retries: int | None = None
    fallbacks: tuple[str, ...] = ()
    resume: Literal["restart", "prefill", "provider"] | None = None
    debug: bool = False
    config: str | None = None

    def __post_init__(self) -> None:
        for wrong, problem in self._contradictions():
            if wrong:
                raise click.UsageError(problem)

    def _contradictions(self) -> Sequence[tuple[object, str]]:
        return (
            (self.events and self.as_json, "--json prints steps and --events prints events; give one of them."),
            (self.events and self.no_stream, "--events shows a stream; leave --no-stream out."),
            (self.extract and (self.as_json or self.events), "--extract prints text; leave --json and --events out."),
            (self.tools and self.events, "--events shows one response; leave --tools out, or use --json."),
            (self.tools and self.no_stream, "With --tools every response is streamed; leave --no-stream out."),
            (
                self.values and not (self.template or self.save),
                "--param is for the variables of a template; give --template.",
            ),
            (self.yes and not self.tools, "--yes is for tool calls; give --tools."),
        )

    @property
    def prompt(self) -> str:
        """Return the text of the prompt."""
        return self.given.text

    @property
    def is_prose(self) -> bool:
        """Return True if the output is text for people, and not JSON."""
        return not (self.as_json or self.events)

    @property
    def is_plain(self) -> bool:
        """Return True if nothing but a prompt is given, which any model could respond to."""
        chosen = (self.model, self.options, self.extra, self.schema, self.tools, self.fallbacks, self.resume)
        return not any((*chosen, self.attachments, self.typed_attachments, self.continued, self.conversation))

    def user_message(self) -> Message:
        """Return the message of the user: the attachments, if there are some, and the text.

        Raises:
            click.UsageError: There is neither.
            click.ClickException: An attachment cannot be read.
        """
        if not (self.attachments or self.typed_attachments):
            check_prompt(self.given)
            return Message(role="user", content=self.prompt)
        # Imported here: most prompts have no attachment.
        from polyglot_cli.attachments import parts_of  # noqa: PLC0415

        text = [Text(self.prompt)] if self.prompt else []
        return Message(role="user", content=(*parts_of(self.attachments, self.typed_attachments), *text))

    def messages(self, earlier: Sequence[Message] = ()) -> list[Message]:
        """Return the messages of the request.

        Args:
            earlier: The conversation so far. A system message of the command line replaces its own.
        """
        if self.system is not None:
            earlier = [
                Message(role="system", content=self.system),
                *(each for each in earlier if each.role != "system"),
            ]
        return [*earlier, self.user_message()]
