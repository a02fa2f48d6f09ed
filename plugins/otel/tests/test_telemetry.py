"""Spans and metrics: one span on every way in which a call ends, by the names of the conventions."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode

from polyglot_core import AsyncInference, Connection, Inference, PolyglotError, Retries, observe
from polyglot_otel import Telemetry
from polyglot_otel.names import ATTRIBUTES, MEASURES
from polyglot_otel.providers import operation_of, provider_of, server_of
from polyglot_simulator import Cut, Reply, Reset, Simulator, Stall, Status
from polyglot_simulator import ToolCall as Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_core import InferenceStream
    from polyglot_otel.names import Generation

pytestmark = pytest.mark.http

PATIENCE = 5.0
TEXT = "Once upon a time in the west"

# Of https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/client-inference.md and
# gen-ai-token-metrics.md, read in November 2026: no package on the index has these names yet.
LATEST_METRICS = {
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.time_to_first_chunk",
    "gen_ai.client.inference.time_per_output_chunk",
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "gen_ai.client.inference.usage.reasoning.output_tokens",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
}
LATEST_ATTRIBUTES = {"gen_ai.usage.cache_write.input_tokens", "gen_ai.request.reasoning.level", "gen_ai.token.modality"}
GENERAL = {"error.type", "server.address", "server.port"}


class Watched(NamedTuple):
    """What an observer has exported."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def span(self) -> ReadableSpan:
        """Return the one span, which another thread may end; a second one would come within moments."""
        deadline = time.monotonic() + PATIENCE
        while not self.exporter.get_finished_spans() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)
        (span,) = self.exporter.get_finished_spans()
        return span

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the one span."""
        return dict(self.span().attributes or {})

    def points(self) -> dict[str, list[Any]]:
        """Return the data points of each metric."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found


@contextlib.contextmanager
def watching(generation: Generation = "v1.41", **options: Any) -> Iterator[Watched]:
    """Observe all calls of the process."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    measuring = MeterProvider([reader], shutdown_on_exit=False)
    remove = observe(Telemetry(tracing, measuring, generation=generation, **options))
    try:
        yield Watched(exporter, reader)
    finally:
        remove()


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Observe all calls of the process by the names of v1.41."""
    with watching() as found:
        yield found


# The seven ways in which a call ends


def left(stream: InferenceStream[Any]) -> None:
    """Read a stream's first partial, and leave it."""
    with stream:
        next(iter(stream))


def collected(stream: InferenceStream[Any]) -> None:
    """Read a stream's first partial, and drop it."""
    next(iter(stream))


def read(stream: InferenceStream[Any]) -> None:
    """Read a stream to its end."""
    with contextlib.suppress(PolyglotError):
        stream.response()


SYNC: dict[str, tuple[Any, Callable[[InferenceStream[Any]], None], str, str | None]] = {
    "finished": (None, read, "finished", None),
    "truncated": (Cut(after_events=2), read, "truncated", "Truncated"),
    "failed": (Status(401), read, "failed", "AuthenticationError"),
    "timed out": (Stall(after_events=2), read, "timed_out", "TimedOut"),
    "abandoned": (Stall(after_events=3), left, "cancelled", None),
    "collected": (Stall(after_events=3), collected, "cancelled", None),
}


@pytest.mark.parametrize("how", SYNC)
def test_a_stream_has_one_span_however_it_ends(watched: Watched, how: str) -> None:
    """A sync stream has one span and one duration; an error is its status, its type and nothing of its text."""
    fault, use, outcome, error = SYNC[how]
    with Simulator(TEXT, fault=fault) as simulator:
        inference = Inference.from_connection(simulator.connection)
        use(inference.stream("secret prompt", timeouts={"idle": 0.2}))
        gc.collect()
        check(watched, outcome, error, first=how != "failed")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("how", ["finished", "truncated", "cancelled", "left", "collected"])
