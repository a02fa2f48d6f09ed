"""The history as lists and conversations for people, and as JSON for scripts."""

from __future__ import annotations

import shutil
import sys
import textwrap
from datetime import datetime
from typing import TYPE_CHECKING

from polyglot_cli import history
from polyglot_cli.control_sequences import Cleaner, one_line
from polyglot_cli.output import Output, is_terminal, write_line
from polyglot_cli.styles import dimmed
from polyglot_cli.views import as_json as json_text

if TYPE_CHECKING:
    from polyglot_cli.history import Kept

__all__ = ["list_calls", "show_conversation"]

_PIPED = 200  # columns of a line that is not for a terminal


def list_calls(text: str | None, limit: int, *, as_json: bool) -> None:
    """Print the last calls, one a line, the newest first.

    Args:
        text: Only calls with this text in prompt or response.
        limit: How many at most.
        as_json: Print JSON.
    """
    calls = history.found(text, limit)
    if as_json:
        _print_json(calls)
        return
    if not calls:
        write_line(_why_none(text))
        return
    columns = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _PIPED
    Output().write("".join(_line(call, columns) + "\n" for call in calls))


def show_conversation(call_id: str | None, *, as_json: bool) -> None:
    """Print the conversation of a call: prompts and responses in turn."""
    calls = history.shown(call_id)
    if as_json:
        _print_json(calls)
        return
    output = Output()
    for call in calls:
        output.write("".join(_shown(call, styled=output.is_terminal)))


def _why_none(text: str | None) -> str:
    if text is not None:
        return f"No call has the text {text!r}."
    return "No call is kept." + ("" if history.is_kept() else " `polyglot logs on` keeps them from now on.")


def _print_json(calls: list[Kept]) -> None:
    Output().write("".join(json_text(call._asdict()) + "\n" for call in calls))


def _line(call: Kept, columns: int) -> str:
    when = datetime.fromisoformat(call.created).astimezone().strftime("%Y-%m-%d %H:%M")
    model = one_line(call.model or call.connection)
    start = f"{call.id:>4}  {when}  {model[:24]:<24}  "
    outcome = "" if call.outcome == "finished" else f"[{call.outcome}] "
    return start + textwrap.shorten(one_line(outcome + call.prompt), max(columns - len(start), 20), placeholder=" …")


def _shown(call: Kept, *, styled: bool) -> list[str]:
    before, after = dimmed() if styled else ("", "")
    figures = [str(call.id), call.created, f"{call.connection}/{call.model}", call.outcome]
    lines = [f"{before}# {one_line(' · '.join(figures))}{after}\n\n"]
    if call.system:
        lines.append(f"{before}System:{after} {_clean(call.system, styled)}\n\n")
    lines.append(f"{before}Prompt:{after} {_clean(call.prompt, styled)}\n\n")
    lines.append(f"{_clean(call.response, styled).rstrip()}\n\n")
    return lines


def _clean(text: str, styled: bool) -> str:  # noqa: FBT001 (a private helper)
    """Return a text without control sequences, if it is for a terminal."""
    if not styled:
        return text
    cleaner = Cleaner()
    return cleaner.feed(text) + cleaner.finish()
