"""Rows 76 to 79: the caller closes the stream, or is interrupted."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

from polyglot_core import AsyncInference, Outcome
from polyglot_simulator import Simulator, Stall

from ..endings import test_closing_async, test_closing_sync, test_interruptions
from .playing import all_of, answers, told
from .stage import Scenario, Stage, same

__all__ = ["SCENARIOS"]

# The ways to leave a stream are those of `tests/endings`.

SYNC_WAYS = {way.__name__: way for way in test_closing_sync.WAYS}
ASYNC_WAYS = {way.__name__: way for way in test_closing_async.WAYS}
CANCELLED = {"cancelled", "timed_out_around", "failed_beside"}


def left(name: str) -> Scenario:
    """Define a scenario of one way to leave a waiting stream."""
    row = 78 if name in CANCELLED else 76
    styles = tuple(style for style, ways in (("sync", SYNC_WAYS), ("async", ASYNC_WAYS)) if name in ways)

    @told(row, name.replace("_", " "), "The server sees the socket close at once, and nothing warns.", styles=styles)
    def play(stage: Stage) -> None:
        simulator = stage.simulate(fault=Stall(after_events=2))
        gc.disable()
        try:
            closed = any(_delay(stage.style, name, simulator, number) < 0.1 for number in (1, 2, 3))
        finally:
            gc.enable()
        same("closed within 0.1 s", closed, True)

    return play


def _delay(style: str, name: str, simulator: Simulator, number: int) -> float:
    if style == "sync":
        return test_closing_sync.delay_of(simulator, SYNC_WAYS[name], number)
    return asyncio.run(test_closing_async.delay_of(simulator, ASYNC_WAYS[name], number))


ways = [left(name) for name in {**SYNC_WAYS, **ASYNC_WAYS}]


@told(76, "closed again and again", "The second `close()` does nothing, and what came stays readable.")
def closed_twice(stage: Stage) -> None:
    server = stage.simulate(fault=Stall(after_events=3))
    call = stage.call(stage.connection(server))
    call.read(1)
    for _ in range(3):
        call.close()
    stage.keeps(answers("One", outcome=Outcome.CANCELLED, closed=True), call, server)


@told(76, "closed with usage", "A stream that was closed has its text and the usage that had come by then.")
def closed_with_usage(stage: Stage) -> None:
    server = stage.simulate(fault=Stall(after_events=4))
    call = stage.call(stage.connection(server, "anthropic"))
    call.read(1)
    call.close()
    response = stage.keeps(answers("One", outcome=Outcome.CANCELLED, closed=True), call, server).response
    same("tokens of the prompt are known", response.usage is not None and response.usage.input_tokens is not None, True)


@told(77, "made and let go", "A stream that nobody reads has sent nothing, so there is nothing to warn of.")
def never_read(stage: Stage) -> None:
    server = stage.simulate()
    call = stage.call(stage.connection(server))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call.pending.stream()
        del call
        gc.collect()
    same("requests", server.requests, [])


# Interruptions


PHASES: dict[str, dict[str, Any]] = {
    "for the headers": {"before_headers": True},
    "for the first event": {"after_events": 0},
    "after the role": {"after_events": 1},
}


def waited_for(part: str, phase: dict[str, Any]) -> list[Scenario]:
    """Play a call whose wait is ended by cancellation of its task, or by `close()` from another task or thread."""

    @told(
        78,
        f"cancelled while it waits {part}",
        "The cancellation goes through, and the socket closes.",
        styles=("async",),
    )
    def cancelled(stage: Stage) -> None:
        test_closing_async.test_wait_for_response_can_be_ended(stage.simulate, phase, "cancel")

    @told(78, f"closed while it waits {part}", "The reader's loop ends without an exception, and the socket closes.")
    def closed(stage: Stage) -> None:
        if stage.style == "sync":
            test_closing_sync.test_close_in_other_thread_ends_wait_for_response(stage.simulate, phase)
        else:
            test_closing_async.test_wait_for_response_can_be_ended(stage.simulate, phase, "close")

    return [cancelled, closed]


waits = [scenario for part, phase in PHASES.items() for scenario in waited_for(part, phase)]


@told(78, "cancelled between two attempts", "The wait ends, and nothing more is sent.", styles=("async",))
def cancelled_between(stage: Stage) -> None:
    test_closing_async.test_backoff_can_be_ended(stage.simulate, "cancel")


@told(78, "closed between two attempts", "The wait ends, and nothing more is sent.")
def closed_between(stage: Stage) -> None:
    if stage.style == "sync":
        test_closing_sync.test_close_in_other_thread_ends_backoff(stage.simulate)
    else:
        test_closing_async.test_backoff_can_be_ended(stage.simulate, "close")


@told(
    78, "cancelled on trio", "A scope of trio's ends the wait, and the server sees the socket close.", styles=("async",)
)
def cancelled_on_trio(stage: Stage) -> None:
    import trio

    simulator = stage.simulate(fault=Stall(after_events=3))
    seen: list[str] = []

    async def main() -> None:
        stream = AsyncInference.from_connection(stage.connection(simulator)).create("Hello").stream()
        with trio.move_on_after(1.0) as scope:
            async for partial in stream:
                seen.append(partial.content)
        same("the scope ended it", scope.cancelled_caught, True)
        same("outcome", (await stream.response()).outcome, Outcome.CANCELLED)
        closed = await trio.to_thread.run_sync(simulator.requests[0].wait_closed, 2.0)
        same("closed", closed is not None, True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of httpx's own generators, as the settings of pytest say
        trio.run(main)
    same("seen", seen, ["One", "One two"])


def passed_through(kind: type[BaseException]) -> Scenario:
    """Raise an exception in a callback in the middle of a read."""

    @told(79, kind.__name__, "It goes through as it is, what came is kept, and the socket closes.")
    def play(stage: Stage) -> None:
        def interrupt(partial: Any) -> None:
            if partial.content == "One two":
                raise thrown

        thrown = kind("stop")
        server = stage.simulate(fault=Stall(after_events=3))
        call = stage.call(stage.connection(server))
        call.pending.stream().on_partial(interrupt)
        caught: BaseException | None = None
        try:
            call.read()
        except BaseException as error:  # noqa: BLE001 (it is that which is asked)
            caught = error
        same("what came out", caught, thrown)
        call.close()
        same("what came", call.response().content, "One two")
        same("closed", server.requests[0].wait_closed(1.0) is not None, True)

    return play


interruptions = [passed_through(kind) for kind in (KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit)]


@told(79, "Ctrl-C while it waits", "`KeyboardInterrupt` comes out, and the socket closes although the program goes on.")
def ctrl_c(stage: Stage) -> None:
    simulator = stage.simulate(fault=Stall(after_events=2))
    closed = any(test_interruptions.interrupted(simulator, stage.style, number) < 0.1 for number in (1, 2, 3))
    same("closed within 0.1 s", closed, True)


SCENARIOS = all_of(globals())
