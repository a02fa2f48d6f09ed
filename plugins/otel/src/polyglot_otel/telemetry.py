"""The observer: a span for every call, and its metrics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, StatusCode

from polyglot_core import AttemptFailed, CallEnded, CallEvent, CallStarted, Outcome
from polyglot_otel.content import input_messages, output_messages
from polyglot_otel.names import ATTRIBUTES, GENERATIONS, MEASURES, Generation
from polyglot_otel.providers import operation_of, provider_of, server_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from polyglot_core import Usage

    Attributes = dict[str, Any]
    Record = Callable[[float, Attributes], object]

__all__ = ["Telemetry", "telemetry"]

_SCOPE = "polyglot_otel"
_OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class _OpenCall(NamedTuple):
    """A call that has started and not ended.

    Attributes:
        span: Its span.
        attributes: The attributes of its metrics that are known at the start.
        stream: Whether a stream is requested.
    """

    span: Span
    attributes: Attributes
    stream: bool


class Telemetry:
    """An observer that makes a span of every call, and records its metrics.

    The parent of a span is the span that is current where the response of the call is first read.

    Args:
        tracer_provider: Where spans go; None for the provider of the process.
        meter_provider: Where metrics go; None for the provider of the process.
        generation: Version of the semantic conventions; None for ``latest`` if the environment variable
            ``OTEL_SEMCONV_STABILITY_OPT_IN`` has ``gen_ai_latest_experimental``, else ``v1.41``.
        capture_content: Whether spans have prompts and responses; None for what the environment variable
            ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says, by default not.

    Attributes:
        wants_content: Whether events with prompts and responses are requested.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        generation: Generation | None = None,
        capture_content: bool | None = None,
    ) -> None:
        column = GENERATIONS.index(_chosen_generation() if generation is None else generation)
        self.wants_content = _captures() if capture_content is None else capture_content
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._names = {meaning: name for meaning, row in ATTRIBUTES.items() if (name := row[column]) is not None}
        self._records = _instruments(metrics.get_meter(_SCOPE, meter_provider=meter_provider), column)
        self._own_providers = tracer_provider is not None or meter_provider is not None
        self._open: dict[str, _OpenCall] = {}

    @property
    def wants_call(self) -> bool:
        """Whether there is a provider that keeps spans or metrics; else core does not report calls here."""
        return self._own_providers or _is_configured()

    def __call__(self, event: CallEvent) -> None:
        """Take an event."""
        match event:
            case CallStarted() if self.wants_call:
                self._start(event)
            case AttemptFailed() if event.how and (call := self._open.get(event.call_id)):
                call.span.add_event("polyglot.attempt_failed", _failure(event))
            case CallEnded() if call := self._open.pop(event.call_id, None):
                self._end(event, call)
            case _:
                pass

    def _start(self, event: CallStarted) -> None:
        operation = "embeddings" if event.operation == "embeddings" else operation_of(event.driver)
        address, port = server_of(event.origin)
        known = {
            "operation": operation,
            "provider": provider_of(event.driver, address),
            "model": event.model,
            **({"address": address, "port": port} if address else {}),
        }
        sent = {**_options(event.options), **({"stream": True} if event.stream else {})}
        if self.wants_content and event.request is not None:
            sent["input_messages"] = input_messages(event.request)
        span = self._tracer.start_span(
            f"{operation} {event.model}",
            kind=SpanKind.CLIENT,
            attributes={**self._named({**known, **sent}), "polyglot.call_id": event.call_id},
        )
        self._open[event.call_id] = _OpenCall(span, self._named(known), event.stream)

    def _end(self, event: CallEnded, call: _OpenCall) -> None:
        first = event.timing.first_event if call.stream else None
        shared = {"response_model": event.response_model, "error": event.error}
        if call.span.is_recording():
            found = {
                **shared,
                "response_id": event.response_id,
                "finish_reasons": _finish_reasons(event),
                "first_chunk": first,
                **_counts(event.usage),
            }
            if self.wants_content and event.response is not None:
                found["output_messages"] = output_messages(event.response)
            call.span.set_attributes(self._named(found))
            call.span.set_attribute("polyglot.outcome", event.outcome.value)
            call.span.set_attribute("polyglot.attempts", event.attempts)
            call.span.set_attribute("polyglot.connection", event.connection)
        if event.error is not None:
            call.span.set_status(StatusCode.ERROR, event.error)
        call.span.end()
        attributes = {**call.attributes, **self._named(shared)}
        self._record("duration", (event.timing.duration or 0.0,), attributes)
        if first is not None:
            self._record("first_chunk", (first,), attributes)
            self._record("chunk_gap", event.chunk_gaps, attributes)
        for measure, count in _counts(event.usage).items():
            self._record(measure, (count,), attributes)

    def _record(self, measure: str, values: Iterable[float], attributes: Attributes) -> None:
        for record in self._records[measure]:
            for value in values:
                record(value, attributes)

    def _named(self, known: Mapping[str, object]) -> Attributes:
        """Return what is known by the names of the conventions, without what is not set or has no name."""
        names = self._names
        return {names[key]: value for key, value in known.items() if key in names and value not in (None, ())}


