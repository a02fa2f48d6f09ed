"""Daft's `prompt` over a connection, with the real engine in local mode. Runs where Daft is installed."""

from __future__ import annotations

import pickle

import pytest
from pydantic import BaseModel

from polyglot_core import Image, RequestError, Text
from polyglot_simulator import Status

pytestmark = [pytest.mark.engines, pytest.mark.http]

daft = pytest.importorskip("daft")


class City(BaseModel):
    """A type of answers."""

    name: str
    people: int


@pytest.fixture
def provider(tmp_path, monkeypatch, polyglot_simulators):
    """Return a function that starts a simulator, and returns Daft's provider for it."""
    from polyglot_batch.daft import PolyglotProvider

    def start(reply, **options):
        simulator = polyglot_simulators(reply, **options)
        config = tmp_path / "polyglot.toml"
        config.write_text(
            f'[connections.sim]\ndriver = "openai"\nbase_url = "{simulator.base_url}"\nmodel = "m"\nretries = 6\n'
        )
        monkeypatch.setenv("POLYGLOT_CONFIG", str(config))
        return simulator, PolyglotProvider("sim")

    return start


def echo(request):
    """Reply with the prompt."""
    content = request.body["messages"][-1]["content"]
    return "echo " + (content if isinstance(content, str) else content[0]["text"])


def test_a_thousand_rows_with_faults(provider):
    """Each row has its response, in order, although one request in twenty fails."""
    from daft.functions.ai import prompt

    kinds = {7: Status(503), 27: Status(429, headers=[("retry-after", "0.05")])}
    faults = [kinds.get(number % 40) for number in range(1100)]
    simulator, polyglot = provider(echo, faults=faults)
    frame = daft.from_pydict({"question": [f"row {number}" for number in range(1000)]})
    frame = frame.with_column(
        "answer", prompt(daft.col("question"), system_message="Be brief.", provider=polyglot, temperature=0)
    )
    rows = frame.to_pydict()
    assert rows["answer"] == [f"echo row {number}" for number in range(1000)]
    assert len(simulator.requests) > 1000
    body = simulator.requests[0].body
    assert (body["messages"][0]["content"], body["temperature"], body["model"]) == ("Be brief.", 0, "m")


def test_errors_are_values(provider):
    """With `on_error`, a row whose call fails is null."""
    from daft.functions.ai import prompt

    _, polyglot = provider("pong", fault=Status(400))
    frame = daft.from_pydict({"question": ["a", "b"]})
    frame = frame.with_column("answer", prompt(daft.col("question"), provider=polyglot, on_error="ignore"))
    assert frame.to_pydict()["answer"] == [None, None]


def test_typed_answers(provider):
    """`return_format` is a type, whose value is a struct."""
    pytest.importorskip("polyglot_answers")
    from daft.functions.ai import prompt

    _, polyglot = provider('{"name": "Bern", "people": 134000}')
    frame = daft.from_pydict({"question": ["Capital?"]})
    frame = frame.with_column("city", prompt(daft.col("question"), return_format=City, provider=polyglot))
    assert frame.to_pydict()["city"] == [{"name": "Bern", "people": 134000}]


def test_images_and_files():
    """Bytes are sent by their type."""
    from polyglot_batch.daft import parts_of

    png = b"\x89PNG\r\n\x1a\n" + b"0" * 32
    assert parts_of(("Look:", png)) == [Text("Look:"), Image(data=png, mime_type="image/png")]
    with pytest.raises(RequestError, match="Column 1 of the prompt holds int"):
        parts_of(("a", 3))


def test_what_travels_has_no_key(provider, monkeypatch):
    """A descriptor is pickled with the name of its connection."""
    monkeypatch.setenv("POLYGLOT_SIM_API_KEY", "very-secret")
    _, polyglot = provider("pong")
    asked = polyglot.get_prompter(temperature=0)
    asked.instantiate()
    assert b"very-secret" not in pickle.dumps(asked)
    assert pickle.loads(pickle.dumps(asked)) == asked  # noqa: S301 (our own)
