"""Embeddings: what is sent for each option and fact, and what is read from the bodies of servers."""

from __future__ import annotations

import base64
import json
import struct

import pytest

import polyglot_openai.chat.azure
import polyglot_openai.chat.driver
from polyglot_core.errors import ConfigError, Malformed, RequestError
from polyglot_core.plugin import Connection, Usage
from polyglot_core.testing import bind
from polyglot_testkit import check_embeddings, embed_texts

AZURE = "https://mine.openai.azure.com"


def bound(module=polyglot_openai.chat.driver, base_url=None, **facts):
    driver = "openai" if module is polyglot_openai.chat.driver else "azure-openai"
    return bind(module, Connection(name="here", driver=driver, base_url=base_url, api_key="test-key", facts=facts))


def row(index, *numbers, **fields):
    return {"object": "embedding", "index": index, "embedding": list(numbers), **fields}


def body(*rows, **fields):
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return json.dumps({"object": "list", "data": rows, "model": "m-1", "usage": usage, **fields}).encode()


def base64_of(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize("module", [polyglot_openai.chat.driver, polyglot_openai.chat.azure], ids=["openai", "azure"])
def test_embeddings_pass_their_check(module):
    """The check of the testkit."""
    driver = bound(module, AZURE)
    found = check_embeddings(driver, ["one", "two"], body(row(0, 0.5, 1), row(1, -1, 0.25)))
    assert found.vectors == [[0.5, 1.0], [-1.0, 0.25]]
    assert found.usage == Usage(input_tokens=7, raw={"prompt_tokens": 7, "total_tokens": 7})
    assert (found.model, found.raw[0]["object"]) == ("m-1", "list")
    assert "data" not in found.raw[0]


def test_rows_are_ordered_by_index():
    """A server that works in parallel may send them in another order."""
    found = embed_texts(bound(), "abc", body(row(2, 3), row(0, 1), row(1, 2)))
    assert found.embeddings.vectors == [[1.0], [2.0], [3.0]]


def test_rows_without_an_index_keep_their_order():
    """Some servers leave it out."""
    rows = [{"embedding": [1]}, {"embedding": [2], "index": None}]
    assert embed_texts(bound(), "ab", body(*rows)).embeddings.vectors == [[1.0], [2.0]]


def test_index_that_is_repeated_is_an_error():
    """One of the texts has no vector."""
    found = embed_texts(bound(), "ab", body(row(0, 1), row(0, 2)))
    assert isinstance(found.error, Malformed)
    assert "1 vectors for the 2 texts" in str(found.error)


def test_base64_is_read_as_floats_of_32_bits():
    """The least significant byte is first."""
    numbers = base64_of(0.1, -2.5)
    found = embed_texts(bound(), "a", body(row(0, embedding=numbers)))
    assert found.embeddings.vectors == [list(struct.unpack("<2f", struct.pack("<2f", 0.1, -2.5)))]


@pytest.mark.parametrize("odd", ["AAA", "AAAA", "!!!!", base64_of(float("nan")), base64_of(float("inf"), 1)])
def test_text_that_is_no_vector_is_an_error(odd):
    """No base64, no 32-bit floats, or no finite ones."""
    assert isinstance(embed_texts(bound(), "a", body(row(0, embedding=odd))).error, Malformed)


@pytest.mark.parametrize(
    ("facts", "options", "sent"),
    [
        ({}, {}, {"encoding_format": "base64"}),
        ({}, {"encoding": "float"}, {"encoding_format": "float"}),
        ({"embedding_encoding": "float"}, {}, {"encoding_format": "float"}),
        ({"embedding_encoding": None}, {}, {}),
        ({"embedding_encoding": None}, {"encoding": "base64"}, {"encoding_format": "base64"}),
        ({"body": {"safe_prompt": True}}, {"dimensions": 5}, {"encoding_format": "base64", "dimensions": 5}),
    ],
    ids=["usual", "option", "fact", "no field", "option over fact", "dimensions"],
)
def test_fields_of_the_body(facts, options, sent):
    """The fact `body` is for completions."""
    wire = embed_texts(bound(**facts), ["a", "b"], **options).request
    assert json.loads(wire.body) == {"model": "m", "input": ["a", "b"], **sent}


def test_input_type_is_not_in_the_dialect():
    """Endpoints that have one name it differently."""
    with pytest.raises(RequestError, match="cannot express option 'input_type'; use extra="):
        embed_texts(bound(), "a", input_type="query")


@pytest.mark.parametrize(
    ("module", "base_url", "facts", "url"),
    [
        ("driver", None, {}, "https://api.openai.com/v1/embeddings"),
        ("driver", "http://127.0.0.1:1/v1/", {"query": {"a": "b"}}, "http://127.0.0.1:1/v1/embeddings?a=b"),
        ("driver", "http://127.0.0.1:1", {"embedding_path": "/embed"}, "http://127.0.0.1:1/embed"),
        ("azure", AZURE, {}, f"{AZURE}/openai/deployments/m/embeddings?api-version=2025-04-01-preview"),
        (
            "azure",
            f"{AZURE}/openai/deployments/leaf",
            {"query": {"api-version": "1"}},
            f"{AZURE}/openai/deployments/leaf/embeddings?api-version=1",
        ),
    ],
)
def test_path_of_the_endpoint(module, base_url, facts, url):
    """The path is a fact; on Azure it has the deployment, which is the model."""
    found = {"driver": polyglot_openai.chat.driver, "azure": polyglot_openai.chat.azure}[module]
    wire = embed_texts(bound(found, base_url, **facts), "a").request
    assert (wire.url, wire.framing) == (url, "whole")


def test_limits_are_a_fact():
    """Those of OpenAI, unless the row states others."""
    assert bound().embedding_limits("m", None) == (2048, 300_000)
    assert bound(embedding_limits=[64, None]).embedding_limits("m", None) == (64, None)
    with pytest.raises(ConfigError, match="embedding_limits"):
        bound(embedding_limits=64).embedding_limits("m", None)


def test_headers_of_the_facts_are_sent():
    """An endpoint that requires a header for chat requires it here too."""
    assert embed_texts(bound(headers={"x-a": "b"}), "a").request.headers["x-a"] == "b"
