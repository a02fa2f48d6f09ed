"""What observers cost: a long stream for each chunk, and a short call as a whole, without a socket.

From the checkout's folder, in an environment with core, the openai driver, polyglot-otel and the OpenTelemetry SDK::

    python tests/benchmarks/observed.py [--rounds N] [--chunks N]

"none" is a call without observers. "OpenTelemetry, no SDK" is what a program pays that has polyglot-otel installed and
configures nothing; with the SDK, spans and metrics are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from generated import Generated
from in_process import bound_driver, drained, pump_partials
from measuring import arguments, print_facts, print_table, row, take_turns
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from polyglot_core import CallEvent
from polyglot_core._engine.observers import CallRecord, GuardedObserver
from polyglot_otel import Telemetry

NONE = "none"
_SHORT, _CALLS = 20, 200  # chunks of a short call, and calls in a round


def _nothing(_: CallEvent) -> None:
    pass


def observers() -> dict[str, Callable[[], CallRecord]]:
    """Return what makes the record of a call, for each kind of observer."""
    tracing, metering = TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracing.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    kinds = {
        "a function": _nothing,
        "OpenTelemetry, no SDK": Telemetry(),
        "OpenTelemetry, SDK": Telemetry(tracing, metering),
    }
    records = {name: partial(CallRecord, [GuardedObserver(kind)]) for name, kind in kinds.items()}
    return {NONE: lambda: CallRecord([]), **records}


def main() -> None:
    """Measure and print."""
    asked = arguments(__doc__.partition("\n")[0], rounds=15)
    driver, kinds = bound_driver(), observers()
    print_facts(asked, "ratio: to a call without observers, round by round")
    for title, chunks, calls in (("long stream", asked.chunks, 1), (f"call of {_SHORT} chunks", _SHORT, _CALLS)):
        body = Generated(chunks)
        works = {
            name: partial(
                _repeat,
                drained(lambda reads, make=make: pump_partials(driver, reads, make()), body.events, body.text),
                calls,
            )
            for name, make in kinds.items()
        }
        per = chunks if calls == 1 else calls
        times = take_turns(works, per, asked.rounds)
        print_table(
            f"{title}, for each {'chunk' if calls == 1 else 'call'}", [row(times, name, NONE) for name in works]
        )


def _repeat(work: Callable[[], None], times: int) -> None:
    for _ in range(times):
        work()


if __name__ == "__main__":
    main()
