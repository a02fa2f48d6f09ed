"""``polyglot stream`` in pipes, against a provider on real sockets."""

from __future__ import annotations

import json
import re
import signal
import sys

import pytest
from click.testing import CliRunner

from polyglot_cli.commands import polyglot
from polyglot_simulator import (
    ContentType,
    Cut,
    Drop,
    ErrorEvent,
    Garbage,
    Pace,
    RawReply,
    Reply,
    Reset,
    Simulator,
    Stall,
    Status,
    ToolCall,
)

TEXT = "one two three four"
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")


def objects(run):
    return [json.loads(line) for line in run.text.splitlines()]


# What is printed


def text_of(lines):
    """Return the text of the lines of ``--json``."""
    return "".join(line.get("content_delta", "") for line in lines)


@pytest.mark.parametrize(
    ("reply", "printed"),
    [
        ("no line break", b"no line break\n"),
        ("its own line break\n", b"its own line break\n"),
        ("two\n\n", b"two\n\n"),
        (
            "\x1b[31mas it\x07 was\u202e, caf\u00e9 \U0001f30a",
            "\x1b[31mas it\x07 was\u202e, caf\u00e9 \U0001f30a\n".encode(),
        ),
    ],
)
def test_a_pipe_gets_the_text_as_it_was_received(command, provider, reply, printed):
    """Piped output is the model's text, byte for byte, and a line break where it has none."""
    provider(reply)
    run = command.run("stream", "Hello", PYTHONIOENCODING="latin-1")
    assert (run.code, run.out, run.err) == (0, printed, "")


def test_text_is_printed_as_it_arrives(command, provider):
    """The text received so far can be read from the pipe while the model is still silent."""
    provider(TEXT, fault=Stall(after_events=3))
    with command.started("stream", "--timeout", "15", "Hello") as process:
        assert process.stdout.read(len("one two")) == b"one two"
        assert process.poll() is None


def test_each_partial_is_a_json_line(command, provider):
    """With ``--json`` each line has a type; the deltas add up to the text, and the last line states how it ended."""
    provider("caf\u00e9 \x9b31m\x7f\u202e\u2028 end")
    run = command.run("stream", "--json", "Hello")
    *partials, end = objects(run)
    assert run.code == 0
    assert {partial["type"] for partial in partials} == {"partial"}
    assert text_of(partials) == "caf\u00e9 \x9b31m\x7f\u202e\u2028 end"
    assert (end["type"], end["outcome"], end["finish_reason"]) == ("end", "finished", "stop")
    assert (end["connection"], end["model"]) == ("test", "test-model")
    assert end["usage"]["output_tokens"] > 0
    assert 0 < end["timing"]["first_event"] <= end["timing"]["duration"]
    assert "error" not in end
    assert "caf\u00e9" in run.text
    assert not set("\x9b\x7f\u202e\u2028") & set(run.text)


def test_each_event_is_a_json_line(command, provider):
    """With ``--events`` each line is an event with its name and its fields."""
    provider(TEXT)
    events = objects(command.run("stream", "--events", "Hello"))
    assert events[0]["event"] == "ResponseStarted"
    assert events[-1] == {"event": "End"}
    assert "".join(event["text"] for event in events if event["event"] == "TextDelta") == TEXT


def test_a_plain_request_prints_the_same_text(command, provider):
    """``--no-stream`` requests one piece, and prints what a stream would have."""
    simulator = provider(TEXT)
    assert command.run("stream", "--no-stream", "Hello").text == TEXT + "\n"
    assert simulator.requests[0].body.get("stream", False) is False
    assert text_of(objects(command.run("stream", "--no-stream", "--json", "x"))) == TEXT


def test_only_the_first_choice_is_text(command, provider):
    """Text that belongs to another choice is not mixed in, and a note reports it."""
    provider(Reply(choices=[Reply("the first"), Reply("the second")]))
    run = command.run("stream", "Hello")
    assert run.out == b"the first\n"
    assert "The response has 2 choices" in run.err


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        (Reply("cut", finish_reason="length"), "token limit"),
        (Reply("cut", finish_reason="content_filter"), "content filter"),
        (Reply(refusal="I would\nrather \x1b[2Jnot."), "The model refused: I would rather not."),
        (
            Reply(tool_calls=[ToolCall("weather", {"city": "Oslo"})]),
            "calls tools that are not run: weather",
        ),
        (Reply(""), "The response has no text."),
    ],
)
def test_facts_missing_from_the_text_are_noted(command, provider, reply, note):
    """Facts that the text does not show are reported on standard error, in one line."""
    provider(reply)
    run = command.run("stream", "Hello")
    assert run.code == 0
    assert note in run.err
    assert run.err.count("\n") == 1


