"""Drivers of strangers, installed from wheels beside the core: a good one, a broken one, and two with one name."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.wheels

ANSWER = b"""\
event: words
data: {"say":"Hel"}

event: words
data: {"say":"lo"}

event: tally
data: {"read":4,"written":2}

event: over
data: {"because":"all said"}

"""

PLAIN_ANSWER = b'{"say":"Hello","tally":{"read":4,"written":2},"because":"all said"}'

ASK = """
import json, sys
from polyglot_core import Inference

name, facts = sys.argv[1], json.loads(sys.argv[2])
pending = Inference.using(name, **facts).create(messages="Hello", options={"stream": True})
deltas = [partial.content_delta for partial in pending.stream()]
print(json.dumps({"deltas": deltas, "response": pending.response().to_dict()}))
"""

ASK_PLAINLY = """
import json, sys
from polyglot_core import Inference

acme = Inference.using("acme", base_url=sys.argv[1], model="acme-1")
print(json.dumps(acme.create(messages="Hello").response().to_dict()))
"""

FAIL = """
import json, sys
from polyglot_core import Inference, PolyglotError

try:
    facts = {"base_url": "http://127.0.0.1:9", "model": "any", "api_key": "test-key"}
    Inference.using(sys.argv[1], **facts).create(messages="Hello").response()
except PolyglotError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


class Acme(ThreadingHTTPServer):
    """Acme itself, on loopback. `asked` holds path, key and body of each request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), AcmeHandler)
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class AcmeHandler(BaseHTTPRequestHandler):
    """Answers every question alike, streamed where that is asked for."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.headers["authorization"], body))
        kind, answer = ("text/event-stream", ANSWER) if body["live"] else ("application/json", PLAIN_ANSWER)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def acme():
    with Acme() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def printed(run):
    """What a program printed as JSON; its errors, if it failed."""
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_a_strangers_driver_streams_when_it_is_named(crowded, acme):
    """A driver from a wheel of its own, with fewer arguments in another order, streams like ours."""
    facts = {"base_url": acme.url, "model": "acme-1", "api_key": "test-key"}
    said = printed(crowded.program(ASK, "acme", json.dumps(facts)))
    assert said["deltas"] == ["Hel", "lo", ""]
    assert said["response"]["choices"][0]["content"] == "Hello"
    assert said["response"]["outcome"] == "finished"
    assert said["response"]["choices"][0]["finish_reason"] == "stop"
    assert (said["response"]["usage"]["input_tokens"], said["response"]["usage"]["output_tokens"]) == (4, 2)
    question = {"engine": "acme-1", "talk": [{"role": "user", "content": "Hello"}], "live": True}
    assert acme.asked == [("/v1/answers", "Bearer test-key", question)]


def test_a_strangers_driver_gives_a_plain_answer_too(crowded, acme):
    """The same decoder reads an answer that was not streamed, and it is the same answer."""
    response = printed(crowded.program(ASK_PLAINLY, acme.url))
    assert response["choices"][0]["content"] == "Hello"
    assert response["outcome"] == "finished"
    assert response["usage"]["output_tokens"] == 2
    assert acme.asked[0][2]["live"] is False


def test_the_configuration_chooses_a_strangers_driver(crowded, acme, tmp_path):
    """A connection in polyglot.toml names the driver; the program only names the connection."""
    config = tmp_path / "polyglot.toml"
    config.write_text(
        f'[connections.mine]\ndriver = "acme"\nbase_url = "{acme.url}"\nmodel = "acme-2"\napi_key_env = "MINE"\n',
        "utf-8",
    )
    said = printed(crowded.program(ASK, "mine", "{}", POLYGLOT_CONFIG=str(config), MINE="test-key"))
    assert said["response"]["choices"][0]["content"] == "Hello"
    assert said["response"]["connection"] == "mine"
    ((path, key, body),) = acme.asked
    assert (path, key, body["engine"]) == ("/v1/answers", "Bearer test-key", "acme-2")


def test_a_driver_that_cannot_be_imported_is_named_with_its_version(crowded):
    """The error for a broken driver names its distribution and version."""
    kind, message = printed(crowded.program(FAIL, "broken"))
    assert kind == "PluginError"
    assert "polyglot-broken 0.0.7" in message
    assert "RuntimeError: a part of polyglot-broken is missing" in message


def test_a_name_that_two_distributions_claim_is_refused_with_both_named(crowded):
    """Neither of two packages with one driver name is imported; the error names both."""
    kind, message = printed(crowded.program(FAIL, "twin"))
    assert kind == "ConfigError"
    assert "polyglot-twin-one 1.1" in message
    assert "polyglot-twin-two 2.2" in message


def test_drivers_of_third_parties_are_found_by_name(strangers):
    """Each is imported by its entry point; one reuses drivers of two other packages, which its own depends on."""
    for name in ("tgi", "replicate", "bedrock-messages"):
        kind, message = printed(strangers.program(FAIL, name))
        assert kind == "TransportError", message


def test_an_unknown_name_is_answered_with_what_there_is(crowded, tmp_path):
    """The error lists connections and drivers, and offers the nearest name; no driver is imported for it."""
    config = tmp_path / "polyglot.toml"
    config.write_text('[connections.mine]\ndriver = "acme"\nbase_url = "http://127.0.0.1:9"\n', "utf-8")
    kind, message = printed(crowded.program(FAIL, "acne", POLYGLOT_CONFIG=str(config)))
    assert kind == "ConfigError"
    assert "did you mean 'acme'?" in message
    assert "connections: mine" in message
    assert "drivers: acme, broken, polyglot-twin-one:twin, polyglot-twin-two:twin" in message
