"""A provider for the examples: the simulator, under the names of the connections that the pages use."""

from __future__ import annotations

import os
import sys

import pytest

from polyglot_simulator import Reply, Simulator, ToolCall

STORY = "Once upon a time a fox looked up at the stars, and one of them looked back."
CONNECTIONS = {
    **{name: name for name in ("openai", "openai-responses", "azure-openai")},
    **{name: name for name in ("anthropic", "bedrock", "cohere", "gemini", "mistral", "ollama", "vertex")},
    **dict.fromkeys(("azure-v1", "local", "work"), "openai"),
}
"""Driver by the name of a connection that a page asks."""


def answer(request):
    """Return a call of the first tool if there are tools without a result yet; else a story."""
    tools = [tool for tool in request.body.get("tools", ()) if "function" in tool]
    if not tools or any(turn["role"] == "tool" for turn in request.body["messages"]):
        return STORY
    return Reply(tool_calls=[ToolCall(tools[0]["function"]["name"], {"city": "Oslo"})])


def configured(simulator):
    """Return a configuration in which every connection of the pages uses the simulator, with its own driver."""
    rows = [
        f'[connections.{name}]\ndriver = "{driver}"\nbase_url = "{address(simulator, driver)}"\nmodel = "story"\n'
        'api_key_env = "OPENAI_API_KEY"\n'
        for name, driver in CONNECTIONS.items()
    ]
    return "\n".join(['default = "openai"\n', *rows])


def address(simulator, driver):
    """Return the simulator's URL for the dialect of a driver."""
    return simulator.connection_for(driver).base_url


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Change to an empty folder, without any settings."""
    for name in [name for name in os.environ if name.startswith("POLYGLOT_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def provider(nowhere, monkeypatch):
    """Start the simulator, as the default and under every name in the pages."""
    with Simulator(answer) as simulator:
        file = nowhere / "stand-in.toml"
        file.write_text(configured(simulator), "utf-8")
        monkeypatch.setenv("POLYGLOT_CONFIG", str(file))
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        yield simulator


@pytest.fixture
def shell(nowhere, monkeypatch):
    """Create a folder where ``polyglot`` is the command of this environment, and ``git`` always has a change."""
    commands = {"polyglot": f'exec "{sys.executable}" -m polyglot_cli "$@"', "git": "echo '+a line'"}
    folder = nowhere / "commands"
    folder.mkdir()
    for name, line in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return nowhere
