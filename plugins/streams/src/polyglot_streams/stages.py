"""What a transform does with the items of a stream: no I/O, no waiting, neither sync nor async."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from polyglot_core import PartialInferenceResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from polyglot_core.errors import PolyglotError

__all__ = ["Flow", "FunctionStage", "PartialStage", "Stage", "earliest"]

InT = TypeVar("InT")
OutT = TypeVar("OutT")


class Stage(Generic[InT, OutT]):
    """What one transform does: items in, items out.

    Attributes:
        deadline: Moment of `perf_counter` at which `wake` is called; None for none.
        full: True while no item is taken, because some are emitted at later moments. A full stage has a deadline.
        stopped: Why the transform ends the stream, as a sentence; None while it does not.
    """

    deadline: float | None = None
    full: bool = False
    stopped: str | None = None

    def feed(self, item: InT, now: float) -> Iterable[OutT]:
        """Take an item. Return the items to emit."""
        raise NotImplementedError

    def wake(self, now: float) -> Iterable[OutT]:  # noqa: ARG002 (of a stage without deadlines)
        """Return the items to emit at the deadline, and set the next one."""
        return ()

    def flush(self, now: float) -> Iterable[OutT]:  # noqa: ARG002 (of a stage that holds nothing)
        """Return the items that are held, at the end of the stream or before its error."""
        return ()

    @property
    def blocks(self) -> bool:
        """Return whether `finish` writes to a disk."""
        return False

    def finish(self, *, complete: bool) -> None:
        """Release what the stage holds besides items. It is called once; `complete` if the stream has ended well."""


class PartialStage(Stage[Any, Any]):
    """A stage for partials. What else a stream has, such as the tool calls of a loop of tools, passes in its place."""

    def feed(self, item: object, now: float) -> Iterable[Any]:
        """Take an item."""
        if isinstance(item, PartialInferenceResponse):
            return self.take_partial(item, now)
        return self.pass_on(item, now)

    def take_partial(self, partial: PartialInferenceResponse[Any], now: float) -> Iterable[Any]:
        """Take a partial. Return the items to emit."""
        raise NotImplementedError

    def pass_on(self, item: object, now: float) -> Iterable[Any]:
        """Take another item. What is held is emitted before it."""
        return (*self.flush(now), item)


class FunctionStage(Stage[InT, OutT]):
    """A stage with a function of the caller, which may be a coroutine function on async streams.

    The driver calls `function` with each item, and the stage takes the item with the result.
    """

    def __init__(self, function: Callable[[InT], Any]) -> None:
        self.function = function

    def take(self, item: InT, result: Any) -> Iterable[OutT]:  # noqa: ANN401 (what the function returns)
        """Take an item and what the function returned for it. Return the items to emit."""
        raise NotImplementedError


class Flow(Generic[InT, OutT]):
    """The state of one transform, between its driver and its stage.

    Attributes:
        stage: The stage.
        ready: Items to emit.
        over: True once the upstream has ended; items may be left.
        error: The error that it ended with.
        closed: True once the stream was closed: nothing more is emitted.
        interrupted: True if an interruption closed it, or an exception of the caller's function.
    """

    def __init__(self, stage: Stage[InT, OutT]) -> None:
        self.stage = stage
        self.ready: deque[OutT] = deque()
        self.over = self.closed = self.interrupted = False
        self.error: PolyglotError | None = None
        self._finished = False

    @property
    def drained(self) -> bool:
        """Return whether nothing more is emitted."""
        return self.closed or (self.over and not self.ready and not self.stage.full)

    def wake(self) -> None:
        """Run the stage if its deadline has passed."""
        stage = self.stage
        if stage.deadline is not None and (now := perf_counter()) >= stage.deadline:
            self.ready.extend(stage.wake(now))

    def feed(self, item: InT) -> bool:
        """Give an item to a stage without a function. Return whether the stage ends the stream."""
        self.ready.extend(self.stage.feed(item, perf_counter()))
        return self.stage.stopped is not None

    def take(self, item: InT, result: Any) -> bool:  # noqa: ANN401 (what the function returns)
        """Give an item to a stage with a function. Return whether the stage ends the stream."""
        stage: Any = self.stage
        self.ready.extend(stage.take(item, result))
        return stage.stopped is not None

    def end(self, error: PolyglotError | None = None) -> None:
        """Record the end of the upstream. What is held is emitted before the end, or before the error."""
        if not self.over:
            self.over, self.error = True, error
            self.ready.extend(self.stage.flush(perf_counter()))

    def close(self) -> None:
        """Emit nothing more. What is ready is dropped with the flow: another thread may be about to take it."""
        self.closed = True

    def to_finish(self) -> bool:
        """Return whether the stage is still to be finished, once."""
        first, self._finished = not self._finished, True
        return first

    @property
    def complete(self) -> bool:
        """Return whether the stream has ended well."""
        return self.over and self.error is None and not self.closed and not self.interrupted


def earliest(one: float | None, other: float | None) -> float | None:
    """Return the earlier of two moments, of which each may be None."""
    return other if one is None else one if other is None else min(one, other)
