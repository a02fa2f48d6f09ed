"""``--tools``: functions of a Python file that the model may call, each after a confirmation on the terminal."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli.control_sequences import one_line
from polyglot_cli.output import is_terminal, write_line
from polyglot_core import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from polyglot_core import Inference, InferenceResponse, Message, ToolCall
    from polyglot_core.events import Seam

__all__ = ["Confirmation", "ToolCalls", "functions_of"]

_SHOWN = 200  # characters of the arguments of a tool call


def functions_of(paths: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Return the functions of Python files, by name: those in ``__all__``, else the public ones defined there.

    Raises:
        click.ClickException: A file cannot be imported, or has no function; or two files have one of the same name.
    """
    found: dict[str, Callable[..., Any]] = {}
    for path in paths:
        functions = _public(_imported(path))
        if not functions:
            raise click.ClickException(f"{path} defines no function that the model could call.")
        for name, function in functions.items():
            if name in found:
                raise click.ClickException(f"Two files define the function {name!r}; rename one of them.")
            found[name] = function
    return found


def _imported(path: str) -> ModuleType:
    name = f"polyglot_tools_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise click.ClickException(f"{path} is not a Python file; its name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise click.ClickException(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _public(module: ModuleType) -> dict[str, Callable[..., Any]]:
    listed = getattr(module, "__all__", None)
    names = listed if listed is not None else [name for name in vars(module) if not name.startswith("_")]
    functions = {name: getattr(module, name, None) for name in names}
    return {
        name: function
        for name, function in functions.items()
        if inspect.isroutine(function) and (listed is not None or function.__module__ == module.__name__)
    }


class Confirmation:
    """Asks on the terminal before each tool call.

    Args:
        before: Called before a question is written, to clear the line.

    Raises:
        click.UsageError: There is no terminal.
    """

    def __init__(self, before: Callable[[], object]) -> None:
        self._before = before
        self._all = False
        try:
            self._terminal = sys.stdin if is_terminal(sys.stdin) else Path("/dev/tty").open(encoding="utf-8")  # noqa: SIM115 (open to the end)
        except OSError:
            msg = "Tool calls are confirmed on a terminal, and there is none. Give --yes to run all of them."
            raise click.UsageError(msg) from None

    def __call__(self, call: ToolCall) -> bool:
        """Return True if the user allows the tool call."""
        self._before()
        if self._all:
            _report(call)
            return True
        click.echo(f"Tool call: {one_line(f'{call.name} {call.arguments_raw}')}", err=True)  # all that is run
        click.echo("Run it? [y]es, [n]o, [a]ll: ", err=True, nl=False)
        reply = self._terminal.readline().strip().lower()
        self._all = reply in {"a", "all"}
        return self._all or reply in {"y", "yes"}


def _report(call: ToolCall) -> None:
    write_line(_described(call), label="Tool call:", style="bold")


def _described(call: ToolCall) -> str:
    arguments = call.arguments_raw
    shown = arguments if len(arguments) <= _SHOWN else arguments[:_SHOWN] + "…"
    return one_line(f"{call.name} {shown}")


class ToolCalls:
    """The calls of a loop with tools: a response, its tool calls, the results, until there are no more.

    Args:
        inference: Where requests are sent.
        messages: The conversation so far.
        functions: The functions, by name.
        confirm: Returns True if a tool call is allowed; None allows all.
        before: Called before a line about a tool call is written.
        arguments: Further arguments of each call.

    Raises:
        click.ClickException: The package with the loop is not installed.
        RequestError: A function cannot be a tool.
    """

    def __init__(
        self,
        inference: Inference,
        messages: Sequence[Message],
        functions: dict[str, Callable[..., Any]],
        *,
        confirm: Callable[[ToolCall], bool] | None,
        before: Callable[[], object],
        arguments: dict[str, Any],
    ) -> None:
        try:
            from polyglot_answers import run_tools  # noqa: PLC0415 (optional)
        except ImportError:
            raise click.ClickException(
                "--tools needs the package polyglot-answers: install polyglot-cli[tools]."
            ) from None
        self._before = before
        self._confirm = confirm
        self._sent = len(messages)
        self._run = run_tools(inference, list(messages), tools=functions, before=self._decide, **arguments)

    def on_seam(self, _: Callable[[Seam], object]) -> None:
        """Report nothing: the loop makes its calls itself."""

    def steps(self) -> Iterator[Any]:
        """Yield partials and results of tools; a tool call is in the partials."""
        from polyglot_core import ToolCall  # noqa: PLC0415 (needed in this loop alone)

        return (step for step in self._run if not isinstance(step, ToolCall))

    def close(self) -> None:
        """Close the connection."""
        self._run.close()

    def response(self, ending: BaseException | None) -> InferenceResponse | None:
        """Return the last response with the tokens of all; None if no request was sent."""
        if isinstance(ending, PolyglotError):
            return ending.partial
        if not self._run.responses:
            return None
        return self._run.responses[-1].with_changes(usage=self._run.usage)

    def turns(self, _: InferenceResponse) -> list[Message]:
        """Return the turns of the model and of the tools."""
        return list(self._run.messages)[self._sent :]

    def _decide(self, call: ToolCall) -> bool:
        if self._confirm is not None:
            return self._confirm(call)
        self._before()
        _report(call)
        return True