def test_usage_is_reported_after_the_text(command, provider):
    """``--usage`` reports tokens, time to the first of them, speed and finish reason, and not on standard output."""
    provider(TEXT, pace=Pace(tokens_per_second=100))
    run = command.run("stream", "--usage", "Hello there")
    assert run.out == TEXT.encode() + b"\n"
    for figure in ("2 tokens in", "4 out", r"first token after \d+\.\d\d s", " tokens/s", "stop"):
        assert re.search(figure, run.err)


def test_debug_reports_the_call(command, provider):
    """``--debug`` names connection, driver, model, host, request id and outcome, on standard error."""
    simulator = provider(TEXT)
    run = command.run("stream", "--debug", "Hello")
    assert run.out == TEXT.encode() + b"\n"
    told = dict(line.split(maxsplit=1) for line in run.err.replace("request id", "request_id").splitlines())
    assert told == {
        "connection": "test",
        "driver": "openai",
        "model": "test-model",
        "host": f"127.0.0.1:{simulator.port}",
        "request_id": "req_simulator_1",
        "outcome": "finished",
        **{name: value for name, value in told.items() if name == "attempts"},
    }


def test_debug_reports_the_chain_of_causes(command, provider):
    """After a failure ``--debug`` names every error in the chain, with phase and attempts."""
    provider(TEXT, fault=Reset(before_headers=True))
    run = command.run("stream", "--debug", "Hello")
    causes = [line.split()[1] for line in run.err.splitlines() if line.startswith("cause")]
    assert causes[0] == "polyglot_core.TransportError:"
    assert len(causes) > 1
    for fact in ("outcome     failed", "attempts    1", "phase       headers"):
        assert fact in run.err


# Asked again


def test_a_refusal_that_passes_is_asked_again(command, provider):
    """With ``--retries`` a failed attempt is retried; only ``--debug`` reports it."""
    simulator = provider(TEXT, fault=Status(503, times=1))
    assert command.run("stream", "--retries", "1", "Hello")[:2] == (0, TEXT.encode() + b"\n")
    assert len(simulator.requests) == 2
    provider(TEXT, fault=Status(503, times=1))
    run = command.run("stream", "--retries", "1", "--debug", "Hello")
    assert "attempts    2\nbefore      test: Overloaded: " in run.err


def test_another_connection_is_asked(command, provider):
    """With ``--fallback`` the next connection is used if the first one fails."""
    provider(TEXT, fault=Status(401))
    with Simulator("from elsewhere") as other:
        file = command.home / "own.toml"
        there = f'[connections.there]\ndriver = "openai"\nbase_url = "{other.base_url}"\nmodel = "m"\n'
        file.write_text(file.read_text("utf-8") + "\n" + there, "utf-8")
        run = command.run("stream", "--fallback", "there", "Hello")
    assert (run.code, run.out, run.err) == (0, b"from elsewhere\n", "")


def test_truncated_response_is_restarted(command, provider):
    """With ``--resume restart`` the second response is below the first, and a note states why."""
    provider(TEXT, fault=Drop(after_events=3, times=1))
    run = command.run("stream", "--retries", "1", "--resume", "restart", "Hello")
    assert (run.code, run.out) == (0, b"one two\n" + TEXT.encode() + b"\n")
    assert "The response restarts" in run.err


# What is asked


