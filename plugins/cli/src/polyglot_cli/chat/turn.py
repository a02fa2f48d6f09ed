"""One turn of a chat: a request, and its response while it is received."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from polyglot_cli import interrupts
from polyglot_cli.control_sequences import one_line
from polyglot_cli.markdown.view import MarkdownView, response_view, without_echo
from polyglot_cli.measures import measure
from polyglot_cli.output import Output, is_terminal, write_line
from polyglot_core import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_cli.views import View
    from polyglot_core import InferenceResponse, PendingInference
    from polyglot_core.events import Seam

__all__ = ["Ended", "take_turn"]

_SHOWN = 200  # characters of the arguments of a tool call


class Ended(NamedTuple):
    """How a turn ended.

    Attributes:
        response: What was received; None if no request was sent.
        error: The error that ended it, if any.
        stopped: Whether Ctrl-C ended it.
    """

    response: InferenceResponse | None
    error: PolyglotError | None = None
    stopped: bool = False


def take_turn(pending: PendingInference, name: str) -> Ended:
    """Send the request and show the response while it is received. Ctrl-C stops the response.

    Args:
        pending: The call.
        name: Name of the connection, which is shown while nothing is received.
    """
    output = Output()
    view = response_view(output, name)
    if isinstance(view, MarkdownView):
        view.wait()
    pending.on_seam(lambda seam: _show_seam(seam, view))
    interrupts.expected()
    with without_echo():
        ended = _shown(pending, view)
        if ended.response is not None and is_terminal(sys.stdout):
            for note in _notes(ended.response):
                _show_note(view, note)
        view.end()
    return ended


def _shown(pending: PendingInference, view: View) -> Ended:
    """Show the response, and return how it ended."""
    error: PolyglotError | None = None
    stopped = False
    stream = pending.stream()
    try:
        for partial in stream:
            view.show(partial)
    except KeyboardInterrupt:
        interrupts.caught()
        stopped = True
    except PolyglotError as raised:
        error = raised
    finally:
        stream.close()
    return Ended(error.partial if error is not None else stream.response(), error, stopped)


def _show_seam(seam: Seam, view: View) -> None:
    """Show why there is another request."""
    wait = f" in {seam.wait:.1f} s" if seam.wait else ""
    step = f"Falling back to {seam.connection}" if seam.how == "fallback" else "Retrying"
    note = one_line(f"{seam.message} {step}{wait}…")
    if isinstance(view, MarkdownView):
        view.note(note)
    else:
        write_line(note)


def _show_note(view: View, note: str) -> None:
    if isinstance(view, MarkdownView):
        view.note(note)
    else:
        view.end()
        write_line(note)


def _notes(response: InferenceResponse) -> Iterator[str]:
    """Yield what the text alone does not show: tool calls, a refusal, and what the response has taken."""
    for call in response.tool_calls:
        arguments = one_line(call.arguments_raw)
        yield f"→ {call.name}({arguments[:_SHOWN]}{'…' if len(arguments) > _SHOWN else ''})"
    if response.refusal:
        yield f"The model refused: {one_line(response.refusal)}"
    if line := measure(response).line:
        yield line