def test_an_async_stream_has_one_span_however_it_ends(watched: Watched, backend: str, how: str) -> None:
    """The same holds for tasks, which may be cancelled."""
    fault = {"finished": None, "truncated": Cut(after_events=2)}.get(how, Stall(after_events=3))

    async def main(simulator: Simulator) -> None:
        stream = AsyncInference.from_connection(simulator.connection).stream("Hi")
        if how == "left":
            async with stream:
                await anext(aiter(stream))
        elif how == "collected":
            await anext(aiter(stream))
            del stream
            gc.collect()
        else:
            with contextlib.suppress(PolyglotError), anyio.move_on_after(0.3 if how == "cancelled" else PATIENCE):
                await stream.response()

    with Simulator(TEXT, fault=fault) as simulator:
        anyio.run(main, simulator, backend=backend)
        outcome = how if how in {"finished", "truncated"} else "cancelled"
        check(watched, outcome, "Truncated" if how == "truncated" else None)


def check(watched: Watched, outcome: str, error: str | None, *, first: bool = True) -> None:
    """Check the span and the metrics of one call."""
    span, attributes, points = watched.span(), watched.attributes(), watched.points()
    assert (span.name, span.kind, attributes["polyglot.outcome"]) == ("chat simulator", SpanKind.CLIENT, outcome)
    assert attributes.get("error.type") == error
    assert span.status.status_code is (StatusCode.UNSET if error is None else StatusCode.ERROR)
    assert span.status.description == error
    assert (attributes["gen_ai.provider.name"], attributes["gen_ai.operation.name"]) == ("openai", "chat")
    assert attributes["gen_ai.response.finish_reasons"] == (("stop",) if outcome == "finished" else ("error",))
    assert ("gen_ai.response.time_to_first_chunk" in attributes) == first
    (duration,) = points["gen_ai.client.operation.duration"]
    assert (duration.count, duration.attributes.get("error.type")) == (1, error)
    assert ("gen_ai.client.operation.time_to_first_chunk" in points) == first
    assert ("gen_ai.client.token.usage" in points) == (outcome == "finished")
    assert "secret prompt" not in span.to_json()
    unknown = {name for name in attributes if not name.startswith("polyglot.")} - V1_41_ATTRIBUTES
    assert unknown == set()
    assert points.keys() <= V1_41_METRICS


V1_41_ATTRIBUTES = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)} | GENERAL
V1_41_METRICS = {value for name, value in vars(gen_ai_metrics).items() if name.startswith("GEN_AI_CLIENT")}


# Names


def test_the_table_has_the_names_of_the_conventions() -> None:
    """Each name of v1.41 is in the package of the conventions, each of the latest version in their text."""
    old, new = ({metric.name for row in MEASURES.values() for metric in row[column]} for column in (0, 1))
    assert (old, new) == (V1_41_METRICS, LATEST_METRICS)
    old, new = ({row[column] for row in ATTRIBUTES.values()} - {None} for column in (0, 1))
    assert old <= V1_41_ATTRIBUTES
    assert new <= (V1_41_ATTRIBUTES - {"gen_ai.usage.cache_creation.input_tokens"}) | LATEST_ATTRIBUTES


OPTIONS = {
    "temperature": 0.5, "top_p": 0.9, "max_tokens": 20, "stop": "west", "seed": 7, "presence_penalty": 0.1,
    "frequency_penalty": 0.2, "reasoning_effort": "low", "user": "u-1",
}  # fmt: skip


