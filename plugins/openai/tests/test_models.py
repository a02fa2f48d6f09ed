"""The list of models: the requests for its pages, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

import polyglot_openai.chat.azure
import polyglot_openai.chat.driver
import polyglot_openai.responses.driver
from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Connection, Model
from polyglot_core.testing import bind
from polyglot_testkit import list_models

MODULES = {
    "openai": polyglot_openai.chat.driver,
    "openai-responses": polyglot_openai.responses.driver,
    "azure-openai": polyglot_openai.chat.azure,
}
AZURE = "https://mine.openai.azure.com"
VERSION = "?api-version=2025-04-01-preview"
ROW = {"id": "gpt-leaf", "object": "model", "created": 1770000000, "owned_by": "openai"}
CREATED = datetime.fromtimestamp(1770000000, UTC)


def bound(driver, base_url=None, **facts):
    base_url = AZURE if driver == "azure-openai" and base_url is None else base_url
    connection = Connection(name="here", driver=driver, base_url=base_url, api_key="test-key", facts=facts)
    return bind(MODULES[driver], connection)


@pytest.mark.parametrize(
    "body", [{"object": "list", "data": [ROW]}, {"models": [ROW]}, [ROW]], ids=["data", "models", "alone"]
)
@pytest.mark.parametrize("driver", MODULES)
def test_the_list_is_read(driver, body):
    """It has one page. Some servers send it alone, or in another field."""
    models, requests, error = list_models(bound(driver), [json.dumps(body).encode()])
    assert (error, len(requests), requests[0].method, requests[0].body) == (None, 1, "GET", b"")
    assert models == [Model(id="gpt-leaf", created=CREATED, raw=ROW)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"context_window": 131072, "max_completion_tokens": 32768}, (131072, 32768)),
        ({"context_length": 200000, "top_provider": {"max_completion_tokens": 64000}}, (200000, 64000)),
        ({"context_length": 200000, "top_provider": {"max_completion_tokens": None}}, (200000, None)),
        ({"max_model_len": 4096}, (4096, None)),
        ({"context_length": 0, "max_output_tokens": "8192"}, (None, 8192)),
        ({"context_length": "long"}, (None, None)),
    ],
    ids=["window", "length", "null", "max_model_len", "text", "a word"],
)
def test_limits_are_read_in_the_spellings_of_endpoints(fields, expected):
    """OpenAI states none; others do, under different names."""
    (model,) = list_models(bound("openai"), [json.dumps({"data": [{**ROW, **fields}]}).encode()]).models
    assert (model.context_tokens, model.output_tokens) == expected
    assert model.raw == {**ROW, **fields}


@pytest.mark.parametrize("created", [None, 0, "", "soon", 10**30, {"at": 1}], ids=str)
def test_a_date_that_is_none_is_not_read(created):
    """It stays in the provider's object, and no model is lost for it."""
    (model,) = list_models(bound("openai"), [json.dumps({"data": [{**ROW, "created": created}]}).encode()]).models
    assert (model.created, model.raw["created"]) == (None, created)


@pytest.mark.parametrize(
    ("driver", "base_url", "facts", "url"),
    [
        ("openai", None, {}, "https://api.openai.com/v1/models"),
        ("openai", "http://127.0.0.1:1/v1/", {"query": {"a": "b"}}, "http://127.0.0.1:1/v1/models?a=b"),
        ("openai-responses", None, {}, "https://api.openai.com/v1/models"),
        ("openai-responses", "http://127.0.0.1:1/v1", {"query": {"a": "b"}}, "http://127.0.0.1:1/v1/models?a=b"),
        ("azure-openai", AZURE, {}, f"{AZURE}/openai/models{VERSION}"),
        ("azure-openai", f"{AZURE}/openai/", {}, f"{AZURE}/openai/models{VERSION}"),
        ("azure-openai", f"{AZURE}/openai/deployments/leaf", {}, f"{AZURE}/openai/models{VERSION}"),
        (
            "azure-openai",
            "https://mine.services.ai.azure.com/models",
            {"query": {"api-version": "2024-10-21"}},
            "https://mine.services.ai.azure.com/openai/models?api-version=2024-10-21",
        ),
    ],
)
def test_the_list_is_next_to_the_other_paths(driver, base_url, facts, url):
    """It has the query of the facts. On Azure its path has no deployment."""
    assert list_models(bound(driver, base_url, **facts), ()).requests[0].url == url


def test_headers_of_the_facts_are_sent():
    """An endpoint that requires a header for chat requires it here too."""
    assert list_models(bound("openai", headers={"x-a": "b"}), ()).requests[0].headers["x-a"] == "b"


def test_a_resource_of_azure_is_needed():
    """There is no default."""
    driver = bind(MODULES["azure-openai"], Connection(name="here", driver="azure-openai", api_key="test-key"))
    with pytest.raises(ConfigError, match="base URL of your resource"):
        list_models(driver, ())
