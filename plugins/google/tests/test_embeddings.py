"""Embeddings: what is sent for each option, and what is read from the bodies of the provider."""

from __future__ import annotations

import json

import pytest

import polyglot_google.gemini
import polyglot_google.vertex
from polyglot_core.errors import Malformed, RequestError
from polyglot_core.plugin import Connection, Usage
from polyglot_core.testing import bind
from polyglot_testkit import check_embeddings, embed_texts

GEMINI = bind(polyglot_google.gemini, Connection(name="here", driver="gemini", api_key="test-key"))
FACTS = {"project": "p", "location": "europe-west4"}
VERTEX = bind(polyglot_google.vertex, Connection(name="here", driver="vertex", api_key="test-key", facts=FACTS))
ROOT = "https://generativelanguage.googleapis.com/v1beta"
VERTEX_ROOT = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google"


def test_batches_of_gemini_pass_their_check():
    """The check of the testkit."""
    data = {"embeddings": [{"values": [0.5, 1]}, {"values": [-1, 0.25]}], "usageMetadata": {"promptTokenCount": 4}}
    found = check_embeddings(GEMINI, ["one", "two"], json.dumps(data).encode())
    assert found.vectors == [[0.5, 1.0], [-1.0, 0.25]]
    assert found.usage == Usage(input_tokens=4, raw={"promptTokenCount": 4})


def test_predictions_of_vertex_pass_their_check():
    """The tokens of the texts are summed, and the statistics kept."""
    statistics = [{"truncated": False, "token_count": 3}, {"truncated": True, "token_count": 2048}]
    predictions = [
        {"embeddings": {"statistics": each, "values": [number, 1]}} for number, each in enumerate(statistics)
    ]
    data = json.dumps({"predictions": predictions, "metadata": {"billableCharacterCount": 9}}).encode()
    found = check_embeddings(VERTEX, ["one", "two"], data, model="text-embedding-005")
    assert found.vectors == [[0.0, 1.0], [1.0, 1.0]]
    assert found.usage.input_tokens == 2051
    assert found.raw == ({"metadata": {"billableCharacterCount": 9}, "statistics": statistics},)


def test_a_gemini_model_of_vertex_passes_its_check():
    """It has one text in a request."""
    data = {"embedding": {"values": [0.5, 1]}, "usageMetadata": {"promptTokenCount": 4}, "truncated": False}
    found = check_embeddings(VERTEX, ["one"], json.dumps(data).encode(), model="gemini-embedding-001")
    assert (found.vectors, found.usage.input_tokens, found.raw[0]["truncated"]) == ([[0.5, 1.0]], 4, False)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {}),
        ({"dimensions": 5}, {"outputDimensionality": 5}),
        ({"input_type": "query", "encoding": "float"}, {"taskType": "RETRIEVAL_QUERY"}),
    ],
    ids=str,
)
def test_fields_of_the_three_methods(options, sent):
    """The settings are in each request, in an object of their own, or in parameters and instances."""
    wire = embed_texts(GEMINI, ["a", "b"], model="leaf", **options).request
    requests = [{"model": "models/leaf", "content": {"parts": [{"text": text}]}, **sent} for text in "ab"]
    assert (wire.url, json.loads(wire.body)) == (f"{ROOT}/models/leaf:batchEmbedContents", {"requests": requests})

    wire = embed_texts(VERTEX, ["a"], model="gemini-leaf", **options).request
    body = {"content": {"parts": [{"text": "a"}]}, **({"embedContentConfig": sent} if sent else {})}
    assert (wire.url, json.loads(wire.body)) == (f"{VERTEX_ROOT}/models/gemini-leaf:embedContent", body)

    wire = embed_texts(VERTEX, ["a", "b"], model="leaf", **options).request
    task = {"task_type": sent["taskType"]} if "taskType" in sent else {}
    parameters = {"parameters": {"outputDimensionality": 5}} if "outputDimensionality" in sent else {}
    body = {"instances": [{"content": text, **task} for text in "ab"], **parameters}
    assert (wire.url, json.loads(wire.body)) == (f"{VERTEX_ROOT}/models/leaf:predict", body)


@pytest.mark.parametrize("driver", [GEMINI, VERTEX], ids=["gemini", "vertex"])
def test_base64_is_refused(driver):
    """The APIs have none."""
    with pytest.raises(RequestError, match="cannot express the encoding 'base64'"):
        embed_texts(driver, "a", encoding="base64")


@pytest.mark.parametrize("data", [b"{}", b'{"embeddings": [{}]}', b'{"embeddings": [{"values": ["x"]}]}'])
def test_body_without_vectors_is_an_error(data):
    """It is no short list."""
    assert isinstance(embed_texts(GEMINI, "a", data).error, Malformed)


def test_limits_depend_on_the_model():
    """On Vertex AI."""
    assert GEMINI.embedding_limits("m", None) == (100, None)
    assert VERTEX.embedding_limits("text-embedding-005", None) == (250, 20_000)
    assert VERTEX.embedding_limits("publishers/google/models/gemini-embedding-001", None) == (1, None)