@pytest.mark.parametrize("generation", ["v1.41", "latest"])
def test_the_attributes_and_metrics_of_a_call(generation: Generation) -> None:
    """A call that finishes has every attribute and every metric that is known of it."""
    with watching(generation) as watched, Simulator(TEXT) as simulator:
        made = simulator.connection
        response = Inference.from_connection(made).create("Hi", stream=True, options=OPTIONS).response()
        attributes, points, port = watched.attributes(), watched.points(), simulator.port
    usage = response.usage
    assert usage is not None
    expected: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "simulator",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.request.stop_sequences": ("west",),
        "gen_ai.request.seed": 7,
        "gen_ai.request.presence_penalty": 0.1,
        "gen_ai.request.frequency_penalty": 0.2,
        "gen_ai.response.id": response.id,
        "gen_ai.response.model": response.model,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": response.timing.first_event,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "server.address": "127.0.0.1",
        "server.port": port,
        "polyglot.outcome": "finished",
        "polyglot.attempts": 1,
        "polyglot.connection": made.name,
    }
    if generation == "latest":
        expected["gen_ai.request.reasoning.level"] = "low"
    assert attributes.pop("polyglot.call_id")
    assert attributes == expected
    scope = "operation" if generation == "v1.41" else "inference"
    (duration,) = points[f"gen_ai.client.{scope}.duration"]
    (first,) = points[f"gen_ai.client.{scope}.time_to_first_chunk"]
    (gaps,) = points[f"gen_ai.client.{scope}.time_per_output_chunk"]
    assert duration.sum == response.timing.duration
    assert first.sum == response.timing.first_event
    assert gaps.count >= len(TEXT.split())
    assert gaps.sum <= duration.sum
    assert duration.attributes == {
        name: expected[name]
        for name in (
            "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
            "server.address", "server.port",
        )
    }  # fmt: skip
    counts = {"input": usage.input_tokens, "output": usage.output_tokens}
    if generation == "v1.41":
        tokens = points["gen_ai.client.token.usage"]
        assert {point.attributes["gen_ai.token.type"]: point.sum for point in tokens} == counts
    else:
        for kind, count in counts.items():
            (used,) = points[f"gen_ai.client.inference.usage.{kind}_tokens"]
            (per_call,) = points[f"gen_ai.client.inference.operation.{kind}_tokens"]
            assert (used.value, used.attributes["gen_ai.token.modality"], per_call.sum) == (count, "unknown", count)
        assert points.keys() <= LATEST_METRICS


@pytest.mark.parametrize(
    ("chosen", "generation"),
    [
        (None, "v1.41"),
        ("", "v1.41"),
        ("http/dup", "v1.41"),
        ("gen_ai_latest_experimental", "latest"),
        ("http, gen_ai_latest_experimental", "latest"),
    ],
)
def test_the_environment_chooses_the_generation(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, generation: str
) -> None:
    """The variable of the conventions selects the latest names."""
    monkeypatch.delenv("OTEL_SEMCONV_STABILITY_OPT_IN", raising=False)
    if chosen is not None:
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", chosen)
    reader = InMemoryMetricReader()
    telemetry = Telemetry(TracerProvider(), MeterProvider([reader], shutdown_on_exit=False))
    with Simulator(TEXT) as simulator:
        Inference.from_connection(simulator.connection, observers=[telemetry]).create("Hi").text()
    names = Watched(InMemorySpanExporter(), reader).points().keys()
    assert names <= (V1_41_METRICS if generation == "v1.41" else LATEST_METRICS)


@pytest.mark.parametrize(
    ("driver", "origin", "provider", "operation"),
    [
        ("openai", "https://api.openai.com", "openai", "chat"),
        ("openai-responses", "https://api.openai.com", "openai", "chat"),
        ("openai", "https://api.groq.com:443", "groq", "chat"),
        ("openai", "https://api.x.ai", "x_ai", "chat"),
        ("openai", "https://max.ai", "openai", "chat"),
        ("openai", "http://localhost:8080", "openai", "chat"),
        ("openai", "", "openai", "chat"),
        ("azure-openai", "https://mine.openai.azure.com", "azure.ai.openai", "chat"),
        ("gemini", "https://generativelanguage.googleapis.com", "gcp.gemini", "generate_content"),
        ("vertex", "https://europe-west1-aiplatform.googleapis.com", "gcp.vertex_ai", "generate_content"),
        ("bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock", "chat"),
        ("mistral", "", "mistral_ai", "chat"),
        ("anthropic", "https://API.anthropic.com", "anthropic", "chat"),
        ("acme", "https://acme.example", "acme", "chat"),
    ],
)
def test_providers_and_operations(driver: str, origin: str, provider: str, operation: str) -> None:
    """A provider is known by its host, or by the dialect that is spoken with it."""
    assert (provider_of(driver, server_of(origin)[0]), operation_of(driver)) == (provider, operation)


