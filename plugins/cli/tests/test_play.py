"""``polyglot play`` over sockets: who is served, what the lines of a call contain, and when it ends."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from importlib.resources import files

import httpx
import pytest

from polyglot_core import ConfigError
from polyglot_simulator import ErrorEvent, RawReply, Reply, Simulator, SlowHeaders, Status, ToolCall

from .playing import KEY, PATIENCE, VARIABLE, client_of, configured, text_of

WORDS = "Once upon a time a fox looked up at the stars."
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """An environment with the planted key and nothing else."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv(VARIABLE, KEY)
    for name in ("OPENAI_API_KEY", "POLYGLOT_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def start(tmp_path):
    """Start a simulator with these arguments, and the page with it as default connection; returns both."""
    with contextlib.ExitStack() as opened:

        def begin(*args, retries=0, **settings):
            simulator = opened.enter_context(Simulator(*args, **settings))
            client = opened.enter_context(client_of(configured(tmp_path, simulator, retries=retries)))
            return simulator, client

        yield begin


@pytest.fixture
def client():
    """A client of a page for which nothing is configured."""
    with client_of(None) as client:
        yield client


def endless(words=WORDS):
    """A response that stops in the middle, on a connection that stays open."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": f"{word} "}}]} for word in words.split()]
    return RawReply(writes=[f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks], end="open")


# Who is served


def test_the_page_is_three_files_with_strict_headers(client):
    """All files have a policy that permits their own origin alone, are not stored, and name no other origin."""
    for path, kind in (("", "text/html"), ("play.css", "text/css"), ("play.js", "text/javascript")):
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        assert response.headers["cache-control"] == "no-store"
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert b"//" not in re.sub(rb"(?m)^\s*// .*$|; // .*$|\{ // .*$", b"", response.content)


def test_the_page_has_no_script_or_style_within():
    """The policy would refuse inline scripts, styles and handlers, so there are none."""
    html = files("polyglot_cli.play").joinpath("page", "index.html").read_text("utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL) == [""]


@pytest.mark.parametrize("path", ["", "play.css", "play.js", "connections", "models", "python", "stream", "nothing"])
def test_nothing_is_served_without_the_token(client, path):
    """Without the token, or with another, every path and method gets the same 403."""
    token = client.url.split("/")[-2]
    others = ["", f"{token[:-1]}/", f"{token}x/", f"{token.swapcase()}/", f"x/{token}/", f"{'x' * len(token)}/"]
    responses = [
        client.request(method, f"{client.origin}/{other}{path}") for other in others for method in ("GET", "POST")
    ]
    assert {(response.status_code, response.text) for response in responses} == {
        (403, "Forbidden. Open the URL that `polyglot play` printed.\n")
    }
    assert all(response.headers["cache-control"] == "no-store" for response in responses)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "attacker.example"},
        {"host": "attacker.example:80"},
        {"host": "127.0.0.1"},
        {"origin": "http://attacker.example"},
        {"origin": "null"},
        {"origin": "https://{host}"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_requests_of_other_sites_are_refused(client, headers):
    """A name that was rebound to loopback, and a page of another site, get nothing even with the token."""
    host = client.origin.removeprefix("http://")
    sent = {name: text.format(host=host) for name, text in headers.items()}
    assert client.get(**sent).status_code == 403
    assert client.request("POST", f"{client.url}connections", headers=sent).status_code == 403


def test_requests_of_the_page_itself_are_served(client):
    """Host and Origin may be those of the page, by either name of this machine."""
    port = client.origin.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert client.request("POST", f"{client.url}connections", headers=headers).status_code == 200
    assert client.get(**{"sec-fetch-site": "none"}).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_the_page_is_served_on_one_address(client):
    """Other addresses of this machine are not bound."""
    port = int(client.origin.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 5)


def test_no_request_leaves_this_machine(client):
    """The page, its lists and a call to the simulator connect to loopback alone."""
    connected, watched = [], True
    sys.addaudithook(lambda name, args: connected.append(args[1]) if watched and name == "socket.connect" else None)
    client.get()
    client.post("connections")
    client.post("models", connection="simulator")
    assert client.lines("simulator")[-1]["outcome"] == "finished"
    watched = False
    assert {address[0] for address in connected} == {"127.0.0.1"}


# What a call contains


def test_a_stream_grows(start):
    """Text is received while the provider has sent no end."""
    _, client = start(endless())
    with client.reading() as lines:
        received = ""
        while received != WORDS + " ":
            line = next(lines)
            received += line.get("text", "")
            assert line["type"] != "end"


def test_a_disconnect_closes_the_request_to_the_provider(start):
    """A page that stops in the middle ends the request to the provider, which is silent."""
    simulator, client = start(endless())
    with client.reading() as lines:
        next(line for line in lines if line["type"] == "delta")
        assert simulator.requests[0].closed_at is None
    assert simulator.requests[0].wait_closed(PATIENCE) is not None


def test_a_disconnect_before_the_response_closes_the_request_too(start):
    """A page that stops while the provider has sent nothing ends the request as well."""
    simulator, client = start(WORDS, fault=SlowHeaders(seconds=600))
    body = json.dumps({"connection": "test", "prompt": "Hello"}).encode()
    path = client.url.removeprefix(client.origin)
    host = client.origin.removeprefix("http://")
    head = f"POST {path}stream HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), PATIENCE) as connection:
        connection.sendall(head.encode() + body)
        request = simulator.wait_for_request(1, PATIENCE)
    assert request.wait_closed(PATIENCE) is not None


def test_the_lines_of_a_whole_response(start):
    """Text, reasoning, tool calls, chunks, events, usage and timing are in the lines, and the end is the last."""
    calls = [ToolCall("weather", {"city": "Oslo"}), ToolCall("time", {"zone": "CET"})]
    _, client = start(Reply(WORDS, reasoning="I think so.", tool_calls=calls))
    lines = client.lines()
    assert text_of(lines) == WORDS
    assert "".join(line.get("reasoning", "") for line in lines) == "I think so."
    pieces = [line for line in lines if line["type"] == "tool_call"]
    arguments = {index: "".join(piece["arguments"] for piece in pieces if piece["index"] == index) for index in (0, 1)}
    assert [json.loads(each) for each in arguments.values()] == [{"city": "Oslo"}, {"zone": "CET"}]
    assert {piece["name"] for piece in pieces} == {"weather", "time"}
    events = [line["event"] for line in lines if line["type"] == "event"]
    assert {"ResponseStarted", "TextDelta", "ReasoningDelta", "ToolCallDelta", "Finish", "End"} <= set(events)
    times = [line["at"] for line in lines]
    assert times == sorted(times)
    end = lines[-1]
    assert (end["type"], end["outcome"], end["finish_reason"]) == ("end", "finished", "tool_calls")
    assert end["usage"]["output_tokens"] > 0
    assert end["timing"]["duration"] >= end["timing"]["first_event"]
    assert (end["events"], end["chunks"]) == (len(events), sum(line["type"] == "chunk" for line in lines))


def test_the_cost_is_in_the_last_line(start):
    """As far as a package knows the price of the model."""
    _, client = start(WORDS)
    costs = {model: client.lines(model=model)[-1].get("cost") for model in ("gpt-4o-mini", "unheard-of")}
    assert costs["gpt-4o-mini"].startswith("$")
    assert costs["unheard-of"] is None


def test_chunks_and_events_are_bounded(start):
    """Of a long response only the first chunks and events are sent with their content, and all are counted."""
    _, client = start(" ".join(["word"] * 1500) + " " + "x" * 5000)
    lines = client.lines()
    assert len(text_of(lines)) == 1500 * 5 + 5000
    for kind in ("chunk", "event"):
        shown = [line for line in lines if line["type"] == kind]
        assert len(shown) == lines[-1]["shown"] == 1000
        assert lines[-1][f"{kind}s"] > 1500
        assert max(len(json.dumps(line)) for line in shown) < 5000


@pytest.mark.parametrize(
    ("settings", "kind", "outcome", "text"),
    [
        ({"fault": Status(code=401)}, "AuthenticationError", "failed", ""),
        ({"fault": Status(code=429, headers={"retry-after": "20"})}, "RateLimited", "failed", ""),
        ({"fault": ErrorEvent(after_events=5)}, "ServerError", "failed", "Once upon a"),
    ],
    ids=["401", "429", "event"],
)
def test_errors_are_reported_with_what_was_received_before(start, settings, kind, outcome, text):
    """The last line has the class, the message and advice, and the text before it was sent."""
    _, client = start(WORDS, **settings)
    lines = client.lines()
    assert text_of(lines).startswith(text)
    assert bool(text_of(lines)) == bool(text)
    assert (lines[-1]["error"]["type"], lines[-1]["outcome"]) == (kind, outcome)
    assert lines[-1]["error"]["message"]
    assert not re.search(r"--\w|command", lines[-1]["error"]["hint"])


def test_a_cut_is_reported_with_what_was_received_before(start):
    """A body that ends before the model is done is truncated, and all of its text was sent."""
    reply = endless()
    _, client = start(RawReply(writes=reply.writes))
    lines = client.lines()
    assert text_of(lines) == WORDS + " "
    assert (lines[-1]["error"]["type"], lines[-1]["outcome"]) == ("Truncated", "truncated")


def test_a_retry_is_reported_before_the_response(start):
    """A further request has a line with its reason, which is written before the wait for it."""
    _, client = start(WORDS, faults=[Status(code=503, headers={"retry-after": "0.3"}), None], retries=1)
    lines = client.lines()
    assert (lines[0]["type"], lines[0]["how"], lines[0]["error"]) == ("seam", "retry", "Overloaded")
    later = next(line for line in lines if line["type"] == "chunk")
    assert later["at"] - lines[0]["at"] >= lines[0]["wait"] - 0.01 > 0.2
    assert text_of(lines) == WORDS
    assert lines[-1]["failed_attempts"] == 1


def test_a_missing_key_is_reported(start, monkeypatch):
    """A connection that cannot be made is an error of the request, with its class."""
    _, client = start(WORDS)
    monkeypatch.delenv(VARIABLE)
    error = client.post("stream", connection="test", prompt="Hello")["error"]
    assert error["type"] == "ConfigError"
    assert VARIABLE in error["message"]


# What a call is made of


def test_the_form_becomes_a_request(start):
    """Model, system message, prompt and options are sent to the provider; options are read as of the command line."""
    simulator, client = start(WORDS)
    options = ["temperature=0.2", "max_tokens=50", "", 'stop=["a"]']
    assert client.lines(model="other", system="Be brief.", options=options)[-1]["outcome"] == "finished"
    body = simulator.requests[0].body
    assert body["model"] == "other"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["temperature"], body["stop"]) == (0.2, ["a"])
    assert 50 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def file_of(name, data):
    return {"name": name, "data": base64.b64encode(data).decode()}


def test_files_are_attached(start):
    """An image becomes an image, a text becomes text after its name."""
    simulator, client = start(WORDS)
    client.lines(files=[file_of("a.png", PNG), file_of("b.txt", "grün".encode())])
    parts = simulator.requests[0].body["messages"][0]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert parts[1]["text"].startswith("b.txt:\n\ngrün")
    assert parts[2]["text"] == "Hello"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "  "}, "The prompt is empty."),
        ({"options": ["temperature"]}, "'temperature' is not KEY=VALUE"),
        ({"options": ["temprature=1"]}, "temperature"),
        ({"options": ["temperature=hot"]}, "temperature"),
        ({"options": ["stream=false"]}, "streamed"),
        ({"files": [file_of("x.bin", b"\xff\xfe\x00\x81\x00")]}, "x.bin is of no type"),
    ],
    ids=["empty", "form", "unknown", "value", "stream", "file"],
)
def test_a_wrong_request_is_not_sent(start, fields, message):
    """What is wrong in the form is reported with its class, and no request is sent."""
    simulator, client = start(WORDS)
    end = client.lines(**fields)[-1]
    assert end["error"]["type"] == "RequestError"
    assert message in end["error"]["message"]
    assert simulator.requests == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"[" * 100_000, b'{"connection": 1}', b'{"connection": "a", "files": "b"}', b"\xff"]
)
def test_a_body_that_is_no_call_is_refused(client, body):
    """Anything but the JSON of the page is a 400 with a message."""
    response = client.request("POST", f"{client.url}stream", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "RequestError"


def test_a_form_of_another_site_is_no_call(client):
    """A body of a type that HTML forms can send is refused."""
    body = json.dumps({"connection": "simulator", "prompt": "Hello"})
    response = client.request("POST", f"{client.url}python", content=body, headers={"content-type": "text/plain"})
    assert response.status_code == 400
    assert "application/json" in response.json()["error"]["message"]


# Lists and code


def test_the_connections_are_those_that_can_be_called(start, monkeypatch):
    """The file's connections, providers whose key is set, and the simulator; the default one is the first."""
    _, client = start(WORDS)
    assert [each["name"] for each in client.post("connections")["connections"]] == ["test", "simulator"]
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    names = [each["name"] for each in client.post("connections")["connections"]]
    assert names[0] == "test"
    assert {"groq", "simulator"} < set(names)
    assert "openai" not in names


def test_the_chosen_connection_is_the_first(tmp_path):
    """``--connection`` is offered first, also with a model, and an unknown one is an error at the start."""
    with Simulator(WORDS) as simulator:
        config = configured(tmp_path, simulator)
        with client_of(config, "simulator") as client:
            assert client.post("connections")["connections"][0]["name"] == "simulator"
        with client_of(config, "test/other") as client:
            first = client.post("connections")["connections"][0]
            assert (first["name"], first["model"]) == ("test/other", "other")
        with pytest.raises(ConfigError, match="nothing-of-this-name"), client_of(config, "nothing-of-this-name"):
            pass


def test_a_connection_named_simulator_is_the_users(tmp_path):
    """A connection of the file with the simulator's name is called, rather than the page's own simulator."""
    with Simulator(WORDS) as simulator, client_of(configured(tmp_path, simulator, name="simulator")) as client:
        assert [each["group"] for each in client.post("connections")["connections"]] == ["file"]
        assert text_of(client.lines("simulator")) == WORDS


def test_models_are_listed(client):
    """The simulator's models are those that it responds to; each ends as its name promises."""
    models = client.post("models", connection="simulator")["models"]
    ends = {model: client.lines("simulator", model=model)[-1] for model in models if not model.endswith("-stall")}
    assert {model: end.get("error", {}).get("type") for model, end in ends.items()} == {
        "simulator": None,
        "simulator-reasoning": None,
        "simulator-tools": None,
        "simulator-cut": "Truncated",
        "simulator-error": "ServerError",
        "simulator-busy": "RateLimited",
    }


def test_the_call_as_python_makes_the_same_call(start, tmp_path, monkeypatch, capsys):
    """The program prints the response, and the provider gets the same body from it."""
    simulator, client = start(WORDS)
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.txt").write_text("grün", "utf-8")
    monkeypatch.chdir(tmp_path)
    attached = [file_of("a.png", PNG), file_of("b.txt", "grün".encode())]
    given = {"connection": "test", "prompt": 'A "quoted"\n\u202etext\\', "model": "m", "system": "Be brief."}
    given |= {"options": ["temperature=0.5", 'stop=["x"]', "reasoning_effort=low"]}
    for fields in (given, {**given, "system": "", "options": []}, {**given, "files": attached}):
        client.lines(**fields)
        exec(compile(client.post("python", **fields)["code"], "snippet", "exec"), {})  # noqa: S102 (that it runs is tested)
        assert capsys.readouterr().out == WORDS
        first, second = (request.body for request in simulator.requests[-2:])
        if "files" in fields:  # the page sends a text after its name
            first["messages"][-1]["content"].pop(1)
            second["messages"][-1]["content"].pop(1)
        assert {**first, "stream": True} == {**second, "stream": True}


def test_the_simulator_as_python_runs(client, capsys):
    """The program for the page's simulator starts one of its own."""
    code = client.post("python", connection="simulator", prompt="Hello")["code"]
    exec(compile(code, "snippet", "exec"), {})  # noqa: S102 (that it runs is tested)
    assert "I am the simulator" in capsys.readouterr().out


# Keys


def leaking():
    """Responses in which a provider repeats the key: as text, within a chunk, in an error, in a stream's error."""
    chunk = {"choices": [{"index": 0, "delta": {"content": f"Your key is {KEY}."}}], "system_fingerprint": KEY}
    tool = {"index": 0, "id": KEY, "function": {"name": "f", "arguments": json.dumps({"key": KEY})}}
    call = {"choices": [{"index": 0, "delta": {"tool_calls": [tool]}}]}
    error = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": KEY}}
    streamed = [f"data: {json.dumps(each)}\n\n".encode() for each in (chunk, call, error)]
    headers = {"content-type": "application/json", "x-request-id": KEY}
    return [
        RawReply(writes=streamed),
        RawReply(writes=streamed[:2]),
        RawReply(writes=[json.dumps(error).encode()], status=401, headers=headers, end="length"),
        RawReply(writes=[json.dumps(error).encode()], status=500, headers=headers, end="length"),
    ]


def test_no_key_reaches_the_page(start, monkeypatch):
    """No byte that is served contains the key, whatever a provider repeats, in lists, calls, errors and programs."""
    simulator, client = start(leaking())
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    for path in ("", "play.css", "play.js", "nothing"):
        client.get(path)
    ends = [client.lines()[-1] for _ in leaking()]
    assert [end["error"]["type"] for end in ends] == [
        "AuthenticationError",
        "Truncated",
        "AuthenticationError",
        "ServerError",
    ]
    client.post("connections")
    client.post("models", connection="test")
    client.post("python", connection="test", prompt="Hello")
    client.lines(options=["temprature=1"])
    client.post("stream", connection="unknown", prompt="Hello")
    client.request("POST", f"{client.origin}/x/stream", content=KEY.encode())
    assert [request.headers["authorization"] for request in simulator.requests] == [f"Bearer {KEY}"] * 5
    assert b"***" in client.served
    for form in (KEY.encode(), base64.b64encode(KEY.encode()), KEY.encode()[4:]):
        assert form not in client.served


# The command


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on POSIX")
def test_the_command_serves_until_ctrl_c(command):
    """It prints the URL of the page, which works also where a proxy is set, and ends with Ctrl-C during a stream."""
    with command.started(
        "play", "--no-open", HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9"
    ) as process:
        url = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", process.stdout.readline().decode())[0]
        with httpx.Client(timeout=PATIENCE, trust_env=False) as http:
            assert "<title>Polyglot play" in http.get(url).text
            body = {"connection": "simulator", "prompt": "Hi", "model": "simulator-stall"}
            with http.stream("POST", f"{url}stream", json=body) as response:
                next(line for line in response.iter_lines() if '"delta"' in line)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=command.patience)
    assert (process.returncode, err) == (130, b"")


def test_the_command_opens_a_browser(command, tmp_path):
    """Without ``--no-open`` the browser gets the URL."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    with command.started("play", BROWSER=f"{browser} %s") as process:
        url = re.search(r"http://\S+/", process.stdout.readline().decode())[0]
        process.stdout.readline()
        opened = tmp_path / "opened"
        for _ in range(int(PATIENCE / 0.05)):
            if opened.exists() and opened.read_text():
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        assert opened.read_text() == url


def test_a_port_in_use_is_an_error(command):
    """A port that another process has is an error of the configuration that names the option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = command.run("play", "--no-open", "--port", str(port))
    assert run.code == 3
    assert f"Port {port} cannot be used" in run.err
    assert "--port" in run.err


def test_without_the_extra_the_command_names_it(command):
    """Where a package of the extra is missing, the message has the extra."""
    script = "import sys; sys.modules['uvicorn'] = None; from polyglot_cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "play", "--no-open"],
        capture_output=True, text=True, env=command.env, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "Error: The page needs uvicorn: install polyglot-cli[play].\n"
