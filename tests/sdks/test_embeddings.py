"""The providers' own clients and Polyglot return the same vectors and counts for the same texts."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from polyglot_core import Inference
from polyglot_simulator import Simulator
from polyglot_simulator.dialect import vector_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sdks

KEY = "test-key"
SETTINGS = ("AWS_", "AZURE_", "CO_", "COHERE_", "GEMINI_", "GOOGLE_", "MISTRAL_", "OLLAMA_", "OPENAI_")
TEXTS = ["One.", "Zwei: grüße!", "三 🌧 " * 5]
SIZE = 512


class Result(NamedTuple):
    """What a client returns: the vectors, and the tokens of the texts, if the provider states them."""

    vectors: list[list[float]]
    tokens: int | None


def _of_openai(answer: Any) -> Result:
    return Result([row.embedding for row in answer.data], answer.usage.prompt_tokens)


def openai(root: str, model: str, encoding: str | None = None) -> Result:
    """Use OpenAI's client; without an encoding it requests base64."""
    from openai import OpenAI

    with OpenAI(base_url=f"{root}/v1", api_key=KEY, max_retries=0) as client:
        more: dict[str, Any] = {"encoding_format": encoding} if encoding else {}
        return _of_openai(client.embeddings.create(model=model, input=TEXTS, dimensions=SIZE, **more))


def openai_in_digits(root: str, model: str) -> Result:
    """Request numbers as text."""
    return openai(root, model, "float")


def azure(root: str, model: str) -> Result:
    """Use OpenAI's client for Azure."""
    from openai import AzureOpenAI

    with AzureOpenAI(azure_endpoint=root, api_key=KEY, api_version="2025-04-01-preview", max_retries=0) as client:
        return _of_openai(client.embeddings.create(model=model, input=TEXTS, dimensions=SIZE))


def mistral(root: str, model: str) -> Result:
    """Use Mistral's client."""
    from mistralai.client import Mistral

    with Mistral(api_key=KEY, server_url=f"{root}/mistral") as client:
        return _of_openai(client.embeddings.create(model=model, inputs=TEXTS, output_dimension=SIZE))


def cohere(root: str, model: str) -> Result:
    """Use Cohere's client, in its second version."""
    import cohere as official
    import httpx

    with httpx.Client() as http:
        client = official.ClientV2(base_url=root, api_key=KEY, httpx_client=http)
        answer = client.embed(
            model=model,
            texts=TEXTS,
            input_type="search_query",
            embedding_types=["float"],
            output_dimension=SIZE,
        )
    return Result(answer.embeddings.float_, answer.meta.billed_units.input_tokens)


def ollama(root: str, model: str) -> Result:
    """Use Ollama's client."""
    import ollama as official

    with official.Client(host=root, headers={"authorization": f"Bearer {KEY}"}) as client:
        answer = client.embed(model=model, input=TEXTS, dimensions=SIZE)
    return Result([list(vector) for vector in answer.embeddings], answer.prompt_eval_count)


def _google(client: Any, model: str) -> list[Any]:
    from google.genai import types

    config = types.EmbedContentConfig(output_dimensionality=SIZE, task_type="RETRIEVAL_QUERY")
    return list(client.models.embed_content(model=model, contents=TEXTS, config=config).embeddings)


def gemini(root: str, model: str) -> Result:
    """Use Google's client for the Gemini API. It does not return the tokens."""
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": root})
    return Result([each.values for each in _google(client, model)], None)


def vertex(root: str, model: str) -> Result:
    """Use Google's client for Vertex AI."""
    from google import genai

    client = genai.Client(vertexai=True, api_key=KEY, http_options={"base_url": root})
    found = _google(client, model)
    counts = [each.statistics.token_count if each.statistics else None for each in found]
    return Result([each.values for each in found], None if None in counts else sum(map(int, counts)))


def bedrock(root: str, bodies: list[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """Use Amazon's client, which returns the bodies of the models' makers as they are."""
    import boto3

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=root,
        region_name="us-east-1",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
    )
    answers = [client.invoke_model(modelId=model, body=json.dumps(body)) for body in bodies]
    found = [json.loads(answer["body"].read()) for answer in answers]
    client.close()
    return found


def titan(root: str, model: str) -> Result:
    """Invoke Titan once for each text."""
    answers = bedrock(root, [{"inputText": text, "dimensions": SIZE} for text in TEXTS], model)
    return Result([each["embedding"] for each in answers], sum(each["inputTextTokenCount"] for each in answers))


def cohere_on_bedrock(root: str, model: str) -> Result:
    """Invoke Cohere's model once for all texts."""
    body = {"texts": TEXTS, "input_type": "search_query", "embedding_types": ["float"], "output_dimension": SIZE}
    (answer,) = bedrock(root, [body], model)
    return Result(answer["embeddings"]["float"], None)


class Case(NamedTuple):
    """A provider: its client here, what Polyglot is called with, and whether both send the same bodies."""

    official: Callable[[str, str], Result]
    driver: str
    model: str
    purpose: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012 (it is not changed)
    same: bool = True


QUERY = {"input_type": "query"}
CASES = {
    "openai": Case(openai, "openai", "text-embedding-3-small"),
    "openai, in digits": Case(openai_in_digits, "openai", "text-embedding-3-small", "", {"encoding": "float"}),
    "azure-openai": Case(azure, "azure-openai", "my-deployment"),
    "mistral": Case(mistral, "mistral", "codestral-embed"),
    "cohere": Case(cohere, "cohere", "embed-v4.0", "search_query", QUERY),
    "ollama": Case(ollama, "ollama", "nomic-embed-text"),
    "gemini": Case(gemini, "gemini", "gemini-embedding-001", "RETRIEVAL_QUERY", QUERY, same=False),  # with a role
    "vertex": Case(vertex, "vertex", "text-embedding-005", "RETRIEVAL_QUERY", QUERY),
    "vertex, a Gemini model": Case(vertex, "vertex", "gemini-embedding-001", "RETRIEVAL_QUERY", QUERY, same=False),
    "bedrock, Titan": Case(titan, "bedrock", "amazon.titan-embed-text-v2:0"),
    "bedrock, Cohere": Case(cohere_on_bedrock, "bedrock", "cohere.embed-v4:0", "search_query", QUERY),
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """Remove the variables and files of this machine that a client would read."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_own_client_and_polyglot_return_the_same(case):
    """Vectors are equal number by number; counts are, where the provider's client returns them."""
    with Simulator(api_key=None if case.driver == "bedrock" else KEY) as simulator:
        official = case.official(simulator.base_url.removesuffix("/v1"), case.model)
        sent = len(simulator.requests)
        connection = simulator.connection_for(case.driver)
        options = {"dimensions": SIZE, **case.options}
        ours = Inference.from_connection(connection).embed(TEXTS, model=case.model, options=options)
        bodies = [request.body for request in simulator.requests]
    assert official.vectors == ours.vectors == [vector_of(text, SIZE, case.purpose) for text in TEXTS]
    if official.tokens is not None:
        assert ours.usage is not None
        assert official.tokens == ours.usage.input_tokens
    assert (bodies[:sent] == bodies[sent:]) is case.same
