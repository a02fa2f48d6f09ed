"""The page of ``polyglot play`` in a headless Chromium; `tox -e browser` runs these."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from polyglot_simulator import ErrorEvent, Pace, RawReply, Reply, Simulator, Stall, ToolCall

from . import chromium
from .playing import KEY, PATIENCE, VARIABLE, client_of, configured

pytestmark = pytest.mark.browser

WORDS = "Once upon a time a fox looked up at the stars."
FINISHED = "!document.querySelector('#send').disabled"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """An environment with the planted key."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv(VARIABLE, KEY)


class Visit:
    """A browser on the page, whose default connection is a simulator.

    Attributes:
        page: The page in the browser.
        simulator: The simulator.
    """

    def __init__(self, page, simulator):
        self.page, self.simulator = page, simulator

    def send(self, prompt="Hello"):
        """Type a prompt, and send it with the keyboard. Returns when the stream has begun or ended."""
        self.page.focus("#prompt")
        self.page.type(prompt)
        self.page.press("Enter", control=True)
        self.page.wait_for("document.querySelector('.badge:not([hidden])')")

    def finish(self):
        self.page.wait_for(FINISHED)
        return self.page


@pytest.fixture
def visit(tmp_path):
    """Open the page in a browser. The arguments are those of the simulator that is the default connection.

    After the test every request that the browser sent must have gone to the page, and none may have failed.
    """
    if chromium.CHROMIUM is None:
        pytest.skip("there is no Chromium; install the package chromium-headless-shell of the system")
    opened = []

    def begin(*args, **settings):
        simulator = Simulator(*args, **settings).start()
        serving = client_of(configured(tmp_path, simulator))
        client = serving.__enter__()
        browser = chromium.opened(tmp_path / "profile")
        page = browser.__enter__()
        opened.append((browser, serving, simulator, client, page))
        page.emulate(1200, 800)
        page.visit(client.url)
        page.wait_for("document.querySelector('#connection-a')?.value === 'test'")
        return Visit(page, simulator)

    yield begin
    for browser, serving, simulator, client, page in opened:
        html = page.evaluate("document.documentElement.outerHTML")
        browser.__exit__(None, None, None)
        serving.__exit__(None, None, None)
        simulator.close()
        assert {f"{url.scheme}://{url.netloc}" for url in map(urlsplit, page.requests) if url.scheme != "data"} == {
            client.origin
        }
        assert page.complaints == []
        assert KEY not in html


def test_a_stream_grows(visit):
    """The page shows the first words while the provider has sent no more, then a second time the whole text."""
    shown = visit(WORDS, faults=[Stall(after_events=5), None])
    shown.send()
    shown.page.wait_for("document.querySelector('.text').textContent === 'Once upon a time'")
    assert shown.page.text(".badge") == "Receiving"
    assert shown.page.evaluate("document.querySelector('.pane').getAttribute('aria-busy')") == "true"
    shown.page.press("Escape")
    shown.finish()
    shown.send()
    page = shown.finish()
    assert (page.text(".text"), page.text(".badge")) == (WORDS, "Finished")
    assert "finished" in page.text("#status")
    assert "Tokens out" in page.text(".facts")
    assert "chunks with content" in page.evaluate("document.querySelector('.plot svg').getAttribute('aria-label')")
    assert page.evaluate("document.querySelectorAll('.events li').length") > 10
    assert page.evaluate("document.activeElement.id") == "prompt"


@pytest.mark.parametrize("way", ["Escape", "button"])
def test_stop_closes_the_request_to_the_provider(visit, way):
    """Escape and the button end the request to the provider, and what was received stays."""
    shown = visit(WORDS, fault=Stall(after_events=5))
    shown.send()
    shown.page.wait_for("document.querySelector('.text').textContent.startsWith('Once upon')")
    assert shown.simulator.requests[0].closed_at is None
    if way == "Escape":
        shown.page.press("Escape")
    else:
        shown.page.click("#stop")
    assert shown.simulator.requests[0].wait_closed(PATIENCE) is not None
    page = shown.finish()
    assert (page.text(".badge"), page.text(".text")) == ("Stopped", "Once upon a time")
    assert "stopped" in page.text("#status")