def test_request_has_the_options_of_the_command_line(command, provider):
    """Prompt, system text, model and options arrive; an option is JSON where it can be read so, and else text."""
    simulator = provider(TEXT)
    options = ["temperature=0.5", "user=me", 'stop=["x"]', "seed=7"]
    extra = ["label=NaN", "note=a=b"]
    flags = [flag for option in options for flag in ("--option", option)]
    flags += [flag for field in extra for flag in ("--extra", field)]
    assert command.run("stream", "-m", "other", "--system", "Be brief.", *flags, "Hello").code == 0
    body = simulator.requests[0].body
    assert body["model"] == "other"
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert body["stream"] is True
    sent = {name: body[name] for name in ("temperature", "user", "stop", "seed", "label", "note")}
    assert sent == {"temperature": 0.5, "user": "me", "stop": ["x"], "seed": 7, "label": "NaN", "note": "a=b"}


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_the_prompt_may_be_piped_in(command, provider, arguments):
    """Without an argument, or with a dash, the prompt is standard input without its last line break."""
    simulator = provider(TEXT)
    assert command.run("stream", *arguments, given="Hva n\u00e5?\nTo linjer.\n".encode()).code == 0
    assert simulator.requests[0].body["messages"][0]["content"] == "Hva n\u00e5?\nTo linjer."


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        ([], b"", "The prompt is empty."),
        ([], b"\xff\xfe", "not UTF-8 text"),
        (["--option", "novalue", "x"], b"", "KEY=VALUE"),
        (["--option", "=1", "x"], b"", "KEY=VALUE"),
        (["--option", "stream=false", "x"], b"", "--no-stream"),
        (["--timeout", "0", "x"], b"", "above 0"),
        (["--timeout", "nan", "x"], b"", "above 0"),
        (["--timeout", "soon", "x"], b"", "above 0"),
        (["--events", "--json", "x"], b"", "give one of them"),
        (["--events", "--no-stream", "x"], b"", "leave --no-stream out"),
        (["-c", "", "x"], b"", "The name is empty"),
        (["--api-key", "x"], b"", "No such option"),
        (["one", "two"], b"", 'put it in quotes: polyglot "one two"'),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(command, provider, arguments, given, said):
    """An invalid command line is reported, nothing is sent, and the exit code is 2."""
    simulator = provider(TEXT)
    run = command.run("stream", *arguments, given=given)
    assert (run.code, run.out) == (2, b"")
    assert said in " ".join(run.err.split())
    assert simulator.requests == []


# Who is asked


@pytest.mark.parametrize(
    ("what", "code", "said"), [("raise", 4, "cannot express"), ("warn", 0, "cannot express"), ("drop", 0, "")]
)
def test_an_option_that_the_provider_does_not_know(command, provider, what, code, said):
    """It is an error, a warning, or left out, as configured."""
    simulator = provider(TEXT)
    run = command.run("stream", "--option", "top_k=4", "--unsupported", what, "Hello", PYTHONWARNINGS="default")
    assert (run.code, said in run.err, bool(run.err)) == (code, True, bool(said))
    assert all("top_k" not in request.body for request in simulator.requests)


def test_simulator_is_used_without_configuration(command):
    """Without any configuration a simulator echoes the prompt to a person, and one line reports it."""
    with command.terminal("stream", "What is rain?", HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="") as terminal:
        assert terminal.end() == 0
    assert "What is rain?" in terminal.written
    assert terminal.written.replace("\n", " ").startswith(
        "No connection is configured, so a simulator on this machine replies; set  OPENAI_API_KEY or see `polyglot "
    )


@pytest.mark.parametrize("arguments", [[], ["-m", "gpt-4.1"], ["--json"]], ids=str)
def test_no_file_is_filled_with_text_of_a_simulator(command, arguments):
    """Without any configuration nothing is written into a pipe: the error states how to choose, also the simulator."""
    run = command.run("stream", *arguments, "Hello")
    assert run.code == 3
    assert b"simulator, which" not in run.out
    assert "-c simulator" in run.err
    assert "OPENAI_API_KEY" in run.err


def test_a_chosen_model_is_no_reason_to_simulate(command):
    """A person who names a model is told that no connection is configured."""
    with command.terminal("stream", "-m", "gpt-4.1", "Hello") as terminal:
        assert terminal.end() == 3
    assert "Error: No connection is named" in terminal.plain


def test_the_simulator_can_be_chosen(command, provider):
    """``-c simulator`` is one on this machine, also in a pipe, unless the configuration has a connection of the name."""
    run = command.run("stream", "-c", "simulator", "What is rain?")
    assert (run.code, run.err) == (0, "")
    assert "What is rain?" in run.text
    provider(TEXT)
    own = command.home / "own.toml"
    own.write_text(own.read_text("utf-8").replace("connections.test", "connections.simulator"), "utf-8")
    assert command.run("stream", "-c", "simulator", "Hello", POLYGLOT_DEFAULT="simulator").text == TEXT + "\n"


