"""The modules for Daft and Ray Data, called as the engines call them, without the engines.

Of Daft, whose classes are bases, there are stand-ins with its public shape. `test_daft.py` and `test_ray.py` are the
same with the engines.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType, SimpleNamespace

import pytest
from msgspec import Struct

from polyglot_core import ConfigError, Connection, RequestError
from polyglot_core.errors import InvalidRequest
from polyglot_simulator import Pace, Status

pytestmark = pytest.mark.http

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 32


@pytest.fixture
def simulator(tmp_path, monkeypatch, polyglot_simulators):
    """Return a function that starts a simulator, to which the connection ``sim`` of the configuration leads."""

    def start(reply, retries=0, **options):
        running = polyglot_simulators(reply, **options)
        config = tmp_path / "polyglot.toml"
        config.write_text(
            f'[connections.sim]\ndriver = "openai"\nbase_url = "{running.base_url}"\nmodel = "m"\n'
            f"retries = {{ max_retries = {retries}, initial_backoff = 0.01 }}\n"
        )
        monkeypatch.setenv("POLYGLOT_CONFIG", str(config))
        monkeypatch.setenv("POLYGLOT_SIM_API_KEY", "very-secret")
        return running

    return start


def echo(request):
    """Reply with the prompt."""
    return "echo " + request.body["messages"][-1]["content"]


# Daft


class Descriptor:
    """A stand-in for Daft's descriptor of a prompter."""

    def get_udf_options(self):
        """Return options of a user-defined function, as far as they are looked at."""
        return SimpleNamespace(max_retries=3, on_error=self.get_options().get("on_error", "raise"))


@dataclass
class File:
    """A stand-in for Daft's file."""

    data: bytes
    kind: str

    def open(self):
        """Return a file to read."""
        import io

        return io.BytesIO(self.data)

    def mime_type(self):
        """Return the type."""
        return self.kind


@pytest.fixture
def daft(monkeypatch):
    """Return the module for Daft, over stand-ins, and the token metrics that were recorded."""
    metrics = []
    parts = {
        "daft": {},
        "daft.ai": {},
        "daft.ai.protocols": {"Prompter": type("Prompter", (), {}), "PrompterDescriptor": Descriptor},
        "daft.ai.provider": {"Provider": type("Provider", (), {})},
        "daft.ai.metrics": {"record_token_metrics": lambda **counts: metrics.append(counts)},
        "daft.daft": {"guess_mimetype_from_content": lambda data: "image/png" if data.startswith(b"\x89PNG") else None},
        "daft.file": {"File": File},
    }
    for name, members in parts.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "polyglot_batch.daft", raising=False)
    yield import_module("polyglot_batch.daft"), metrics
    sys.modules.pop("polyglot_batch.daft", None)


class City(Struct):
    """A type of answers."""

    name: str
    people: int


def prompter_of(module, *given, **options):
    """Return a prompter, made as on a worker: of a descriptor that has travelled."""
    asked = module.PolyglotProvider("sim").get_prompter(*given, **options)
    sent = pickle.dumps(asked)
    assert b"very-secret" not in sent
    return pickle.loads(sent).instantiate()  # noqa: S301 (our own)


def test_daft_prompts_with_text_images_and_files(daft, simulator):
    """The call has the model, the options, the system message and the parts, and its tokens are counted."""
    module, metrics = daft
    running = simulator("A cat.")
    prompter = prompter_of(module, "m2", system_message="Be brief.", temperature=0, on_error="ignore", concurrency=4)
    messages = ("Look:", PNG, File(b"a note", "text/plain; charset=utf-8"))
    assert asyncio.run(prompter.prompt(messages)) == "A cat."
    body = running.requests[0].body
    assert (body["model"], body["temperature"], body["messages"][0]["content"]) == ("m2", 0, "Be brief.")
    assert [part["type"] for part in body["messages"][1]["content"]] == ["text", "image_url", "text"]
    assert not {"on_error", "concurrency"} & body.keys()
    (counted,) = metrics
    assert (counted["protocol"], counted["model"], counted["provider"]) == ("prompt", "m2", "polyglot")
    assert counted["input_tokens"] > 0


def test_daft_prompts_for_a_type(daft, simulator):
    """With a `return_format`, the value is of that type."""
    pytest.importorskip("polyglot_answers")
    simulator('{"name": "Bern", "people": 134000}')
    prompter = prompter_of(daft[0], None, City)
    assert asyncio.run(prompter.prompt(("Capital?",))) == City("Bern", 134000)


