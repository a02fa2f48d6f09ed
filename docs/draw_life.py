"""Generate the lifecycle of a stream from the state table of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core._attempt.lifecycle import LIFE, Signal, State, outcome_of

if TYPE_CHECKING:
    from polyglot_core._wire.messages import CompletionSign

__all__ = ["draw_endings", "draw_life"]

_SIGNS: tuple[CompletionSign, ...] = ("finish", "end")


def draw_life() -> str:
    """Return a Mermaid state diagram of `LIFE`: one arrow for each pair of states, with all its signals."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, signal), following in LIFE.items():
        arrows.setdefault((state, following), []).append(signal.value)
    lines = [f"    {before} --> {after}: {', '.join(signals)}" for (before, after), signals in arrows.items()]
    first, last = f"    [*] --> {State.OPENING}", f"    {State.ENDED} --> [*]"
    return "\n".join(["```mermaid", "stateDiagram-v2", first, *lines, last, "```"])


def draw_endings() -> str:
    """Return a table of the outcome for each signal that ends a stream, before the model was done and after."""
    signals = [signal for signal in Signal if LIFE.get((State.COMMITTED, signal)) is State.ENDED]
    rows = ['| ended by | before the finish | after it, `complete_on="finish"` | after it, `complete_on="end"` |']
    rows.append("|---|---|---|---|")
    for signal in signals:
        before = {outcome_of(State.COMMITTED, signal, sign) for sign in _SIGNS}
        after = [outcome_of(State.FINISHING, signal, sign) for sign in _SIGNS]
        cells = [" or ".join(sorted(before)), *after]
        rows.append(f"| `{signal}` | {' | '.join(cells)} |")
    return "\n".join(rows)
