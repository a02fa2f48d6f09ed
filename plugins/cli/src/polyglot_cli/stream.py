"""``polyglot stream``: one call, shown while it is received."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import click

from polyglot_cli import interrupts
from polyglot_cli.call_report import print_debug, print_notes, print_usage
from polyglot_cli.output import Output, is_terminal, write_line
from polyglot_cli.spinner import Spinner
from polyglot_cli.unread_config import mention_unread_file
from polyglot_cli.views import EventView, PartialView, TextView
from polyglot_core import ConfigError, Inference, Message, PolyglotError
from polyglot_core.errors import NoDefault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_cli.views import View
    from polyglot_core import InferenceResponse, PendingInference
    from polyglot_core.events import Seam

__all__ = ["INFERENCE", "CallOptions", "run"]

INFERENCE = "polyglot_cli.inference"
"""Key of click's `Context.meta` under which a command of a package, which runs this one, has a function: it takes what
makes the inference, and returns the `Inference` to use."""


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """The options of the command line; each field is the option of that name.

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
            raise click.UsageError("--json prints partials and --events prints events; give one of them.")
        if self.events and self.no_stream:
            raise click.UsageError("--events shows a stream; leave --no-stream out.")

    @property
    def messages(self) -> list[Message]:
        """Return the messages of the request."""
        system = [] if self.system is None else [Message(role="system", content=self.system)]
        return [*system, Message(role="user", content=self.prompt)]


def run(options: CallOptions) -> None:
    """Make the call and print its response.

    Raises:
        PolyglotError: The call failed; the text received before is printed.
        KeyboardInterrupt: The call was interrupted; the text received before is printed, and the connection closed.
    """
    mention_unread_file(options.config)
    with contextlib.ExitStack() as opened:
        try:
            make = partial(_inference, options, opened)
            context = click.get_current_context(silent=True)
            change = None if context is None else context.meta.get(INFERENCE)
            inference = opened.enter_context(make() if change is None else change(make))
        except PolyglotError as error:
            if options.debug:
                print_debug(None, None, error)
            raise
        _show(options, inference, _prepared(options, inference))


def _inference(options: CallOptions, opened: contextlib.ExitStack) -> Inference:
    """Open the chosen connection; a simulator, if none is named and there is no default."""
    try:
        return Inference.using(options.connection, config=options.config, **_overrides(options))
    except NoDefault as error:  # every other ConfigError is for the user to fix
        if options.connection is not None:
            raise
        variables = error.variables
    from polyglot_cli.fallback import simulator  # noqa: PLC0415 (it is rarely needed)

    return Inference.from_connection(
        opened.enter_context(simulator(options.prompt, options.config, variables)).connection
    )


def _overrides(options: CallOptions) -> dict[str, Any]:
    """Return the fields of the connection that the command line overrides."""
    retries = {} if options.retries is None else {"retries": {"max_retries": options.retries}}
    return {**retries, **({"fallbacks": options.fallbacks} if options.fallbacks else {})}


def _prepared(options: CallOptions, inference: Inference) -> PendingInference:
    connection = inference.connection
    if not options.model and not connection.model:
        raise ConfigError(
            "This connection names no model; give one with --model NAME.", connection=connection.name, phase="configure"
        )
    given: Any = dict(options.options)  # core checks the names and the values
    return inference.create(
        options.messages,
        model=options.model,
        options=given,
        extra=dict(options.extra),
        unsupported=options.unsupported,
        stream=not options.no_stream,
        timeouts=None if options.timeout is None else {"total": options.timeout},
        resume=options.resume,
    )


def _show(options: CallOptions, inference: Inference, pending: PendingInference) -> None:
    """Send the request, show the response while it is received, and report how the call ended."""
    output = Output()
    view = _view(options, output)
    watched = output.is_terminal and is_terminal(sys.stderr) and not (options.as_json or options.events)
    ending: PolyglotError | KeyboardInterrupt | None = None
    try:
        with Spinner(inference.connection.name, shown=watched) as spinner:
            pending.on_seam(lambda seam: _report_seam(seam, spinner, output))
            for item in _items(options, pending):
                spinner.stop()
                view.show(item)
    except (PolyglotError, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt):
            interrupts.caught()
        ending = error
    finally:
        pending.stream().close()
    view.end()
    _report(options, inference, _response(pending, ending), ending)
    if ending is not None:
        raise ending


def _report_seam(seam: Seam, spinner: Spinner, output: Output) -> None:
    """Report why there is another request: beside the spinner before any content is received, else below the text."""
    wait = f" in {seam.wait:.1f} s" if seam.wait else ""
    step = f"Falling back to {seam.connection}" if seam.how == "fallback" else "Retrying"
    spinner.write_line(f"{seam.message} {step}{wait}…")
    if seam.how == "restart":
        output.end_line()
        write_line(f"{seam.message} The response restarts{wait}.", label="Note:", style="bold")


def _view(options: CallOptions, output: Output) -> View:
    if options.events:
        return EventView(output)
    if options.as_json:
        return PartialView(output)
    return TextView(output, reasoning=options.reasoning, raw=options.raw)


def _items(options: CallOptions, pending: PendingInference) -> Iterator[Any]:
    """Return the partials of the response, or its events. A plain response has one of them."""
    if options.no_stream:
        pending.response()
    stream = pending.stream()
    return stream.events() if options.events else iter(stream)


def _response(pending: PendingInference, ending: BaseException | None) -> InferenceResponse | None:
    """Return the response received so far; None if no request was sent."""
    return ending.partial if isinstance(ending, PolyglotError) else pending.stream().response()


def _report(
    options: CallOptions, inference: Inference, response: InferenceResponse | None, ending: BaseException | None
) -> None:
    """Print notes, usage and debug output to standard error."""
    if response is not None and not (options.as_json or options.events):
        print_notes(response)
    if response is not None and options.usage and response.timing.first_event is not None:
        print_usage(response)
    if options.debug:
        print_debug(inference.connection, response, ending, model=options.model)