# Where spans are


def test_the_parent_is_the_span_of_the_caller(watched: Watched) -> None:
    """A span belongs to the one that is current where the call is first read: in a thread, and in a task."""
    tracer = TracerProvider().get_tracer("of the program")

    async def ask(inference: AsyncInference) -> int:
        with tracer.start_as_current_span("task") as parent:
            stream = inference.stream("Hi")
            await stream.next(timeout=5.0)  # which a task of its own performs
            await stream.response()
        return parent.get_span_context().span_id

    def call(inference: Inference) -> int:
        with tracer.start_as_current_span("thread") as parent:
            inference.create("Hi").text()
        return parent.get_span_context().span_id

    with Simulator(TEXT) as simulator, ThreadPoolExecutor(2) as workers:
        made = simulator.connection
        parents = list(workers.map(call, [Inference.from_connection(made)] * 4))
        parents.append(anyio.run(ask, AsyncInference.from_connection(made)))
    spans = watched.exporter.get_finished_spans()
    assert sorted(span.parent.span_id for span in spans if span.parent) == sorted(parents)


def test_retries_are_events(watched: Watched) -> None:
    """A call that is retried has one span, with an event for the attempt that failed."""
    with Simulator(TEXT, fault=Status(503, times=1)) as simulator:
        made = simulator.connection.with_changes(retries=Retries(max_retries=1, initial_backoff=0.01))
        Inference.from_connection(made).create("Hi").text()
    (event,) = watched.span().events
    found = dict(event.attributes or {})
    assert found.pop("polyglot.wait")
    assert (event.name, found) == (
        "polyglot.attempt_failed",
        {
            "error.type": "Overloaded",
            "http.response.status_code": 503,
            "polyglot.attempt": 1,
            "polyglot.follows": "retry",
        },
    )
    assert watched.attributes()["polyglot.attempts"] == 2


def test_embeddings_are_an_operation_of_their_own(watched: Watched) -> None:
    """The span of a batch has their name, and its tokens."""
    with Simulator() as simulator:
        Inference.from_connection(simulator.connection).embed(["one", "two"], model="text-embedding-3-small")
    assert watched.span().name == "embeddings text-embedding-3-small"
    attributes = watched.attributes()
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert (attributes["gen_ai.usage.input_tokens"], attributes["polyglot.outcome"]) == (2, "finished")


def test_plain_responses_have_no_chunks(watched: Watched) -> None:
    """What is measured of streams is not reported of a plain response."""
    with Simulator(TEXT) as simulator:
        Inference.from_connection(simulator.connection).create("Hi").text()
    assert "gen_ai.request.stream" not in watched.attributes()
    assert "gen_ai.response.time_to_first_chunk" not in watched.attributes()
    assert watched.points().keys() == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}


