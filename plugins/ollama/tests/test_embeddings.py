"""Embeddings: what is sent for each option, and what is read from the bodies of the provider."""

from __future__ import annotations

import json

import pytest

import polyglot_ollama.driver
from polyglot_core.errors import Malformed, RequestError
from polyglot_core.plugin import Connection, Usage
from polyglot_core.testing import bind
from polyglot_testkit import check_embeddings, embed_texts

DRIVER = bind(polyglot_ollama.driver, Connection(name="here", driver="ollama"))


def body(*vectors, **fields):
    return json.dumps({"model": "nomic-embed-text", "embeddings": vectors, "total_duration": 5, **fields}).encode()


def test_embeddings_pass_their_check():
    """The check of the testkit."""
    found = check_embeddings(DRIVER, ["one", "two"], body([0.5, 1], [-1, 0.25], prompt_eval_count=4))
    assert found.vectors == [[0.5, 1.0], [-1.0, 0.25]]
    assert (found.usage, found.model) == (Usage(input_tokens=4, raw={"prompt_eval_count": 4}), "nomic-embed-text")
    assert found.raw[0]["total_duration"] == 5


def test_older_servers_count_no_tokens():
    """They leave the field out."""
    assert embed_texts(DRIVER, "a", body([1])).embeddings.usage is None


def test_no_vectors_are_an_error():
    """The list may be empty."""
    assert isinstance(embed_texts(DRIVER, "a", body()).error, Malformed)


@pytest.mark.parametrize(
    ("options", "sent"), [({}, {}), ({"dimensions": 5}, {"dimensions": 5}), ({"encoding": "float"}, {})], ids=str
)
def test_fields_of_the_body(options, sent):
    """The dialect has few."""
    wire = embed_texts(DRIVER, ["a", "b"], **options).request
    assert wire.url == "http://localhost:11434/api/embed"
    assert json.loads(wire.body) == {"model": "m", "input": ["a", "b"], **sent}


@pytest.mark.parametrize("options", [{"input_type": "query"}, {"encoding": "base64"}], ids=str)
def test_options_that_the_driver_refuses(options):
    """None is dropped."""
    with pytest.raises(RequestError, match="cannot express"):
        embed_texts(DRIVER, "a", **options)