def test_the_simulator_fits_a_schema(command):
    """What it sends for ``--schema`` fits the schema, so that the option can be tried without a key."""
    run = command.run("stream", "-c", "simulator", "--schema", "name, age int, tags[]", "Hello")
    assert run.code == 0, run
    assert json.loads(run.text) == {"name": "word", "age": 1, "tags": ["word"]}


def test_simulator_is_used_without_default_connection(command, provider):
    """Where connections are configured but none is chosen, the line reports that instead, and names them."""
    simulator = provider(TEXT, default=False)
    with command.terminal("stream", "What is rain?") as terminal:
        assert terminal.end() == 0
    assert "What is rain?" in terminal.written
    assert "choose one with -c: test." in terminal.written.replace("\n", " ")
    assert simulator.requests == []
    assert command.run("stream", "-c", "test", "Hello").text == TEXT + "\n"


def test_a_long_prompt_is_not_echoed_whole(command):
    """The simulator repeats only the start of a long prompt, which would otherwise take minutes."""
    run = command.run("stream", "-c", "simulator", given=b"word " * 10_000)
    assert 0 < len(run.out) < 600


CONFIGURATIONS = {
    "nothing of the name": (["-c", "tets"], None, "did you mean 'test'?"),
    "no default of the name": ([], {"POLYGLOT_DEFAULT": "tets"}, "did you mean 'test'?"),
    "no file": (["--config", "nowhere.toml"], None, "nowhere.toml cannot be read"),
    "no file in the variable": ([], {"POLYGLOT_CONFIG": "nowhere.toml"}, "nowhere.toml cannot be read"),
    "a typo in the file": (["--config", "typo.toml"], None, "did you mean 'connections'?"),
    "no key": (["-c", "test"], {"TEST_KEY": ""}, "TEST_KEY"),
    "no key of a preset": (["-c", "openai"], None, "OPENAI_API_KEY"),
    "no model": (["--config", "modelless.toml"], None, "-m NAME"),
}


