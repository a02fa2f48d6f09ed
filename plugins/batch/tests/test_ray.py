"""A stage for Ray Data over a connection, with the real engine in local mode. Runs where Ray is installed."""

from __future__ import annotations

import time

import pytest

from polyglot_simulator import Pace, Status

pytestmark = [
    pytest.mark.engines,
    pytest.mark.http,
    pytest.mark.filterwarnings("default"),  # of the engine's own code
]

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Return the configuration file of the workers, with Ray in local mode, which is started once."""
    path = tmp_path_factory.mktemp("ray") / "polyglot.toml"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("POLYGLOT_CONFIG", str(path))
        environment.setenv("POLYGLOT_SIM_API_KEY", "very-secret")
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        yield path
        ray.shutdown()


@pytest.fixture
def engine(config, polyglot_simulators):
    """Return a function that starts a simulator, to which a connection of the workers leads."""

    def start(reply, retries=6, **options):
        simulator = polyglot_simulators(reply, **options)
        config.write_text(
            f'[connections.sim]\ndriver = "openai"\nbase_url = "{simulator.base_url}"\nmodel = "m"\n'
            f"retries = {retries}\n"
        )
        return simulator

    return start


def echo(request):
    """Reply with the prompt."""
    return "echo " + request.body["messages"][-1]["content"]


def test_a_thousand_rows_with_faults(engine):
    """Each row has its response, although one request in twenty fails, and many requests are in flight."""
    from polyglot_batch.ray import prompt_stage

    kinds = {7: Status(503), 27: Status(500)}
    faults = [kinds.get(number % 40) for number in range(1100)]
    simulator = engine(echo, faults=faults, pace=Pace(first_delay=0.2))
    dataset = ray.data.from_items([{"id": number, "question": f"row {number}"} for number in range(1000)])
    rows = prompt_stage(dataset, "sim", prompt="question", into="answer", options={"temperature": 0}).take_all()
    rows.sort(key=lambda row: row["id"])
    assert [row["id"] for row in rows] == list(range(1000))
    assert [row["answer"] for row in rows] == [f"echo row {number}" for number in range(1000)]
    assert {row["answer_error"] for row in rows} == {None}
    assert {row["answer_finish_reason"] for row in rows} == {"stop"}
    assert all(row["answer_input_tokens"] > 0 and row["answer_output_tokens"] > 0 for row in rows)
    requests = simulator.requests
    assert len(requests) > 1000
    assert (requests[0].body["model"], requests[0].body["temperature"]) == ("m", 0)
    assert 2 < peak_in_flight(requests, 0.2) <= 64


def peak_in_flight(requests, seconds):
    """Return how many requests were in flight at once, each for this time at least."""
    times = sorted(request.received_at for request in requests)
    return max(sum(begun <= other < begun + seconds * 0.95 for other in times) for begun in times)


def test_errors_are_values(engine, tmp_path):
    """A row whose call fails has the error, and the types of the columns do not depend on what they hold."""
    from polyglot_batch.ray import prompt_stage

    engine(lambda request: "pong", retries=0, faults=[Status(400)] * 3)
    dataset = ray.data.from_items([{"prompt": text} for text in "abcdef"], override_num_blocks=2)
    done = prompt_stage(dataset, "sim", concurrency=3, batch_size=3).materialize()
    assert [str(kind) for kind in done.schema().types] == ["string"] * 5 + ["int64"] * 2
    done.write_parquet(str(tmp_path / "out"))
    rows = ray.data.read_parquet(str(tmp_path / "out")).take_all()
    assert sorted(row["prompt"] for row in rows) == list("abcdef")
    failed = [row for row in rows if row["response"] is None]
    assert len(failed) == 3
    assert all(row["response_error"].startswith("InvalidRequest: ") for row in failed)


@pytest.mark.parametrize("batch_format", ["numpy", "pyarrow"])
def test_the_class_alone(engine, batch_format):
    """`map_batches` accepts the class, in either format of batches, and messages as prompts."""
    from polyglot_batch.ray import PolyglotStage

    simulator = engine(echo)
    messages = [{"role": "system", "content": "Be brief.", "tool_call_id": None}, {"role": "user", "content": "Hi"}]
    dataset = ray.data.from_items([{"prompt": messages}, {"prompt": messages[1:]}])
    rows = dataset.map_batches(
        PolyglotStage,
        fn_constructor_kwargs={"connection": "sim"},
        compute=ray.data.ActorPoolStrategy(size=1),
        batch_size=8,
        batch_format=batch_format,
    ).take_all()
    assert [row["response"] for row in rows] == ["echo Hi", "echo Hi"]
    assert sorted(len(request.body["messages"]) for request in simulator.requests) == [1, 2]


def test_order_where_ray_keeps_it(engine, monkeypatch):
    """Rows have their order if Ray is to preserve it."""
    from polyglot_batch.ray import prompt_stage

    engine(echo, pace=Pace(first_delay=0.01, jitter=1))
    monkeypatch.setattr(ray.data.DataContext.get_current().execution_options, "preserve_order", True)
    dataset = ray.data.from_items([{"prompt": f"{number}"} for number in range(200)])
    rows = prompt_stage(dataset, "sim", workers=2, batch_size=10, ray_options={"num_cpus": 0.5}).take_all()
    assert [row["response"] for row in rows] == [f"echo {number}" for number in range(200)]


def test_what_is_not_taken_is_not_sent(engine):
    """A dataset that is left early ends the requests."""
    from polyglot_batch.ray import prompt_stage

    simulator = engine(echo, pace=Pace(first_delay=0.05))
    dataset = ray.data.from_items([{"prompt": f"{number}"} for number in range(5000)])
    assert len(prompt_stage(dataset, "sim", concurrency=4, batch_size=4).take(4)) == 4
    time.sleep(1)
    sent = len(simulator.requests)
    time.sleep(1)
    assert len(simulator.requests) == sent < 5000


def test_a_connection_that_the_worker_does_not_know(engine):
    """The error of the worker names the connection."""
    from polyglot_batch.ray import prompt_stage

    engine(echo)
    with pytest.raises(Exception, match="Nothing is called 'nowhere'"):
        prompt_stage(ray.data.from_items([{"prompt": "a"}]), "nowhere").take_all()