def test_an_error_and_a_cut_are_shown(visit):
    """The class, the message and the text received before are shown, for an error of the provider and for a cut."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": f"{word} "}}]} for word in ("Half", "of", "it")]
    cut = RawReply(writes=[f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks])
    shown = visit([WORDS, cut], faults=[ErrorEvent(after_events=5), None])
    shown.send()
    page = shown.finish()
    assert (page.text(".text"), page.text(".badge"), page.text(".error h3")) == (
        "Once upon a time",
        "Failed",
        "ServerError",
    )
    assert "ServerError" in page.text("#status")
    shown.send()
    page = shown.finish()
    assert (page.text(".text"), page.text(".badge"), page.text(".error h3")) == (
        "Half of it ",
        "Truncated",
        "Truncated",
    )
    assert page.text(".error .message")


def test_text_of_a_provider_is_no_markup(visit):
    """Elements in the text, the reasoning, a tool call and an error are shown as they were sent, and nothing is run."""
    markup = '<img src="x" onerror="document.title=1"><b>bold</b>'
    call = ToolCall(markup, {"html": markup})
    shown = visit(
        [
            Reply(markup, reasoning=markup, tool_calls=[call]),
            RawReply(status=400, writes=[markup.encode()], end="length"),
        ]
    )
    shown.send()
    page = shown.finish()
    assert page.text(".text") == page.text(".reasoning div") == page.text(".tools b") == markup
    shown.send()
    page = shown.finish()
    assert page.text(".badge") == "Failed"
    assert page.evaluate("document.querySelectorAll('.pane img, .text *, .error b').length") == 0
    assert page.evaluate("document.title") == "Polyglot play"


def test_two_connections_are_compared(visit):
    """Both columns fill at the same time, each with the response of its own connection."""
    shown = visit(
        Reply("", reasoning="I think.", tool_calls=[ToolCall("f", {"a": 1})]), pace=Pace(tokens_per_second=20)
    )
    shown.page.click("#compare")
    shown.send("Compare")
    shown.page.wait_for("document.querySelectorAll('.badge[data-state=running]').length === 2")
    page = shown.finish()
    first, second = page.evaluate("[...document.querySelectorAll('.pane')].map((pane) => pane.innerText)")
    assert "I think." in first
    assert '{"a":1}' in first
    assert "I am the simulator" in second
    places = page.evaluate("[...document.querySelectorAll('.pane')].map((pane) => pane.getBoundingClientRect().top)")
    assert places[0] == places[1]
    page.emulate(400, 800)
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_the_call_as_python_is_shown(visit):
    """The dialog has the program, and closes with Escape."""
    shown = visit(WORDS)
    shown.page.focus("#prompt")
    shown.page.type("Hello")
    shown.page.click("#python")
    shown.page.wait_for("document.querySelector('#code').open")
    assert 'Inference.using("test"' in shown.page.text("#code-text")
    assert shown.page.evaluate("document.activeElement.id") == "code-copy"


def test_every_control_has_a_name_and_is_reached_by_tab(visit):
    """The order of the focus is that of the page, and each field and button has a name for screen readers."""
    page = visit(WORDS).page
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.focus("#connection-a")
    order = ["connection-a"]
    while order[-1] != "BODY" and len(order) < 40:
        page.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    wanted = [
        "connection-a",
        "model-a",
        "compare",
        "prompt",
        "system",
        "max_tokens",
        "temperature",
        "files",
        "send",
        "python",
    ]
    assert [each for each in order if each in wanted] == wanted
    nameless = """[...document.querySelectorAll('input, select, textarea, button')].filter((each) => !(
        each.ariaLabel || each.labels?.length || each.innerText)).map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []


CONTRAST = """(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255).map((each) =>
    (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.disabled) continue;
    const pair = [light(channels(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) low.push([element.outerHTML.slice(0, 120), ratio.toFixed(2)]);
  }
  return low;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit, scheme):
    """Every visible text has a contrast of 4.5 to 1 at least, in both colour schemes, also in errors and lists."""
    shown = visit(
        Reply(WORDS, reasoning="I think.", tool_calls=[ToolCall("f", {"a": 1})]), fault=ErrorEvent(after_events=12)
    )
    shown.page.emulate(1200, 1600, scheme=scheme)
    assert shown.page.evaluate(CONTRAST) == []
    shown.send()
    page = shown.finish()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.text(".error h3") == "ServerError"
    assert page.evaluate(CONTRAST) == []