@pytest.mark.parametrize("captured", [True, False, None, "true"])
def test_content_is_recorded_where_that_is_chosen(monkeypatch: pytest.MonkeyPatch, captured: bool | str | None) -> None:
    """Prompts and responses are recorded in code or by the variable, and not by default."""
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    if isinstance(captured, str):
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", captured)
    chosen = captured if isinstance(captured, bool) else None
    reply = Reply("It rains.", tool_calls=[Call("weather", {"city": "Oslo"})], reasoning="Hm.")
    with watching(capture_content=chosen) as watched, Simulator(reply) as simulator:
        messages = [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hi"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            },
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "4"},
        ]
        Inference.from_connection(simulator.connection).create(messages).response()
        attributes = watched.attributes()
    if not captured:
        assert {name for name in attributes if name.endswith("messages")} == set()
        return
    assert json.loads(attributes["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}, {"type": "image", "mime_type": "image/png"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "a", "name": "f", "arguments": "{"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "a", "response": "4"}]},
    ]
    (message,) = json.loads(attributes["gen_ai.output.messages"])
    assert message["finish_reason"] == "tool_calls"
    parts = {part["type"]: part for part in message["parts"]}
    assert parts["text"]["content"] == "It rains."
    assert parts["tool_call"]["arguments"] == {"city": "Oslo"}


# All together


FAULTS = (None, Cut(after_events=2), Reset(after_events=2), Status(503), Status(429), None)


def test_as_many_spans_end_as_are_opened() -> None:
    """After many calls of all kinds and with faults, in threads and tasks, every span has ended once."""
    opened, ended, lock = [0], [0], threading.Lock()

    class Counting(SimpleSpanProcessor):
        def on_start(self, *_: Any, **__: Any) -> None:
            with lock:
                opened[0] += 1

        def on_end(self, span: ReadableSpan) -> None:
            with lock:
                ended[0] += 1

    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(Counting(InMemorySpanExporter()))
    telemetry = Telemetry(tracing, MeterProvider(shutdown_on_exit=False))
    with contextlib.ExitStack() as stack:
        simulators = [stack.enter_context(Simulator(TEXT, fault=fault)) for fault in FAULTS]
        made = [each.connection.with_changes(observers=[telemetry]) for each in simulators]

        def call(number: int) -> None:
            stream = Inference.from_connection(made[number % len(made)]).stream("Hi")
            with contextlib.suppress(PolyglotError):
                if number % 4 == 0:
                    next(iter(stream))
                elif number % 4 == 1:
                    left(stream)
                else:
                    stream.response()

        async def cancelled(connection: Connection) -> None:
            with contextlib.suppress(PolyglotError), anyio.move_on_after(0.005):
                await AsyncInference.from_connection(connection).stream("Hi").response()

        async def tasks() -> None:
            async with anyio.create_task_group() as group:
                for number in range(24):
                    group.start_soon(cancelled, made[number % len(made)])

        with ThreadPoolExecutor(4) as workers:
            list(workers.map(call, range(72)))
        anyio.run(tasks)
    gc.collect()
    deadline = time.monotonic() + PATIENCE
    while ended != opened and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 72 < opened[0] <= 96
    assert (ended, telemetry._open) == (opened, {})


def test_nothing_is_done_without_a_provider() -> None:
    """Where the program configures none, no span is made, and nothing is kept of a call that is open."""
    telemetry = Telemetry()
    with Simulator(TEXT) as simulator:
        inference = Inference.from_connection(simulator.connection, observers=[telemetry])
        with inference.stream("Hi") as stream:
            next(iter(stream))
            assert telemetry._open == {}
        assert inference.create("Hi").text() == TEXT


def test_installing_the_package_is_enough() -> None:
    """A program that configures the SDK has spans, also of a stream that is left open at the end."""
    code = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
        from polyglot_core import Inference
        from polyglot_simulator import Simulator

        with Simulator("Once upon a time") as simulator:
            inference = Inference.from_connection(simulator.connection)
            inference.create("Hi").text()  # before there is a provider: nothing is recorded, nothing fails
            provider = TracerProvider()
            provider.add_span_processor(
                SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.attributes["polyglot.outcome"] + " "))
            )
            trace.set_tracer_provider(provider)
            inference.create("Hi").text()
            stream = inference.stream("Hi")
            next(iter(stream))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stdout.split()) == (0, ["finished", "cancelled"]), result.stderr
