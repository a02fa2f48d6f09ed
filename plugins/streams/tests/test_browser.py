"""`reader.js` and EventSource in a headless Chromium, in front of a real server; `tox -e browser` runs these."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import threading
from importlib.resources import files

import pytest

from polyglot_core import AsyncInference
from polyglot_simulator import ErrorEvent, RawReply, Simulator, Stall
from polyglot_streams import Replays, StreamResponse

from .serving import Server, stands_still, wait_for

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
WORDS = "Once upon a time there was a stream that nobody cut."

PAGE = """<!doctype html><title>test</title><script type="module">
import { readStream } from "/reader.js";
const report = (value) => fetch("/report", { method: "POST", body: JSON.stringify(value) });
const texts = [], reconnects = [], keys = [];
const ends = { onFinish: (end) => report({ ended: "finish", ...end, texts, reconnects, keys }),
               onError: (error) => report({ ended: "error", ...error, texts, reconnects, keys }) };
const all = { ...ends, onOpen: (key) => keys.push(key), onText: (text) => texts.push(text),
              onReconnect: (attempt) => reconnects.push(attempt) };
%s
</script>"""


class Site:
    """A web site with one page, whose script is `script`, and a stream at ``/story``.

    Attributes:
        reports: What the page reported.
        drops: Numbers of messages after which the connections to ``/story`` break, one for each request.
        seen: Set when the page requests ``/seen``; the stream waits for it after `gate` partials.
        release: Set to respond to ``/wait``.
    """

    def __init__(self, simulator):
        self.inference = AsyncInference.from_connection(simulator.connection)
        self.replays = Replays()
        self.reports = queue.Queue()
        self.drops, self.methods, self.statuses, self.bodies = [], [], [], []
        self.script, self.gate, self.count = "", None, 0
        self.seen, self.release = threading.Event(), threading.Event()

    async def __call__(self, scope, receive, send):
        body = (await receive()).get("body", b"")
        path = scope["path"]
        if path == "/story":
            self.methods.append(scope["method"])
            self.bodies.append(body)
            await self.story(scope, receive, send)
            return
        if path == "/report":
            self.reports.put(json.loads(body))
        if path == "/seen":
            self.seen.set()
        while path == "/wait" and not self.release.is_set():
            await anyio_sleep()
        script = files("polyglot_streams").joinpath("reader.js").read_bytes()
        content = {"/": ("text/html", (PAGE % self.script).encode()), "/reader.js": ("text/javascript", script)}
        kind, text = content.get(path, ("text/plain", b""))
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def story(self, scope, receive, send):
        """Respond with a stream, and break the connection off if a test wants it."""
        left = self.drops.pop(0) if self.drops else None

        async def counted(message):
            nonlocal left
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            elif left is not None:
                left -= 1
                if left < 0:
                    raise ConnectionAbortedError
            await send(message)

        stream = self.inference.create("Tell a story.").stream()
        response = StreamResponse(Gated(self, stream), replays=self.replays)
        await response(scope, receive, counted)


class Gated:
    """A stream that is counted, and that waits after some partials until the page has seen them."""

    def __init__(self, site, stream):
        self.close, self.response, self.site, self.stream = stream.close, stream.response, site, stream

    async def __aiter__(self):
        async for partial in self.stream:
            yield partial
            self.site.count += 1
            while self.site.count == self.site.gate and not self.site.seen.is_set():
                await anyio_sleep()


async def anyio_sleep():
    import anyio

    await anyio.sleep(0.01)


@pytest.fixture
def visit(tmp_path):
    """Opens the page of a site in a browser. The last arguments are those of the simulator."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; install the package chromium-headless-shell of the system")
    running = []

    def open_page(script, *args, **options):
        simulator = Simulator(*args, **options).start()
        site = Site(simulator)
        server = Server(site).__enter__()
        site.script, site.simulator = script, simulator
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", profile]
        browser = subprocess.Popen([*command, f"{server.url}/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.append((browser, server, simulator))
        return site

    yield open_page
    for browser, server, simulator in running:
        browser.kill()
        browser.wait()
        server.__exit__()
        simulator.close()


def report_of(site):
    return site.reports.get(timeout=30)


def test_text_grows_while_the_response_is_received(visit):
    """The page sees the first words while the provider has sent no more, and then the whole text, once."""
    script = 'readStream("/story", { ...all, body: { prompt: "Hi" }, onText: (text) => { all.onText(text); fetch("/seen"); } });'
    site = visit(script, WORDS)
    site.gate = 3
    report = report_of(site)
    assert (report["ended"], report["outcome"], report["finish_reason"]) == ("finish", "finished", "stop")
    assert report["text"] == report["texts"][-1] == WORDS
    assert report["texts"][:3] == ["Once", "Once upon", "Once upon a"]
    assert (site.methods, site.bodies) == (["POST"], [b'{"prompt":"Hi"}'])
    assert len(report["keys"]) == 1


def test_a_reload_continues_the_same_response(visit):
    """A page that is reloaded in the middle shows the whole text, and the provider gets one request."""
    script = """
    const key = sessionStorage.getItem("key");
    readStream("/story", { ...all, lastEventId: key && `${key}.0`, onOpen: (key) => sessionStorage.setItem("key", key),
      onText: (text) => {
        texts.push(text);
        if (key) fetch("/seen");
        else if (text.endsWith("upon a")) location.reload();
      } });"""
    site = visit(script, WORDS)
    site.gate = 3
    report = report_of(site)
    assert (report["ended"], report["text"], report["texts"][0]) == ("finish", WORDS, "Once")
    assert len(site.simulator.requests) == 1
    assert site.methods == ["GET", "GET"]


def test_a_lost_connection_is_opened_again(visit):
    """A connection that breaks, at the opening and in the middle, leaves no gap, no doubled text, and one request."""
    site = visit('readStream("/story", { ...all, body: {} });', WORDS)
    site.drops[:] = [1, 4, 2]
    words = re.findall(r" ?\w+|\.", WORDS)
    report = report_of(site)
    assert (report["ended"], report["text"]) == ("finish", WORDS)
    assert report["texts"] == ["".join(words[:n]) for n in range(1, len(words) + 1)]
    assert len(report["reconnects"]) == 3
    assert len(site.simulator.requests) == 1


def test_an_error_of_the_provider_reaches_the_page(visit):
    """The page gets the error's class, its outcome and the text before it."""
    site = visit('readStream("/story", all);', WORDS, fault=ErrorEvent(after_events=4))
    report = report_of(site)
    assert (report["ended"], report["error"], report["outcome"]) == ("error", "ServerError", "failed")
    assert report["text"] == "Once upon a"


def test_a_page_stops_the_response(visit):
    """`stop` ends the reader, and with `Replays.stop` the provider's request."""
    script = """const reader = readStream("/story", { ...all,
      onText: () => { reader.stop(); report({ id: reader.lastEventId }); } });"""
    site = visit(script, WORDS, fault=Stall(after_events=3))
    assert site.replays.stop(report_of(site)["id"])
    assert site.simulator.requests[0].wait_closed(5)


def test_a_page_that_does_not_read_makes_the_provider_wait(visit):
    """While a script blocks the page, nothing is read from the provider; afterwards everything is there."""
    delta = json.dumps({"choices": [{"index": 0, "delta": {"content": "x" * 10_000}}]})
    end = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    writes = [b"data: %b\n\n" % delta.encode()] * 2_000
    script = """
    let blocked = false;
    const block = () => { const request = new XMLHttpRequest(); request.open("GET", "/wait", false); request.send(); };
    readStream("/story", { onFinish: (end) => report({ length: end.text.length, outcome: end.outcome }),
      onText: () => { if (!blocked) { blocked = true; block(); } } });"""
    site = visit(script, RawReply(writes=[*writes, end], headers=[("content-type", "text/event-stream")]))
    wait_for(lambda: site.count, 30)
    assert stands_still(lambda: site.count, 1.0) < 1_500
    site.release.set()
    assert report_of(site) == {"length": 20_000_000, "outcome": "finished"}


EVENT_SOURCE = """
const source = new EventSource("/story");
let text = "", last;
source.onmessage = (message) => {
  last = JSON.parse(message.data);
  text += last.content_delta ?? "";
};
source.onerror = () => { if (source.readyState === EventSource.CLOSED) report({ text, last }); };"""


def test_event_source_reads_the_response(visit):
    """EventSource gets the text through two lost connections, and stops by itself after the end."""
    site = visit(EVENT_SOURCE, WORDS)
    site.drops[:] = [1, 4]
    report = report_of(site)
    assert (report["text"], report["last"]["outcome"]) == (WORDS, "finished")
    assert site.statuses == [200, 200, 200, 204]
    assert len(site.simulator.requests) == 1


def test_event_source_stops_after_an_error(visit):
    """After an error in a response EventSource sends no further request to the provider."""
    site = visit(EVENT_SOURCE, WORDS, fault=ErrorEvent(after_events=4))
    report = report_of(site)
    assert (report["text"], report["last"]["error"]) == ("Once upon a", "ServerError")
    assert site.statuses == [200, 204]
    assert len(site.simulator.requests) == 1
