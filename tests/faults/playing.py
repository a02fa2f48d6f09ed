"""The usual ways to write a scenario: a simulator with faults, or a scripted server, one call, and its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .bodies import TEXT
from .stage import STYLES, Ends, Scenario, Stage

if TYPE_CHECKING:
    from polyglot_core import ProviderError

    from .scripted import Script

__all__ = ["all_of", "answers", "refusal", "scripted", "simulated", "told"]


def all_of(module: Mapping[str, object]) -> list[Scenario]:
    """Return the scenarios of a module in their order, including those in lists."""
    listed = [each if isinstance(each, list) else [each] for each in module.values()]
    return [scenario for group in listed for scenario in group if isinstance(scenario, Scenario)]


def answers(content: str = TEXT, **more: Any) -> Ends:
    """Return the end of a successful call."""
    return Ends(content=content, **more)


def refusal(error: type[ProviderError], requests: int = 1, *says: str, **facts: Any) -> Ends:
    """Return the end of a call with an error status."""
    known = {"phase": "headers", "attempts": requests, **facts}
    return Ends(error=error, requests=requests, facts=known, says=says)


def simulated(
    row: int | str,
    part: str,
    promise: str,
    ends: Ends,
    *faults: Any,
    reply: Any = TEXT,
    driver: str = "openai",
    again: int = 0,
    clocks: Mapping[str, float] | None = None,
    stream: bool = True,
    **changes: Any,
) -> Scenario:
    """Define a scenario of one call to a simulator with these faults; `again` and `changes` are of the connection."""

    def play(stage: Stage) -> None:
        server = stage.simulate(reply, fault=faults)
        connection = stage.connection(server, driver, again=again, **changes)
        stage.keeps(ends, stage.call(connection, clocks=clocks, stream=stream), server)

    return Scenario(row, part, promise, play)


def scripted(
    row: int | str,
    part: str,
    promise: str,
    ends: Ends,
    *scripts: Script,
    driver: str = "openai",
    again: int = 0,
    clocks: Mapping[str, float] | None = None,
    stream: bool = True,
    **changes: Any,
) -> Scenario:
    """Define a scenario of one call to a scripted server."""

    def play(stage: Stage) -> None:
        server = stage.serve(*scripts)
        connection = stage.connection(server, driver, again=again, **changes)
        stage.keeps(ends, stage.call(connection, clocks=clocks, stream=stream), server)

    return Scenario(row, part, promise, play)


def told(
    row: int | str, part: str, promise: str, *, styles: tuple[str, ...] = STYLES
) -> Callable[[Callable[[Stage], object]], Scenario]:
    """Make a scenario of a function that plays it."""
    return lambda play: Scenario(row, part, promise, play, styles)