def _is_configured() -> bool:
    """Return whether the process has a provider of spans or of metrics that keeps them."""
    spans, measures = trace.get_tracer_provider(), metrics.get_meter_provider()
    no_spans = isinstance(spans, (trace.ProxyTracerProvider, trace.NoOpTracerProvider))
    no_measures = isinstance(measures, metrics.NoOpMeterProvider) or type(measures).__name__ == "_ProxyMeterProvider"
    return not (no_spans and no_measures)


def _chosen_generation() -> Generation:
    chosen = {each.strip() for each in os.environ.get(_OPT_IN, "").split(",")}
    return "latest" if "gen_ai_latest_experimental" in chosen else "v1.41"


def _captures() -> bool:
    return os.environ.get(_CAPTURE, "").strip().lower() in {"true", "1", "span_only", "span_and_event"}


def _instruments(meter: Meter, column: int) -> dict[str, tuple[Record, ...]]:
    """Return what records each measure."""
    made: dict[str, Record] = {}  # a histogram may serve two measures
    records: dict[str, tuple[Record, ...]] = {}
    for measure, generations in MEASURES.items():
        for row in generations[column]:
            if row.name in made:
                continue
            if row.kind == "counter":
                made[row.name] = meter.create_counter(row.name, row.unit, row.description).add
            else:
                made[row.name] = meter.create_histogram(
                    row.name, row.unit, row.description, explicit_bucket_boundaries_advisory=row.buckets
                ).record
        records[measure] = tuple(_with(made[row.name], dict(row.attributes)) for row in generations[column])
    return records


def _with(record: Record, more: Attributes) -> Record:
    return (lambda value, attributes: record(value, {**attributes, **more})) if more else record


def _options(options: Mapping[str, Any]) -> Attributes:
    """Return the options of a request as attributes have them."""
    stop = options.get("stop")
    return {
        **options,
        "stop": (stop,) if isinstance(stop, str) else tuple(stop or ()),
        "n": None if options.get("n") == 1 else options.get("n"),
    }


def _finish_reasons(event: CallEnded) -> tuple[str, ...]:
    """Return why the model stopped; ``error`` where the response was to say it and did not."""
    reasons = tuple(reason.value for reason in event.finish_reasons)
    return reasons or (() if event.outcome is Outcome.FINISHED else ("error",))


def _counts(usage: Usage | None) -> dict[str, int]:
    """Return the token counts that are known."""
    return {name: count for name in _COUNTS if usage is not None and (count := getattr(usage, name)) is not None}


def _failure(event: AttemptFailed) -> Attributes:
    known = {
        "error.type": event.error,
        "http.response.status_code": event.status,
        "polyglot.attempt": event.attempt,
        "polyglot.follows": event.how,
        "polyglot.wait": event.wait,
    }
    return {name: value for name, value in known.items() if value is not None}


telemetry = Telemetry()
"""The observer of the providers of the process, which core calls where this package is installed."""
