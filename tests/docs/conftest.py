"""A provider for the examples: the simulator, under the names of the connections that the pages use."""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys

import pytest

from polyglot_core.plugin import Usage
from polyglot_simulator import Reply, Simulator, ToolCall

STORY = "Once upon a time a fox looked up at the stars, and one of them looked back."
CONNECTIONS = {
    **{name: name for name in ("openai", "openai-responses", "azure-openai")},
    **{name: name for name in ("anthropic", "bedrock", "cohere", "gemini", "mistral", "ollama", "vertex")},
    **dict.fromkeys(("azure-v1", "local", "work"), "openai"),
}
"""Driver by the name of a connection that a page asks."""


REPLIES = {
    "pick a lock": Reply(refusal="I cannot help with that."),
    "as JSON": Reply('Here it is:\n```json\n{"name": "Bern", "people": 134000}\n```\nAnything else?'),
}
"""Replies to questions with these words."""

FILES = {"photo.png": b"\x89PNG\r\n\x1a\n", "invoice.pdf": b"%PDF-1.7"}
"""Files of the working directory that the pages read."""

VALUES = {
    "name": ("Bern", "Basel", "Geneva"),
    "people": (134_000, 173_000, 203_000),
    "river": ("Aare", "Rhine", "Rhône"),
    "city": ("Oslo",),
    "seller": ("Acme",),
}
"""Values of members by their names, which are used in turn."""


def answer(request):
    """Return data if a schema is asked for, a call of the first tool if none has a result yet; else a story."""
    body = request.body
    question = question_of(body)
    for words, reply in REPLIES.items():
        if words in question:
            return reply
    if (schema := schema_of(body, question)) is not None:
        return data(schema, fenced="fenced block" in question, cut=body.get("max_tokens", 99) < 10)
    if "cache_control" in json.dumps(body):
        return Reply(STORY, usage=cached(len(body["messages"])))
    tools = [tool["function"] for tool in body.get("tools", ()) if "function" in tool]
    if not tools or any(turn["role"] == "tool" for turn in body["messages"]):
        return STORY
    return Reply(tool_calls=[ToolCall(tools[0]["name"], sample(tools[0].get("parameters", {})) or {"city": "Oslo"})])


def data(schema, *, fenced, cut):
    """Return a reply with a value of a schema, in a fenced block or cut at a limit of tokens if a request asks for it."""
    text = json.dumps(sample(schema), ensure_ascii=False)
    if fenced:
        text = f"Here it is:\n```json\n{text}\n```\nAnything else?"
    return Reply(text[:20], finish_reason="length") if cut else Reply(text)


def question_of(body):
    """Return the last turn of a request in OpenAI's dialect, as JSON text if it has parts; else an empty text."""
    content = (body.get("messages") or [{"content": ""}])[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def schema_of(body, question):
    """Return the schema that a request asks for, in its field or at the end of the question."""
    wanted = body.get("response_format") or {}
    if "json_schema" in wanted:
        return wanted["json_schema"]["schema"]
    _, found, text = question.partition("match this schema:\n")
    return json.loads(text) if found else None


def sample(schema):
    """Return a value of a schema; values of members with the same name follow each other in `VALUES`."""
    values = {name: itertools.cycle(each) for name, each in VALUES.items()}
    definitions = schema.get("$defs", {})

    def value(schema, name=""):
        if "$ref" in schema:
            return value(definitions[schema["$ref"].rpartition("/")[2]], name)
        if "anyOf" in schema:
            return value(schema["anyOf"][0], name)
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("type") == "object":
            return {member: value(each, member) for member, each in schema.get("properties", {}).items()}
        if schema.get("type") == "array":
            return [value(schema["items"], name) for _ in range(3)]
        plain = {"integer": 3, "number": 9.5, "boolean": True, "null": None}
        return next(values[name]) if name in values else plain.get(schema.get("type"), f"a {name or 'text'}")

    return value(schema) if schema.get("type") == "object" else {}


def cached(turns):
    """Return the counts of a request whose first turn writes a prompt to the cache, and whose next ones read it."""
    read, written = (0, 2000) if turns == 1 else (2000, 0)
    return Usage(input_tokens=2050, output_tokens=20, cache_read_tokens=read, cache_write_tokens=written)


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
    for name, data in FILES.items():
        (nowhere / name).write_bytes(data)
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


@pytest.fixture(autouse=True)
def _own_log_levels():
    """Restore the level that a page sets for the loggers of core."""
    logger = logging.getLogger("polyglot_core")
    before = logger.level
    yield
    logger.setLevel(before)