def test_daft_decides_on_errors(daft, simulator):
    """Errors are raised, and Daft does not retry what the connection has retried."""
    module, metrics = daft
    running = simulator("pong", retries=1, faults=[Status(503), Status(400)])
    with pytest.raises(InvalidRequest):
        asyncio.run(prompter_of(module).prompt(("Hello",)))
    assert (len(running.requests), metrics) == (2, [])
    options = module.PolyglotProvider("sim").get_prompter(on_error="log").get_udf_options()
    assert (options.max_retries, options.on_error) == (0, "log")


def test_daft_has_a_worker_without_the_connection(daft, monkeypatch, tmp_path):
    """The error names the connection."""
    monkeypatch.setenv("POLYGLOT_CONFIG", str(tmp_path / "polyglot.toml"))
    (tmp_path / "polyglot.toml").write_text("")
    with pytest.raises(ConfigError, match="sim"):
        prompter_of(daft[0])


# Ray Data


async def batches_of(stage, *batches):
    """Return what a stage yields for batches, all of which Ray gives it at once."""

    async def done(batch):
        return [out async for out in stage(batch)]

    return [out for outs in await asyncio.gather(*map(done, batches)) for out in outs]


class Column:
    """A stand-in for a column of NumPy, or of Arrow."""

    def __init__(self, values, type=None):  # noqa: A002 (as Arrow has it)
        self.values, self.type = values, type

    def __len__(self):
        return len(self.values)

    def tolist(self):
        """Return the values, as NumPy does."""
        return list(self.values)


class ArrowColumn(Column):
    """A stand-in for a column of Arrow."""

    tolist = None

    def to_pylist(self):
        """Return the values, as Arrow does."""
        return list(self.values)


class Table:
    """A stand-in for a table of Arrow."""

    def __init__(self, columns):
        self.columns = columns

    @property
    def column_names(self):
        """Return the names of the columns."""
        return list(self.columns)

    def __getitem__(self, name):
        return self.columns[name]

    def append_column(self, name, column):
        """Return a table with another column."""
        return Table({**self.columns, name: column})


def test_ray_has_rows_in_their_order(simulator):
    """Each row has its response although requests fail, and the batches share one limit of calls in progress."""
    from polyglot_batch.ray import PolyglotStage

    faults = [None, Status(503), None, Status(429, headers=[("retry-after", "0.01")])]
    running = simulator(echo, retries=4, faults=faults, pace=Pace(first_delay=0.1))
    stage = PolyglotStage("sim", prompt="question", into="answer", concurrency=8, options={"temperature": 0})
    given = [{"id": [first + 1, first], "question": Column([f"{first + 1}", f"{first}"])} for first in range(0, 20, 2)]
    done = asyncio.run(batches_of(stage, *given))
    assert [out["id"] for out in done] == [batch["id"] for batch in given]
    assert [out["answer"] for out in done] == [[f"echo {number}" for number in batch["id"]] for batch in given]
    assert all(out["answer_error"] == out["answer_partial"] == [None, None] for out in done)
    assert done[0]["answer_finish_reason"] == ["stop", "stop"]
    assert done[0]["answer_input_tokens"][0] > 0
    assert done[0]["answer_output_tokens"][0] > 0
    assert running.requests[0].body["temperature"] == 0
    times = [request.received_at for request in running.requests if request.number > len(faults)]
    assert 1 < max(sum(begun <= other < begun + 0.09 for other in times) for begun in times) <= 8


def test_ray_has_errors_as_values(simulator):
    """A call that fails has its error, and the others go on; so does a row without a prompt."""
    from polyglot_batch.ray import PolyglotStage

    running = simulator("pong", faults=[Status(400)])
    stage = PolyglotStage("sim", concurrency=1)
    (out,) = asyncio.run(batches_of(stage, {"prompt": ["a", None, "c"]}))
    assert out["response"] == [None, None, "pong"]
    assert out["response_error"][0].startswith("InvalidRequest: ")
    assert out["response_error"][1].startswith("RequestError: ")
    assert out["response_error"][2] is None
    assert out["response_input_tokens"][:2] == [None, None]
    assert len(running.requests) == 2


def test_ray_keeps_what_was_received(simulator):
    """The text before an error is kept, in a column of its own."""
    from polyglot_batch.ray import PolyglotStage
    from polyglot_simulator import Cut

    simulator("one two three four", fault=Cut(after_events=3))
    (out,) = asyncio.run(batches_of(PolyglotStage("sim"), {"prompt": ["a"]}))
    assert out["response"] == [None]
    assert out["response_error"][0].startswith("Truncated: ")
    assert "one two three four".startswith(out["response_partial"][0])
    assert out["response_partial"][0]


