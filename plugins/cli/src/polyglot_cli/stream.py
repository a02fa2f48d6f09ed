"""``polyglot stream``: one call, shown while it is received."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from polyglot_cli import interrupts
from polyglot_cli.call_report import end_fields, print_debug, print_notes, print_usage
from polyglot_cli.control_sequences import one_line
from polyglot_cli.exchanges import OneCall
from polyglot_cli.fallback import SIMULATOR, is_simulator, simulator
from polyglot_cli.output import Output, is_terminal, write_line
from polyglot_cli.spinner import Spinner
from polyglot_cli.unread_config import mention_unread_file
from polyglot_cli.views import EventView, ExtractView, StepView, TextView
from polyglot_core import ConfigError, Inference, JSONSchema, PolyglotError
from polyglot_core.errors import NoDefault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_cli.call_options import CallOptions
    from polyglot_cli.exchanges import Exchange
    from polyglot_cli.markdown.view import MarkdownView
    from polyglot_cli.views import View
    from polyglot_core import InferenceResponse, Message
    from polyglot_core.events import Seam

__all__ = ["INFERENCE", "run"]

INFERENCE = "polyglot_cli.inference"
"""Key of click's `Context.meta` under which a command of a package, which runs this one, has a function: it takes what
makes the inference, and returns the `Inference` to use."""


class _Screen(NamedTuple):
    """What is written to while a response is received."""

    output: Output
    view: View
    spinner: Spinner
    drawn: MarkdownView | None


def run(options: CallOptions) -> None:
    """Make the call and print its response; or save it as a template.

    Raises:
        PolyglotError: The call failed; the text received before is printed.
        KeyboardInterrupt: The call was interrupted; the text received before is printed, and the connection closed.
    """
    if options.template or options.save:
        from polyglot_cli import templates  # noqa: PLC0415 (most calls have none)

        options = templates.applied(options)
        if options.save:
            templates.save(options.save, options)
            return
    mention_unread_file(options.config)
    with contextlib.ExitStack() as opened:
        try:
            _run(options, opened)
        except PolyglotError as error:
            if options.as_json and error.partial is None:  # no view has printed the end
                StepView(Output()).write("end", end_fields(None, error))
            raise


def _run(options: CallOptions, opened: contextlib.ExitStack) -> None:
    earlier: list[Message] = []
    if options.continued or options.conversation:
        from polyglot_cli import history  # noqa: PLC0415 (most calls continue none)

        options, earlier = history.continued(options)
    messages = options.messages(earlier)
    try:
        inference, simulated = _used(options, opened)
    except PolyglotError as error:
        if options.debug:
            print_debug(None, None, error)
        raise
    ended = _show(options, opened.enter_context(inference), messages)
    if ended.response is not None and not simulated:
        _log(options, [*messages[len(earlier) :], *ended.turns], ended.response, inference)
    if ended.error is not None:
        raise ended.error
    if ended.response is not None and (options.extract or options.schema):
        from polyglot_cli import extraction  # noqa: PLC0415 (most calls extract nothing)

        if isinstance(ended.view, ExtractView):
            ended.view.write(extraction.extracted(ended.response))
        else:
            extraction.check_json(ended.response)


# The connection


def _used(options: CallOptions, opened: contextlib.ExitStack) -> tuple[Inference, bool]:
    """Return the inference of the command that runs this one, else the chosen one; and whether it is simulated."""
    context = click.get_current_context(silent=True)
    change = None if context is None else context.meta.get(INFERENCE)
    if change is None:
        return _inference(options, opened)
    made: list[bool] = []

    def make() -> Inference:
        inference, simulated = _inference(options, opened)
        made.append(simulated)
        return inference

    return change(make), made != [False]


def _inference(options: CallOptions, opened: contextlib.ExitStack) -> tuple[Inference, bool]:
    """Return the chosen connection; a simulator and True if it is chosen, or nothing is and a person looks on."""
    try:
        return Inference.using(options.connection, config=options.config, **_overrides(options)), False
    except NoDefault as error:  # every other ConfigError is for the user to fix
        if options.connection is not None:
            raise
        if not (options.is_plain and options.is_prose and is_terminal(sys.stdout)):
            advice = (
                f"{error.message} `polyglot connections add` sets one up; -c {SIMULATOR} chooses a simulator on this "
                "machine."
            )
            raise NoDefault(advice, error.variables, phase="configure") from None
        variables, chosen = error.variables, False
    except ConfigError:
        if not is_simulator(options.connection, options.config):
            raise
        variables, chosen = (), True
    replaced = opened.enter_context(simulator(options.config, variables, chosen=chosen))
    return Inference.from_connection(replaced.connection), True


def _overrides(options: CallOptions) -> dict[str, Any]:
    """Return the fields of the connection that the command line overrides."""
    retries = {} if options.retries is None else {"retries": {"max_retries": options.retries}}
    return {**retries, **({"fallbacks": options.fallbacks} if options.fallbacks else {})}


# The request


def _exchange(options: CallOptions, inference: Inference, messages: Sequence[Message], screen: _Screen) -> Exchange:
    connection = inference.connection
    if not options.model and not connection.model:
        raise ConfigError(
            f"This connection names no model; give one with -m NAME. `polyglot models -c {connection.name}` lists "
            "those of the provider.",
            connection=connection.name,
            phase="configure",
        )
    arguments = _arguments(options)
    if not options.tools:
        pending = inference.create(list(messages), stream=not options.no_stream, **arguments)
        return OneCall(pending, events=options.events, no_stream=options.no_stream)
    from polyglot_cli.tool_files import Confirmation, ToolCalls, functions_of  # noqa: PLC0415 (most calls have none)

    def before() -> None:
        screen.spinner.pause()
        if screen.drawn is not None:
            screen.drawn.end()
        screen.output.end_line()

    confirm = None if options.yes else Confirmation(before)
    functions = functions_of(options.tools)
    return ToolCalls(inference, messages, functions, confirm=confirm, before=before, arguments=arguments)


def _arguments(options: CallOptions) -> dict[str, Any]:
    given: dict[str, Any] = {
        "model": options.model,
        "options": dict(options.options),  # core checks the names and the values
        "extra": dict(options.extra),
        "unsupported": options.unsupported,
        "timeouts": None if options.timeout is None else {"total": options.timeout},
        "resume": options.resume,
    }
    if options.schema is not None:
        from polyglot_cli.schemas import read_schema  # noqa: PLC0415 (most calls have none)

        given["response_format"] = JSONSchema(read_schema(options.schema), name="response")
    return given


# The response


class _Ended(NamedTuple):
    """How the exchange ended.

    Attributes:
        view: The view that showed it.
        response: The response, or what was received of it; None if no request was sent.
        turns: The turns that it adds to the conversation.
        error: The error or interrupt that ended it.
    """

    view: View
    response: InferenceResponse | None
    turns: Sequence[Message]
    error: PolyglotError | KeyboardInterrupt | None


def _show(options: CallOptions, inference: Inference, messages: Sequence[Message]) -> _Ended:
    """Send the request, show the response while it is received, and report how the call ended."""
    output = Output()
    spinner = Spinner(inference.connection.name, output, shown=is_terminal(sys.stderr))
    drawn = _drawn_view(options, output, inference.connection.name)
    screen = _Screen(output, drawn or _view(options, output), spinner, drawn)
    exchange = _exchange(options, inference, messages, screen)
    error = _read(exchange, screen)
    screen.view.end()
    response = exchange.response(error)
    if isinstance(screen.view, StepView):
        screen.view.write("end", end_fields(response, error))
    _report(options, inference, response, error)
    return _Ended(screen.view, response, () if response is None else exchange.turns(response), error)


def _read(exchange: Exchange, screen: _Screen) -> PolyglotError | KeyboardInterrupt | None:
    """Show every step, close the connection, and return how the call ended unless its response is complete."""
    view, spinner = screen.view, screen.spinner
    try:
        with spinner:
            exchange.on_seam(lambda seam: _report_seam(seam, screen))
            for step in exchange.steps():
                if view.prints(step):
                    with spinner.writing():
                        view.show(step)
                    if screen.drawn is not None:
                        spinner.stop()  # the view draws in a thread of its own, and shows waits too
                elif getattr(step, "reasoning_delta", ""):
                    spinner.think()
                else:
                    spinner.resume()
    except (PolyglotError, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt):
            interrupts.caught()
        return error
    finally:
        exchange.close()
    return None


def _report_seam(seam: Seam, screen: _Screen) -> None:
    """Report why there is another request: beside the spinner before any content is received, else below the text."""
    if isinstance(screen.view, StepView):
        with screen.spinner.writing():
            screen.view.show(seam)
    wait = f" in {seam.wait:.1f} s" if seam.wait else ""
    step = f"Falling back to {seam.connection}" if seam.how == "fallback" else "Retrying"
    screen.spinner.write_line(seam.message, f"{step}{wait}…", seam.wait)
    if screen.drawn is not None and seam.how == "restart":
        screen.drawn.note(one_line(f"{seam.message} The response restarts{wait}."))
        return
    if seam.how == "restart" and not isinstance(screen.view, StepView):
        with screen.spinner.writing():
            screen.output.end_line()
            write_line(f"{seam.message} The response restarts{wait}.", label="Note:", style="bold")


def _view(options: CallOptions, output: Output) -> View:
    if options.events:
        return EventView(output)
    if options.as_json:
        return StepView(output)
    if options.extract:
        return ExtractView(output)
    return TextView(output, reasoning=options.reasoning, raw=options.raw)


def _drawn_view(options: CallOptions, output: Output, name: str) -> MarkdownView | None:
    """Return a view that draws Markdown, if text is to be shown on a terminal that can be drawn on."""
    if not output.is_terminal or options.raw or options.events or options.as_json or options.extract:
        return None
    from polyglot_cli.markdown.view import MarkdownView, draws  # noqa: PLC0415 (a pipe does not need it)

    return MarkdownView(output, name, reasoning=options.reasoning) if draws(output) else None


def _report(
    options: CallOptions, inference: Inference, response: InferenceResponse | None, ending: BaseException | None
) -> None:
    """Print notes, usage and debug output to standard error."""
    if response is not None and options.is_prose:
        print_notes(response)
    if response is not None and options.usage and response.timing.first_event is not None:
        print_usage(response)
    if options.debug:
        print_debug(inference.connection, response, ending, model=options.model)


def _log(options: CallOptions, turns: Sequence[Message], response: InferenceResponse, inference: Inference) -> None:
    """Keep the call in the history, if the user has chosen to keep one."""
    if options.logged is False:
        return
    from polyglot_cli import history  # noqa: PLC0415 (it reads a database)

    try:
        history.keep(options, turns, response, inference.connection)
    except click.ClickException as error:
        if options.logged:
            raise
        write_line(error.format_message(), label="Warning:", style="bold")
