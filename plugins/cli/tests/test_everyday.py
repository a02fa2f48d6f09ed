"""What a person does every day: a prompt without a verb, attachments, data, code."""

from __future__ import annotations

import base64
import json
import sys

import pytest

from polyglot_simulator import Reply, Status

TEXT = "one two three four"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(20)
PDF = b"%PDF-1.7\n" + bytes(20)

CODE = """\
Here it is:

```python
print("first")
```

Or rather:

~~~~ sh
echo last
```
~~~~

That is all.
"""


def content_of(simulator):
    """Return the content of the last message of the last request."""
    return simulator.requests[-1].body["messages"][-1]["content"]


# Without a verb


@pytest.mark.parametrize(
    "arguments",
    [["Hello there"], ["Hello"], ["-c", "test", "Hello there"], ["--", "-5 + 3?"], ["stream", "connections"]],
    ids=" ".join,
)
def test_a_prompt_needs_no_verb(command, provider, arguments):
    """What is not a subcommand is a prompt."""
    simulator = provider(TEXT)
    run = command.run(*arguments)
    assert (run.code, run.text) == (0, TEXT + "\n")
    assert content_of(simulator) == arguments[-1]


def test_a_piped_prompt_needs_nothing(command, provider):
    """Piped text alone is a prompt; at a terminal ``polyglot`` alone shows its help."""
    simulator = provider(TEXT)
    assert command.run(given=b"Hello there").code == 0
    assert content_of(simulator) == "Hello there"
    with command.terminal() as terminal:
        terminal.end()
    assert "Usage: polyglot" in terminal.written
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(("word", "meant"), [("conections", "connections"), ("strem", "stream"), ("help", "--help")])
def test_a_misspelt_command_is_not_sent_to_a_model(command, provider, word, meant):
    """One word that is nearly a subcommand is an error that names it, and how to send the word as a prompt."""
    simulator = provider(TEXT)
    run = command.run(word)
    assert run.code == 2
    assert f"polyglot {meant}" in run.err
    assert f"polyglot stream {word}" in run.err
    assert simulator.requests == []


def test_short_options(command, provider):
    """The options of every day have short names."""
    simulator = provider(TEXT)
    run = command.run("-s", "Be brief.", "-o", "temperature=0.5", "-m", "other", "-c", "test", "-u", "Hello there")
    assert run.code == 0
    body = simulator.requests[0].body
    assert (body["model"], body["temperature"]) == ("other", 0.5)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "tokens in" in run.err


def test_the_argument_and_the_piped_text_are_sent_together(command, provider):
    """The prompt is the argument, an empty line, and the piped text."""
    simulator = provider(TEXT)
    assert command.run("Summarise:", given=b"Rain fell.\nThen it stopped.\n").code == 0
    assert content_of(simulator) == "Summarise:\n\nRain fell.\nThen it stopped."
    assert command.run("stream", "-", given=b"Rain fell.\n").code == 0
    assert content_of(simulator) == "Rain fell."


# Attachments


@pytest.fixture
def files(command):
    """The command in a folder with files whose names hide their types."""
    contents = {"picture.dat": PNG, "sound.bin": WAV, "paper": PDF, "notes.md": b"# Notes\n", "odd": b"\x00\x01\x02"}
    for name, data in contents.items():
        (command.folder / name).write_bytes(data)
    (command.folder / "empty").touch()
    return command


def test_attachments_are_recognized_by_their_bytes(files, provider):
    """Images, sound and documents have the media type that their bytes show; text becomes text with its name."""
    simulator = provider(TEXT)
    flags = [flag for name in ("picture.dat", "sound.bin", "paper", "notes.md") for flag in ("-a", name)]
    assert files.run(*flags, "What is this?").code == 0
    image, sound, paper, notes, text = content_of(simulator)
    assert image["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert sound["input_audio"]["format"] == "wav"
    assert paper["file"]["file_data"].startswith("data:application/pdf;base64,")
    assert paper["file"]["filename"] == "paper"
    assert notes["text"].startswith("notes.md:\n\n# Notes")
    assert text == {"type": "text", "text": "What is this?"}


def test_an_attachment_may_be_piped_in(files, provider):
    """``-a -`` attaches standard input, which is then not part of the prompt."""
    simulator = provider(TEXT)
    assert files.run("-a", "-", "What is this?", given=PNG).code == 0
    image, text = content_of(simulator)
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text["text"] == "What is this?"


def test_an_attachment_may_be_a_url(files, provider):
    """A URL is passed on; its type is that of its name, or is given."""
    simulator = provider(TEXT)
    url = "https://example.com/photo.jpg?size=1"
    assert files.run("-a", url, "--at", "https://example.com/get", "image/png", "What?").code == 0
    assert [part["image_url"]["url"] for part in content_of(simulator)[:2]] == [url, "https://example.com/get"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-a", "odd"], 1, "--at FILE TYPE"),
        (["-a", "empty"], 1, "is empty"),
        (["-a", "nowhere.png"], 1, "cannot be read"),
        (["-a", "https://example.com/get"], 2, "--at URL TYPE"),
        (["-a", "https://example.com/a.mp3"], 2, "download"),
        (["--at", "odd", "png"], 2, "image/png"),
    ],
    ids=str,
)
def test_an_attachment_that_cannot_be_sent(files, provider, arguments, code, said):
    """No type is assumed: an attachment that is not recognized is an error, and nothing is sent."""
    simulator = provider(TEXT)
    run = files.run(*arguments, "What?")
    assert (run.code, run.out) == (code, b"")
    assert said in run.err
    assert simulator.requests == []


