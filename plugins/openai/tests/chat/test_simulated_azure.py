"""OpenAI chat completions at the deployments of Azure."""

from __future__ import annotations

import json

import pytest

from polyglot_simulator import Simulator

PATH = "/openai/deployments/my%20gpt/chat/completions"
ASKED = {"model": "ignored", "messages": [{"role": "user", "content": "Hello"}]}


def ask(call, path, headers="", *, stream=False, **settings):
    with Simulator("Hello!", **settings) as simulator:
        return call(simulator).send("POST", path, json.dumps({**ASKED, "stream": stream}).encode(), headers).response()


def test_stream_begins_with_the_filter_results_of_the_prompt(call):
    """The first chunk has no id, no model and no choices; what follows is OpenAI's."""
    body = ask(call, f"{PATH}?api-version=2024-10-21", stream=True)[1]
    blocks = body.decode().split("\n\n")
    first, second = (json.loads(block.removeprefix("data: ")) for block in blocks[:2])
    assert (first["id"], first["model"], first["choices"]) == ("", "", [])
    assert first["prompt_filter_results"][0]["content_filter_results"]["hate"] == {
        "filtered": False,
        "severity": "safe",
    }
    assert second["choices"][0]["delta"]["role"] == "assistant"
    assert blocks[-2:] == ["data: [DONE]", ""]


def test_the_deployment_is_the_model(call):
    """The response names the deployment of the path, decoded, whatever the body asked for."""
    status, body = ask(call, f"{PATH}?x=1&api-version=2024-10-21")
    assert (status, body["model"]) == (200, "my gpt")
    assert body["choices"][0]["message"]["content"] == "Hello!"
    assert "content_filter_results" in body["choices"][0]


@pytest.mark.parametrize("query", ["", "?", "?api-version=", "?version=2024-10-21"])
def test_without_a_version_there_is_nothing(call, query):
    """A path without ``api-version`` is unknown."""
    status, body = ask(call, PATH + query)
    assert (status, body["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(("header", "status"), [("api-key", 200), ("x-key", 401)])
def test_key_is_sent_in_its_own_header(call, header, status):
    """The key is read from ``api-key``."""
    answer = ask(call, f"{PATH}?api-version=1", f"{header}: test-key\r\n", api_key="test-key")
    assert answer[0] == status


def test_the_connection_leads_to_the_resource():
    """The address is that of the resource; the driver adds deployment and version."""
    with Simulator() as simulator:
        connection = simulator.connection_for("azure-openai")
        assert connection.base_url == f"http://127.0.0.1:{simulator.port}"
        assert (connection.auth_header, connection.auth_scheme) == ("api-key", "")
