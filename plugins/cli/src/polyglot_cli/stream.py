"""``polyglot stream``: one call, shown while it comes."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from polyglot_cli import interrupts
from polyglot_cli.output import Output, is_terminal, say
from polyglot_cli.reporting import print_debug, print_notes, print_usage
from polyglot_cli.unread import mention_unread_file
from polyglot_cli.views import EventView, PartialView, TextView
from polyglot_cli.waiting import Waiting
from polyglot_core import ConfigError, Inference, Message, PolyglotError
from polyglot_core.errors import NoDefault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_cli.views import View
    from polyglot_core import InferenceResponse, PendingInference
    from polyglot_core.events import Seam

__all__ = ["Asked", "answer"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks for; each field is the option of that name.

    Raises:
        click.UsageError: Two options contradict each other.
    """

    prompt: str
    connection: str | None = None
    model: str | None = None
    system: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()
    unsupported: Literal["raise", "warn", "drop"] = "raise"
    no_stream: bool = False
    as_json: bool = False
    events: bool = False
    reasoning: bool = False
    usage: bool = False
    timeout: float | None = None
    retries: int | None = None
    fallbacks: tuple[str, ...] = ()
    resume: Literal["restart", "prefill", "provider"] | None = None
    raw: bool = False
    debug: bool = False
    config: str | None = None

    def __post_init__(self) -> None:
        if self.events and self.as_json:
            raise click.UsageError("--json prints partials and --events what they are made of; give one of them.")
        if self.events and self.no_stream:
            raise click.UsageError("--events shows a stream; leave --no-stream out.")

    @property
    def messages(self) -> list[Message]:
        """The conversation to answer."""
        system = [] if self.system is None else [Message(role="system", content=self.system)]
        return [*system, Message(role="user", content=self.prompt)]


def answer(asked: Asked) -> None:
    """Make the call that was asked for and print its answer.

    Raises:
        PolyglotError: It failed; what had come is printed.
        KeyboardInterrupt: It was interrupted; what had come is printed, and the connection closed.
    """
    mention_unread_file(asked.config)
    with contextlib.ExitStack() as opened:
        try:
            inference = opened.enter_context(_inference(asked, opened))
        except PolyglotError as error:
            if asked.debug:
                print_debug(None, None, error)
            raise
        _carry(asked, inference, _prepared(asked, inference))


def _inference(asked: Asked, opened: contextlib.ExitStack) -> Inference:
    """The connection that is meant; a simulator, where none is named and there is no default."""
    try:
        return Inference.using(asked.connection, config=asked.config, **_overrides(asked))
    except NoDefault as error:  # every other ConfigError is the user's to mend
        if asked.connection is not None:
            raise
        variables = error.variables
    from polyglot_cli.fallback import simulator  # noqa: PLC0415 (it is rarely needed)

    return Inference.from_connection(opened.enter_context(simulator(asked.prompt, asked.config, variables)).connection)


def _overrides(asked: Asked) -> dict[str, Any]:
    """What the command line says of the connection; what it does not say is the configuration's."""
    retries = {} if asked.retries is None else {"retries": {"max_retries": asked.retries}}
    return {**retries, **({"fallbacks": asked.fallbacks} if asked.fallbacks else {})}


def _prepared(asked: Asked, inference: Inference) -> PendingInference:
    connection = inference.connection
    if not asked.model and not connection.model:
        raise ConfigError(
            "This connection names no model; give one with --model NAME.", connection=connection.name, phase="configure"
        )
    return inference.create(
        asked.messages,
        model=asked.model,
        options=dict(asked.options),
        extra=dict(asked.extra),
        unsupported=asked.unsupported,
        stream=not asked.no_stream,
        timeouts=None if asked.timeout is None else {"total": asked.timeout},
        resume=asked.resume,
    )


def _carry(asked: Asked, inference: Inference, pending: PendingInference) -> None:
    """Make the call, show what comes, and tell how it went, however that is."""
    output = Output()
    view = _view(asked, output)
    watched = output.is_terminal and is_terminal(sys.stderr) and not (asked.as_json or asked.events)
    ending: PolyglotError | KeyboardInterrupt | None = None
    try:
        with Waiting(inference.connection.name, shown=watched) as waiting:
            pending.on_seam(lambda seam: _tell_seam(seam, waiting, output))
            for item in _items(asked, pending):
                waiting.stop()
                view.show(item)
    except (PolyglotError, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt):
            interrupts.caught()
        ending = error
    finally:
        pending.stream().close()
    view.end()
    _tell(asked, inference, _response(pending, ending), ending)
    if ending is not None:
        raise ending


def _tell_seam(seam: Seam, waiting: Waiting, output: Output) -> None:
    """Say why there is another request: beside the spinner while nothing has come, else below the text."""
    wait = f" in {seam.wait:.1f} s" if seam.wait else ""
    asked = f"asking {seam.connection}" if seam.how == "fallback" else "asking again"
    waiting.say(f"{seam.message} {asked[0].upper()}{asked[1:]}{wait}…")
    if seam.how == "restart":
        output.end_line()
        say(f"{seam.message} The answer begins anew{wait}.", label="Note:", style="bold")


def _view(asked: Asked, output: Output) -> View:
    if asked.events:
        return EventView(output)
    if asked.as_json:
        return PartialView(output)
    return TextView(output, reasoning=asked.reasoning, raw=asked.raw)


def _items(asked: Asked, pending: PendingInference) -> Iterator[Any]:
    """The steps of the answer: partials, or events. A plain answer is there at once, whole."""
    if asked.no_stream:
        pending.response()
    stream = pending.stream()
    return stream.events() if asked.events else iter(stream)


def _response(pending: PendingInference, ending: BaseException | None) -> InferenceResponse | None:
    """The response as far as it came; None if nothing was asked."""
    return ending.partial if isinstance(ending, PolyglotError) else pending.stream().response()


def _tell(asked: Asked, inference: Inference, response: InferenceResponse | None, ending: BaseException | None) -> None:
    """What belongs to the answer but not into it."""
    if response is not None and not (asked.as_json or asked.events):
        print_notes(response)
    if response is not None and asked.usage and response.timing.first_event is not None:
        print_usage(response)
    if asked.debug:
        print_debug(inference.connection, response, ending, model=asked.model)
