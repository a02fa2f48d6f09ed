"""The lifecycle of an attempt: a table of transitions between states, and the function that decides the outcome."""

# Theory of operation
#
# An attempt is one request and its response; a driver may continue it by follow-up requests, whose responses belong to
# the same attempt and change no state by their headers. A call consists of one or more attempts. `Attempt` does no I/O:
# the pump passes it status and headers, then bytes and the chunks cut from them, then the end of the body or the error
# that stopped it. `Attempt` turns each of these into a `Signal` and looks up the next `State` in `LIFE`. Every pair
# that is not in the table is impossible and raises KeyError, except in `ended`, where signals are ignored; the tests
# enumerate all pairs.
#
# Why there is a state `held`. Between the response headers and the first content, many servers send the id of the
# response, the name of the model, a role, token counts of the prompt, pings and empty deltas. They look like a response
# but commit to nothing: the caller has seen nothing yet. `held` covers this time. While an attempt is in `opening` or
# `held`, it may fail, and another may replace it, without the caller noticing. For this reason events other than pings
# are not shown to observers before the attempt is committed, and the clock `first` (seconds until the first event with
# meaning) keeps running through `held`: headers that arrive quickly do not prove that the model is working. An empty
# text is no content, but it begins a choice, which then needs a finish.
#
# What may be retried. An attempt that failed in `opening` or `held` may be sent again, if its error is retryable, or
# sent to the next connection (fallback). After `committed` neither happens: the caller has processed text, and a second
# response would contradict it. There the error is raised, with everything received so far in `error.partial`, unless
# the caller chose a way to resume. The decision itself is in `_engine.retry_policy`; what the attempt contributes is
# `Attempt.committed`.
#
# Three ways to resume a response that was interrupted after `committed`. Each begins a new attempt, whose first partial
# shows the seam:
#
# - `restart` sends the same request again. The new attempt has an assembler of its own, so the text starts from empty,
#   and the seam has `keeps=False`.
# - `prefill` sends the request with the text so far as a turn of the assistant, and the model continues it. The
#   assembler is passed on, so partials and response contain the text of both attempts. This is possible only if the
#   response so far is the text of one choice: reasoning, tool calls, refusals and media cannot be continued.
# - `provider` requests the rest of a response that the provider has stored. Assembler and decoder state are passed on,
#   because the events continue as if there had been no break.
#
# In the last two the usage reported so far is dropped: it counted the tokens of another request.
#
# What ends an attempt. Six signals lead from every state to `ended`, and nothing leads out of it:
#
# - `end`: the provider declared the response complete, as with [DONE] or message_stop. The end of a whole body (one
#   that is not a stream) counts as `end`, if the body contained a response.
# - `eof`: the body ended in an orderly way. Whether that is complete depends on the dialect.
# - `failure`: the provider reported an error within the stream, or the data cannot be decoded.
# - `broken`: the connection failed. `clock`: a timeout expired. `cancel`: the caller closed the call, perhaps in
#   another thread, and therefore at any moment; the first outcome stands, and later signals have no effect.
#
# After the end, further bytes of the body are counted and ignored. Nothing is read from them: a proxy may append to a
# body, and what follows must not change a response that the caller may already have used.
#
# How the outcome is decided. Only `outcome_of` decides it, from three facts: the state, the signal, and what the
# dialect calls complete (`complete_on`). The principle: an outcome is `finished` only if something was received that
# proves it, an `end` of the provider's or the finish of every choice. In `finishing`, where only usage may follow, an
# expired clock (as a rule `grace`) loses nothing, and neither does the end of the body or a broken connection, unless
# the dialect promises an explicit end, which is then missing. With `complete_on="both"` an `end` without a finish is no
# proof: there are servers that send it after an interruption, too. Neither is it before any content, in `held`: a
# server that failed at once may still send its end mark. In all other states the absence of a finish is not read as
# success: an orderly end of the body is `truncated`, a broken connection `failed`, an expired clock `timed_out`.
# Without this, a proxy that closes its connections after 60 seconds would produce short responses that look complete.
# A finish that was received before a follow-up request counts as absent until the body of its response has ended.
# Two outcomes are set outside the table, both from an error: `Truncated`, raised where a chunk is cut by the end of the
# body or the body has no content, gives `truncated`; and usage that the driver cannot read gives `failed`.

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from polyglot_core._values.response import Outcome

if TYPE_CHECKING:
    from polyglot_core._wire.messages import CompletionSign

__all__ = ["LIFE", "Signal", "State", "outcome_of"]


class State(StrEnum):
    """The states of an attempt."""

    OPENING = "opening"  # no response headers yet
    HELD = "held"  # headers, ids, usage: no content, so the request can be sent again unnoticed
    COMMITTED = "committed"  # content was received
    FINISHING = "finishing"  # every choice that has begun has its finish; usage may follow
    ENDED = "ended"  # there is an outcome


class Signal(StrEnum):
    """What can happen to an attempt."""

    HEADERS = "headers"  # status and headers of the response
    QUIET = "quiet"  # an id, usage, a ping: no content
    CONTENT = "content"  # content of the response
    FINISH = "finish"  # every choice that has begun has its finish
    END = "end"  # the provider declared the response complete
    EOF = "eof"  # the body ended
    FAILURE = "failure"  # the provider reported a failure, or the data cannot be decoded
    BROKEN = "broken"  # the connection failed
    CLOCK = "clock"  # a timeout expired
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
"""The state that follows a state on a signal. A pair that is not in the table cannot happen."""


def outcome_of(state: State, signal: Signal, complete_on: CompletionSign) -> Outcome:
    """Return the outcome of an attempt that `signal` ends in `state`."""
    finished = state is State.FINISHING
    complete = finished and complete_on == "finish"
    proven = state is State.COMMITTED and complete_on != "both"  # an end mark alone proves nothing without content
    return {
        Signal.END: Outcome.FINISHED if finished or proven else Outcome.TRUNCATED,
        Signal.EOF: Outcome.FINISHED if complete else Outcome.TRUNCATED,
        Signal.BROKEN: Outcome.FINISHED if complete else Outcome.FAILED,
        Signal.CLOCK: Outcome.FINISHED if finished else Outcome.TIMED_OUT,  # `grace` expired; nothing is missing
        Signal.FAILURE: Outcome.FAILED,
        Signal.CANCEL: Outcome.CANCELLED,
    }[signal]