def test_ray_has_tables_and_messages(simulator, monkeypatch):
    """A table of Arrow gets columns with types. Members of messages that Arrow has added as null are left out."""
    from polyglot_batch.ray import PolyglotStage

    arrow = ModuleType("pyarrow")
    arrow.__dict__.update(array=ArrowColumn, type_for_alias=str)
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)
    running = simulator(echo)
    messages = Column(
        [{"role": "system", "content": "Be brief.", "tool_call_id": None}, {"role": "user", "content": "Hi"}]
    )
    table = Table({"prompt": ArrowColumn([messages, "Hello"])})
    (out,) = asyncio.run(batches_of(PolyglotStage("sim", concurrency=1), table))
    assert out["response"].to_pylist() == ["echo Hi", "echo Hello"]
    assert [out[name].type for name in out.column_names[1:]] == ["string"] * 4 + ["int64"] * 2
    sent = running.requests[0].body["messages"]
    assert sent == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def test_ray_has_empty_batches(simulator):
    """An empty batch has the new columns; one without columns stays as it is."""
    from polyglot_batch.ray import PolyglotStage

    simulator(echo)
    empty, bare = asyncio.run(batches_of(PolyglotStage("sim"), {"prompt": []}, {}))
    assert (empty["response"], bare) == ([], {})


@pytest.mark.parametrize(
    ("batch", "problem"),
    [
        ({"question": ["a"]}, "no column 'prompt'.*it has 'question'"),
        ({"prompt": ["a"], "response_error": ["b"]}, "a column 'response_error' already"),
        (["a"], "A batch is list; set batch_format"),
    ],
)
def test_ray_has_wrong_batches(simulator, batch, problem):
    """The error says what is wrong, and nothing is sent."""
    from polyglot_batch.ray import PolyglotStage

    running = simulator(echo)
    with pytest.raises(RequestError, match=problem):
        asyncio.run(batches_of(PolyglotStage("sim"), batch))
    assert running.requests == []


def test_ray_has_wrong_arguments(simulator):
    """An argument that is wrong for every row is an error of the first batch, because Ray repeats those of `__init__`."""
    from polyglot_batch.ray import PolyglotStage

    running = simulator(echo)
    with pytest.raises(RequestError, match="temprature"):
        asyncio.run(batches_of(PolyglotStage("sim", options={"temprature": 0}), {"prompt": ["a"]}))
    with pytest.raises(RequestError, match="concurrency is a whole number from 1"):
        asyncio.run(batches_of(PolyglotStage("sim", concurrency=0), {"prompt": ["a"]}))
    with pytest.raises(ConfigError, match="nowhere"):
        asyncio.run(batches_of(PolyglotStage("nowhere"), {"prompt": ["a"]}))
    assert running.requests == []


@pytest.mark.parametrize(
    "connection",
    [Connection(name="c", driver="openai", api_key="very-secret"), "preset=openai,api_key=very-secret", None],
)
def test_ray_refuses_what_may_hold_a_key(connection):
    """A connection travels by name. The error says so, and does not quote what was given."""
    from polyglot_batch.ray import PolyglotStage, prompt_stage

    def call(given):
        asyncio.run(batches_of(PolyglotStage(given), {"prompt": ["a"]}))

    for refuses in (call, lambda given: prompt_stage(object(), given)):
        with pytest.raises(ConfigError, match="needs the name of a connection") as raised:
            refuses(connection)
        assert "very-secret" not in str(raised.value)
    with pytest.raises(ConfigError, match="Headers may hold a key"):
        prompt_stage(object(), "sim", headers={"Authorization": "very-secret"})


def test_ray_refuses_other_datasets(monkeypatch):
    """`prompt_stage` takes a dataset of Ray, and passes it the stage."""
    from polyglot_batch.ray import PolyglotStage, prompt_stage

    class Dataset:
        def map_batches(self, *given, **options):
            return given, options

    data = ModuleType("ray.data")
    data.__dict__.update(Dataset=Dataset, ActorPoolStrategy=lambda size: ("pool", size))
    monkeypatch.setitem(sys.modules, "ray.data", data)
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    with pytest.raises(RequestError, match=r"dataset is a ray.data.Dataset, not list"):
        prompt_stage([], "sim")
    given, options = prompt_stage(Dataset(), "sim", workers=2, concurrency=9, model="m", ray_options={"num_cpus": 0.5})
    assert given == (PolyglotStage,)
    assert options["fn_constructor_args"] == ("sim",)
    assert options["fn_constructor_kwargs"] == {
        "prompt": "prompt",
        "into": "response",
        "concurrency": 9,
        "model": "m",
    }
    assert (options["batch_size"], options["compute"], options["num_cpus"]) == (36, ("pool", 2), 0.5)
