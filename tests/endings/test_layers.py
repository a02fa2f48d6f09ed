"""No layer over a transport exposes a key in the error of a call: recorder, cache and replay."""

from __future__ import annotations

import asyncio

import pytest

from polyglot_core import AsyncInference, Inference, PolyglotError
from polyglot_simulator import Drop, Simulator
from polyglot_testkit import Replay, cached, recorded

from .secrecy import texts_of

pytestmark = pytest.mark.http

KEY = "sk-garden-11223344"

LAYERS = {
    "recorder": lambda inference, folder: recorded(inference, folder / "recordings"),
    "cache in a folder": lambda inference, folder: cached(inference, folder / "cache"),
    "cache in a file": lambda inference, folder: cached(inference, folder / "cache.sqlite"),
    "replay": lambda inference, _: Replay([]).attach(inference),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("failure", ["dropped", "refused"])
@pytest.mark.parametrize("kind", [Inference, AsyncInference], ids=["sync", "async"])
def test_an_error_through_a_layer_has_no_key(tmp_path, layer, failure, kind):
    """Neither its texts, its frames nor its causes have it."""
    with Simulator("One two three four.", fault=Drop(after_events=3)) as simulator:
        url = simulator.base_url if failure == "dropped" else "http://127.0.0.1:9/v1"
        connection = simulator.connection.with_changes(api_key=KEY, base_url=url)
        inference = LAYERS[layer](kind.from_connection(connection), tmp_path)
        with pytest.raises(PolyglotError) as raised:
            text = inference.text("Hello", stream=True)
            asyncio.run(text) if kind is AsyncInference else text
    assert [text for text in texts_of(raised.value) if KEY in text] == []
    assert KEY not in repr(inference.connection)
