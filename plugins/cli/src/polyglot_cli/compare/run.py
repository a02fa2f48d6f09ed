"""Sends the prompt to all models at once, and shows the responses."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from polyglot_cli import interrupts
from polyglot_cli.compare.lane import Lane
from polyglot_cli.compare.panes import Pane, final_rows, live_rows, table_rows
from polyglot_cli.control_sequences import clean
from polyglot_cli.markdown.spans import encode
from polyglot_cli.markdown.view import Drawing, draws, known_glyphs, terminal_size, without_echo
from polyglot_cli.output import Output, write_line
from polyglot_cli.unread_config import mention_unread_file
from polyglot_cli.views import as_json
from polyglot_core import AsyncInference, ConfigError, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyglot_cli.markdown.layout import Row

__all__ = ["Comparison", "run"]

_INTERRUPTED = 130
_PIPED = 10_000  # columns of a table in a pipe: its rows are not broken


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The options of the command line; each field is the option of that name.

    Raises:
        click.UsageError: There is nothing to compare.
    """

    prompt: str
    connections: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    system: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    timeout: float | None = None
    as_json: bool = False
    config: str | None = None

    def __post_init__(self) -> None:
        if len(self.targets) < 2:
            raise click.UsageError("Name what to compare: at least two connections (-c), or two models (-m).")

    @property
    def targets(self) -> list[tuple[str | None, str | None]]:
        """Return the connections and the models: each model on each of the connections."""
        models: tuple[str | None, ...] = self.models or (None,)
        return [(name, model) for name in self.connections or (None,) for model in models]


def run(comparison: Comparison) -> int:
    """Make the calls and show the responses; return the exit code.

    Raises:
        PolyglotError: A connection cannot be opened, or a request cannot be made; nothing was sent.
        OSError: Standard output was closed.
    """
    mention_unread_file(comparison.config)
    interrupts.expected()
    lanes: list[Lane] = []
    stopped = False
    try:
        stopped = asyncio.run(_compare(comparison, lanes))
    except KeyboardInterrupt:  # where a loop cannot handle signals
        interrupts.caught()
        stopped = True
    if comparison.as_json:
        Output().write(as_json([lane.to_dict() for lane in lanes], indent=2) + "\n")
    return _INTERRUPTED if stopped else max(lane.exit_code for lane in lanes)


async def _compare(comparison: Comparison, lanes: list[Lane]) -> bool:
    """Open the connections and receive all responses; return True if Ctrl-C was pressed."""
    async with contextlib.AsyncExitStack() as opened:
        for name, model in comparison.targets:
            inference = AsyncInference.using(name, config=comparison.config)
            await opened.enter_async_context(inference)
            lanes.append(_lane(comparison, inference, model))
        output = Output()
        if not comparison.as_json and draws(output):
            return await _drawn(lanes, output)
        return await _piped(lanes, None if comparison.as_json else output)


def _lane(comparison: Comparison, inference: AsyncInference, model: str | None) -> Lane:
    connection = inference.connection
    wanted = model or connection.model
    if not wanted:
        raise ConfigError("This connection names no model; give one with -m NAME.", connection=connection.name)
    given: Any = dict(comparison.options)  # core checks the names and the values
    system = [] if comparison.system is None else [Message(role="system", content=comparison.system)]
    pending = inference.create(
        [*system, Message(role="user", content=comparison.prompt)],
        model=model,
        options=given,
        stream=True,
        timeouts=None if comparison.timeout is None else {"total": comparison.timeout},
    )
    return Lane(f"{connection.name}/{wanted}", wanted, pending)


async def _streamed(lanes: Sequence[Lane], after: Callable[[Lane], object]) -> bool:
    """Receive all responses; call `after` with each, in their order. Return True if Ctrl-C was pressed."""
    tasks = [asyncio.create_task(lane.stream()) for lane in lanes]
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        for task in tasks:
            task.cancel()

    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        loop.add_signal_handler(signal.SIGINT, stop)
    for lane, task in zip(lanes, tasks, strict=True):
        with contextlib.suppress(asyncio.CancelledError):  # of a task that had not begun
            await task
        after(lane)
    return stopped


async def _drawn(lanes: Sequence[Lane], output: Output) -> bool:
    """Receive all responses while they are drawn, then draw them whole, with the table."""
    glyphs = known_glyphs()
    panes = [Pane(lane, glyphs) for lane in lanes]

    def frame(columns: int, rows: int, last: bool) -> tuple[Sequence[Row], Sequence[Row]]:  # noqa: FBT001 (of `Drawing`)
        return (final_rows(lanes, columns, glyphs), []) if last else ([], live_rows(panes, columns, rows))

    drawing = Drawing(output, frame, always=True)
    with without_echo():
        drawing.start()
        try:
            return await _streamed(lanes, lambda _: None)
        finally:
            drawing.end()


async def _piped(lanes: Sequence[Lane], output: Output | None) -> bool:
    """Receive all responses, and print each with a heading; then the table. Print nothing without an output."""

    def show(lane: Lane) -> None:
        if output is not None:
            text = clean(lane.text) if output.is_terminal else lane.text
            output.write(f"## {lane.name}\n\n{text}")
            output.end_line()
            output.write("\n")
        if lane.error is not None:
            write_line(f"{lane.name}: {lane.error}", label="Error:", style="bold red")

    stopped = await _streamed(lanes, show)
    if output is not None:
        columns = terminal_size().columns - 1 if output.is_terminal else _PIPED
        for row in table_rows(lanes, columns, known_glyphs()):
            output.write(encode(row, colour=False) + "\n")
    return stopped