@pytest.mark.parametrize(("arguments", "env", "said"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_wrong_configuration_is_no_reason_to_simulate(command, provider, arguments, env, said):
    """An invalid configuration is reported in a line or two, and the exit code is 3."""
    simulator = provider(TEXT)
    (command.folder / "typo.toml").write_text("[conections.test]\ndriver = 'openai'\n", "utf-8")
    (command.folder / "modelless.toml").write_text(
        f"default = 'm'\n[connections.m]\ndriver = 'openai'\nbase_url = '{simulator.base_url}'\n", "utf-8"
    )
    run = command.run("stream", *arguments, "Hello", **(env or {}))
    assert (run.code, run.out) == (3, b"")
    assert said in run.err
    assert run.err.count("\n") <= 2
    assert simulator.requests == []


def test_a_file_in_the_working_directory_is_not_read_but_mentioned(command, provider):
    """A ``polyglot.toml`` in the working directory changes nothing, and one line states how to use it."""
    with Simulator("from the folder") as other:
        command.configure(other)
        (command.home / "own.toml").rename(command.folder / "polyglot.toml")
        del command.env["POLYGLOT_CONFIG"]
        unread, read = command.run("stream", "Hello"), command.run("stream", "--config", "polyglot.toml", "Hello")
    assert "simulator on this machine" in unread.err
    assert unread.err.splitlines()[0] == (
        "The polyglot.toml in this folder is not read by default; use "
        "--config polyglot.toml, or POLYGLOT_CONFIG=polyglot.toml."
    )
    assert (read.text, read.err) == ("from the folder\n", "")


# How it ends

FAULTS = {
    "a wrong key": (4, Status(401), b"", "Check that the key"),
    "no such model": (4, Status(404), b"", "polyglot models"),
    "too fast for today": (4, Status(429, headers={"retry-after": "4000"}), b"", "Wait 67 minutes"),
    "too fast": (4, Status(429, headers={"retry-after": "7"}), b"", "Wait 7 seconds"),
    "a redirect": (4, Status(307, headers={"location": "http://example.com"}), b"", "redirects to http://example.com"),
    "an error in a 200": (4, ErrorEvent(after_events=3), b"one two\n", "The server had an error."),
    "cut": (5, Cut(after_events=3), b"one two\n", "incomplete; run"),
    "cut before anything": (5, Cut(after_events=0), b"", "incomplete; run"),
    "dropped": (5, Drop(after_events=3), b"one two\n", "broke"),
    "reset before the headers": (5, Reset(before_headers=True), b"", "Run the command again"),
    "garbage": (5, Garbage(after_events=3), b"one two\n", "cannot be read"),
    "a page": (5, ContentType("text/html", body="<h1>Welcome</h1>"), b"", "text/html"),
    "silence before the headers": (6, Stall(before_headers=True), b"", "--timeout"),
    "silence in the answer": (6, Stall(after_events=3), b"one two\n", "total"),
}


@pytest.mark.parametrize(("code", "fault", "printed", "said"), FAULTS.values(), ids=FAULTS)
def test_each_ending_has_its_exit_code(command, provider, code, fault, printed, said):
    """The text received so far stays, the error follows in a line or two on standard error, and the exit code is its class's."""
    provider(TEXT, fault=fault)
    patience = "6" if isinstance(fault, Stall) else "60"  # a start on a busy machine is no end of a response
    run = command.run("stream", "--timeout", patience, "Hello")
    assert (run.code, run.out) == (code, printed)
    assert said in run.err
    assert run.err.startswith("Error: ")
    assert run.err.count("\n") <= 2
    assert "Traceback" not in run.err
    assert "error.partial" not in run.err


def test_nobody_at_the_address_is_a_transport_error(command, provider):
    """An unreachable provider is reported, with exit code 5."""
    provider(TEXT).close()
    run = command.run("stream", "Hello")
    assert run.code == 5
    assert run.err.startswith("Error: No connection to 127.0.0.1")


@pytest.mark.parametrize("fault", [None, Status(401), ErrorEvent(after_events=2), Drop(after_events=2)], ids=str)
@pytest.mark.parametrize("flags", [["--debug", "--usage"], ["--json"], ["--events"]], ids=" ".join)
def test_no_output_holds_the_key(command, provider, fault, flags):
    """Neither a response nor an error, not even with ``--debug``, shows the key that was sent."""
    simulator = provider(TEXT, fault=fault)
    run = command.run("stream", *flags, "Hello")
    assert command.key in simulator.requests[0].headers["authorization"]
    assert command.key not in run.text + run.err


@needs_signals
@pytest.mark.parametrize(
    ("fault", "printed"),
    [(Stall(after_events=3), b"one two\n"), (Stall(before_headers=True), b"")],
    ids=["in the answer", "before the headers"],
)
def test_ctrl_c_keeps_the_text_and_closes_the_connection(command, provider, fault, printed):
    """Ctrl-C ends with exit code 130: the text stays, no word is added, and the provider sees the socket close."""
    simulator = provider(TEXT, fault=fault)
    with command.started("stream", "--timeout", "15", "Hello") as process:
        if printed:
            assert process.stdout.read(len("one two")) == b"one two"
        request = simulator.wait_for_request(timeout=command.patience)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=command.patience)
    assert process.returncode == 130
    assert out == printed.removeprefix(b"one two")
    assert err == b""
    assert request.wait_closed() is not None


UNHEARD = """
import _thread, signal, threading
from polyglot_core.plugin import TextDelta, hookimpl
from polyglot_openai.chat import driver

encode_request, extract_usage = driver.encode_request, driver.extract_usage


class Finalizer:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def in_a_finalizer():
    Finalizer()


def before_a_read():
    # It sets what the handler of the signal sets, and leaves the read alone.
    threading.Timer(0.3, _thread.interrupt_main).start()


@hookimpl
def decode_chunk(connection, state, chunk):
    events = driver.decode_chunk(connection=connection, state=state, chunk=chunk)
    if any(isinstance(event, TextDelta) and "two" in event.text for event in events):
        MOMENT()
    return events
"""


@needs_signals
@pytest.mark.parametrize("moment", ["in_a_finalizer", "before_a_read"])
def test_ctrl_c_is_not_lost(command, provider, moment):
    """Ctrl-C ends the command also where the interpreter drops the exception, or is about to wait for data."""
    command.install("deaf", UNHEARD.replace("MOMENT", moment))
    provider(TEXT, fault=Stall(after_events=3), driver="deaf")
    with command.started("stream", "Hello") as process:  # without a timeout, which would end the read too
        out, err = process.communicate(timeout=command.patience)
    assert (process.returncode, err) == (130, b"")
    assert out in (b"one\n", b"one two\n")


def test_ctrl_c_while_text_is_printed_does_not_wait_for_the_rest(command, provider, monkeypatch):
    """An interruption between two reads closes the connection too, instead of reading on."""

    def interrupt(*_):
        raise KeyboardInterrupt

    simulator = provider(TEXT, fault=Stall(after_events=3))
    monkeypatch.setattr("polyglot_cli.views.TextView.show", interrupt)
    for name in ("POLYGLOT_CONFIG", "TEST_KEY"):
        monkeypatch.setenv(name, command.env[name])
    assert CliRunner().invoke(polyglot, ["stream", "--timeout", "5", "Hello"]).exit_code == 130
    assert simulator.requests[0].wait_closed() is not None


@needs_signals
def test_ctrl_c_still_prints_the_requested_reports(command, provider):
    """After Ctrl-C ``--usage`` and ``--debug`` report that the response was cancelled."""
    provider(TEXT, fault=Stall(after_events=3))
    with command.started("stream", "--timeout", "15", "--usage", "--debug", "Hello") as process:
        process.stdout.read(len("one two"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=command.patience)
    assert process.returncode == 130
    assert b"outcome     cancelled" in err
    assert b"Traceback" not in err


@needs_signals
@pytest.mark.parametrize("flags", [[], ["--json"], ["--events"]], ids=["text", "json", "events"])
def test_a_closed_pipe_ends_it_quietly(command, provider, flags):
    """When the reader goes away, as ``head`` does, the command ends with 141, silent, and closes the connection."""
    simulator = provider("word " * 2000, pace=Pace(tokens_per_second=200))
    with command.started("stream", *flags, "Hello") as process:
        process.stdout.read(4)
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(command.patience) == 141
    assert err == b""
    assert simulator.requests[0].wait_closed() is not None
    assert simulator.requests[0].sent_bytes < 200_000


@pytest.mark.skipif(sys.platform != "linux", reason="there is a full disk to write to")
def test_full_disk_is_reported(command, provider):
    """A response that cannot be written is an error of its own, with exit code 1 and no traceback."""
    import subprocess

    provider(TEXT)
    with open("/dev/full", "wb") as full:  # noqa: PTH123 (a device)
        done = subprocess.run(
            command.arguments("stream", "Hello"),
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=command.folder,
            env=command.env,
            timeout=command.patience,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"Error: The response cannot be written: No space left on device.\n"


def test_an_error_that_steers_terminals_does_not(command, provider):
    """What a provider writes into an error is cleaned and kept on one line."""
    body = {"error": {"message": "no\x1b[2J\x1b]0;title\x07\r\nway\u202e", "type": "invalid_request_error"}}
    provider(TEXT, fault=Status(400, body=body))
    run = command.run("stream", "Hello")
    assert run.code == 4
    assert not set("\x1b\x07\r\u202e") & set(run.err)
    assert run.err.count("\n") == 2


def test_raw_bytes_that_are_no_stream_are_reported(command, provider):
    """A response that is not a stream raises an error."""
    provider(RawReply(writes=[b"not a stream"], headers=[("content-type", "text/plain")], end="close"))
    run = command.run("stream", "Hello")
    assert run.code == 5
    assert "text/plain" in run.err


@pytest.mark.skipif(sys.platform == "win32", reason="files have readers as on POSIX")
def test_a_warning_of_the_library_is_a_line(command, provider):
    """A warning of the library is one line, without the position in its code."""
    provider(TEXT)
    file = command.home / "own.toml"
    file.write_text(file.read_text("utf-8").replace('api_key_env = "TEST_KEY"', f'api_key = "{command.key}"'), "utf-8")
    file.chmod(0o644)
    run = command.run("stream", "Hello", PYTHONWARNINGS="")
    assert (run.code, run.text) == (0, TEXT + "\n")
    assert run.err.startswith("Warning: ")
    assert (run.err.count("\n"), ".py" in run.err) == (1, False)
    assert command.key not in run.err
