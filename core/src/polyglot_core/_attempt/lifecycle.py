"""The life of a stream: a table of what may follow on what, and the one function that says how a stream has ended."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from polyglot_core._values.response import Outcome

if TYPE_CHECKING:
    from polyglot_core._wire.messages import CompletionSign

__all__ = ["LIFE", "Signal", "State", "outcome_of"]


class State(StrEnum):
    """Where an attempt stands."""

    OPENING = "opening"  # nothing has come
    HELD = "held"  # headers, ids, usage: nothing that the caller has seen, so the request could be sent again
    COMMITTED = "committed"  # something of the answer has come
    FINISHING = "finishing"  # the model is done with every choice that has begun; usage may follow
    ENDED = "ended"


class Signal(StrEnum):
    """What can happen to an attempt."""

    HEADERS = "headers"  # status and headers of an answer
    QUIET = "quiet"  # an id, usage, a ping: nothing with meaning
    CONTENT = "content"  # something of the answer
    FINISH = "finish"  # every choice that has begun has its finish
    END = "end"  # the provider says that nothing more will come
    EOF = "eof"  # the body is over
    FAILURE = "failure"  # the provider says that it failed, or what came cannot be read
    BROKEN = "broken"  # the bytes stopped coming
    CLOCK = "clock"  # a clock ran out
    CANCEL = "cancel"  # the caller wants no more


_STARTS = {(State.OPENING, Signal.HEADERS): State.HELD}
_MOVES = {
    (State.HELD, Signal.QUIET): State.HELD,
    (State.HELD, Signal.CONTENT): State.COMMITTED,
    (State.HELD, Signal.FINISH): State.FINISHING,
    (State.COMMITTED, Signal.QUIET): State.COMMITTED,
    (State.COMMITTED, Signal.CONTENT): State.COMMITTED,
    (State.COMMITTED, Signal.FINISH): State.FINISHING,
    (State.FINISHING, Signal.QUIET): State.FINISHING,
    (State.FINISHING, Signal.FINISH): State.FINISHING,  # text after a finish is text, and the finish stands
    (State.FINISHING, Signal.CONTENT): State.COMMITTED,  # a further choice has begun
}
_LAST = (Signal.END, Signal.EOF, Signal.FAILURE, Signal.BROKEN, Signal.CLOCK, Signal.CANCEL)
_ENDS = {(state, signal): State.ENDED for state in State if state is not State.ENDED for signal in _LAST}

LIFE: dict[tuple[State, Signal], State] = _STARTS | _MOVES | _ENDS
"""The life of a stream: what becomes of a state when something happens. A pair that is not here cannot happen."""


def outcome_of(state: State, signal: Signal, complete_on: CompletionSign) -> Outcome:
    """How an attempt in `state` has ended when `signal` ends it."""
    finished = state is State.FINISHING
    complete = finished and complete_on == "finish"
    return {
        Signal.END: Outcome.FINISHED if finished or complete_on != "both" else Outcome.TRUNCATED,
        Signal.EOF: Outcome.FINISHED if complete else Outcome.TRUNCATED,
        Signal.BROKEN: Outcome.FINISHED if complete else Outcome.FAILED,
        Signal.CLOCK: Outcome.FINISHED if finished else Outcome.TIMED_OUT,  # `grace` ran out, nothing is missing
        Signal.FAILURE: Outcome.FAILED,
        Signal.CANCEL: Outcome.CANCELLED,
    }[signal]