# Data and code


@pytest.mark.parametrize("form", ["name, age int, tags[], score float: from 0 to 1", "file", "json"])
def test_a_schema_is_requested(command, provider, form):
    """``--schema`` takes the short form, a file, or JSON, and requests JSON that matches it."""
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "score": {"type": "number", "description": "from 0 to 1"},
        },
        "required": ["name", "age", "tags", "score"],
        "additionalProperties": False,
    }
    (command.folder / "person.json").write_text(json.dumps(schema), "utf-8")
    given = {"file": "person.json", "json": json.dumps(schema)}.get(form, form)
    simulator = provider('{"name": "Ada"}')
    run = command.run("--schema", given, "Invent a person")
    assert (run.code, json.loads(run.text)) == (0, {"name": "Ada"})
    requested = simulator.requests[0].body["response_format"]
    assert requested["json_schema"]["schema"] == schema


def test_a_response_that_is_no_json_is_an_error(command, provider):
    """If the model does not keep to a schema, its text is printed and the exit code is 5."""
    provider("Ada is 36.")
    run = command.run("--schema", "name, age int", "Invent a person")
    assert (run.code, run.text) == (5, "Ada is 36.\n")
    assert "no JSON" in run.err


@pytest.mark.parametrize("given", ["age date", "", "a b c", "{", "[1]", "a, a", "nowhere.json"])
def test_a_schema_that_cannot_be_read(command, provider, given):
    """A schema of none of the forms is an error of the command line."""
    simulator = provider(TEXT)
    run = command.run("--schema", given, "Invent a person")
    assert (run.code, run.out) == (2, b"")
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("reply", "printed"),
    [
        (CODE, "echo last\n```\n"),
        ('Sure:\n```json\n{"a": 1}\n```', '{"a": 1}\n'),
        ("```\nnot closed", "not closed\n"),
        ('{"a": [1, 2]}', '{"a": [1, 2]}\n'),
        ('It is {"a": "}"} as you see.', '{"a": "}"}\n'),
    ],
)
def test_code_and_json_are_extracted(command, provider, reply, printed):
    """``--extract`` prints the last fenced block, or else the JSON, and nothing else."""
    provider(reply)
    assert command.run("-x", "Write code").text == printed


def test_nothing_to_extract_is_an_error(command, provider):
    """Prose has nothing to extract: nothing is printed, and the exit code is 5."""
    provider("No code {here.")
    run = command.run("-x", "Write code")
    assert (run.code, run.out) == (5, b"")
    assert "leave --extract out" in run.err


# JSON


def test_json_grows_with_the_text_and_not_with_its_square(command, provider):
    """Twice the text makes twice the lines: no line repeats another."""
    sizes = []
    for count in (500, 1000):
        provider("word " * count)
        sizes.append(len(command.run("--json", "Hello there").out))
    assert sizes[1] < 2.1 * sizes[0]


def test_json_states_how_a_call_failed(command, provider):
    """The last line has the outcome and the error, with the exit code; a retry has a line of its own."""
    provider(TEXT, faults=[(Status(503),), (Status(401),)])
    run = command.run("--json", "--retries", "1", "Hello there")
    seam, end = map(json.loads, run.text.splitlines())
    assert (seam["type"], seam["how"], seam["error"]) == ("seam", "retry", "Overloaded")
    assert (end["type"], end["outcome"]) == ("end", "failed")
    assert (end["error"]["type"], end["error"]["status"], end["error"]["exit_code"]) == ("AuthenticationError", 401, 4)
    run = command.run("--json", "-c", "nobody", "Hello there")
    (end,) = map(json.loads, run.text.splitlines())
    assert (run.code, end["outcome"], end["error"]["exit_code"]) == (3, "failed", 3)


def test_json_has_whole_tool_calls(command, provider):
    """A tool call has a line when it is complete."""
    from polyglot_simulator import ToolCall

    provider(Reply(tool_calls=[ToolCall("weather", {"city": "Oslo"})]))
    lines = [json.loads(line) for line in command.run("--json", "Hello there").text.splitlines()]
    (call,) = [line for line in lines if line["type"] == "tool_call"]
    assert (call["name"], json.loads(call["arguments"])) == ("weather", {"city": "Oslo"})


# Without a home


HOMELESS = """
import pwd


def missing(uid):
    raise KeyError(uid)


pwd.getpwuid = missing
"""


@pytest.mark.skipif(sys.platform == "win32", reason="accounts are as on POSIX")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["Hello there"], 0, TEXT),
        (["-C", "Hello there"], 1, "no home folder"),
        (["connections"], 0, "On this machine"),
        (["logs", "on"], 1, "no home folder"),
        (["logs"], 0, ""),
        (["templates"], 0, "no template"),
        (["-t", "any", "Hello there"], 1, "no home folder"),
        (["completion", "install", "bash"], 1, "no home folder"),
    ],
    ids=str,
)
def test_a_user_without_a_home_folder(command, provider, arguments, code, said):
    """A user who has neither HOME nor an account, as in some containers, gets a sentence and no traceback."""
    simulator = provider(TEXT)
    (command.home / "sitecustomize.py").write_text(HOMELESS, "utf-8")
    for name in ("HOME", "POLYGLOT_CONFIG"):
        del command.env[name]
    settings = {"POLYGLOT_OPENAI_BASE_URL": simulator.base_url, "OPENAI_API_KEY": command.key}
    run = command.run(*arguments, PYTHONPATH=str(command.home), **settings)
    assert (run.code, "Traceback" in run.err) == (code, False), run
    assert said in run.text + run.err
