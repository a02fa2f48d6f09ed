"""Plays the rows of the fault matrix, and the commonest faults in every dialect, and records how their calls end.

A scenario that is not as promised is played again, at most `TRIES` times in all: a promise may speak of tenths of a
second, which a busy machine takes for itself. Recorded is the last time.
"""

from __future__ import annotations

import gc
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ..faults import dialects
from ..faults.matrix import SCENARIOS
from ..faults.stage import Ending, Scenario, Stage, differences
from .records import Key, Record
from .values import error_of, neutral, partials_of, requests_seen, response_of, shortened, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..endings.calling import Call

__all__ = ["all_scenarios", "prepare_worker", "record_scenarios", "scenario_record"]

TRIES = 3

_HOW_FAR = "how far a stream gets until its clock runs out depends on the machine"
VARYING = {
    ("row", "4", "plain to a TLS port"): ({"texts"}, "the HTTP client sees a reset or an end, whichever is first"),
    ("row", "16", "a date far off"): ({"retry_after"}, "seconds from now to the date"),
    ("row", "23", "25 calls"): ({"ended", "requests", "texts"}, "the retry budget refills while the calls run"),
    ("row", "50", ""): ({"partials", "choices", "read"}, _HOW_FAR),
    ("row", "53", "bomb"): ({"texts"}, "counts of bytes depend on the reads of the socket"),
}
"""Fields that are left out of a row, or of one part of it, and why."""


class WatchedStage(Stage):
    """A stage that keeps what its calls end in, as plain data."""

    def __init__(self, style: str) -> None:
        super().__init__(style)
        self.ended: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self._unended: list[list[Any]] = []

    def call(self, *arguments: Any, **asked: Any) -> Call:
        call = super().call(*arguments, **asked)
        self._unended.append(call.partials)
        return call

    def end(self, call: Call) -> Ending:
        ending = super().end(call)
        self._unended = [partials for partials in self._unended if partials is not call.partials]
        self._keep(error_of(ending.error), response_of(ending.response), partials_of(call.partials))
        return ending

    def _keep(self, *parts: tuple[Any, list[str]]) -> None:
        self.ended.append(dict(zip(("error", "response", "partials"), (facts for facts, _ in parts), strict=True)))
        self.texts += [text for _, texts in parts for text in texts]

    def facts(self) -> dict[str, Any]:
        """Return what is known after the scenario."""
        read = [partials_of(partials)[0] for partials in self._unended]
        return {
            "ended": self.ended,
            "read": read,
            "requests": [requests_seen(server.requests) for server in self.servers],
        }


def all_scenarios() -> list[tuple[str, Scenario]]:
    """Return every scenario with the kind of its record."""
    return [*(("row", each) for each in SCENARIOS), *(("dialect", each) for each in dialects.SCENARIOS)]


def record_scenarios(numbers: Sequence[int], style: str) -> list[Record]:
    """Play the scenarios with these positions in `all_scenarios`, in one style where they have it."""
    listed = all_scenarios()
    chosen = [(number, *listed[number]) for number in numbers]
    return [
        scenario_record(kind, scenario, style)._replace(position=number)
        for number, kind, scenario in chosen
        if style in scenario.styles
    ]


def scenario_record(kind: str, scenario: Scenario, style: str) -> Record:
    """Play one scenario."""
    for _ in range(TRIES):
        stage = WatchedStage(style)
        differs = differences(scenario, style, stage)
        if not differs:
            break
    facts = {"as_promised": not differs, **stage.facts()}
    key = Key(kind, str(scenario.row), scenario.part, style)
    return without_varying(Record(key, shortened(facts), [*stage.texts, neutral(differs)]))


def without_varying(record: Record) -> Record:
    """Return a record without what varies from run to run."""
    kind, group, name, _ = record.key
    parts = [VARYING.get((kind, group, part), (frozenset(), ""))[0] for part in {name, ""}]
    fields = {field for part in parts for field in part}
    return record._replace(facts=without(record.facts, fields), texts=[] if "texts" in fields else record.texts)


def prepare_worker() -> None:
    """Set what the tests' settings and fixtures set, in a process that only records.

    Warnings are errors and collections are quick. SIGINT is met as in the foreground, also where it was ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Async generator 'http", ResourceWarning)  # on trio
    sys.unraisablehook = lambda _: None  # what another scenario leaves is not this one's
    gc.collect()
    gc.freeze()
