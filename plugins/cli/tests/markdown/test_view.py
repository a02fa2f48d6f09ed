"""How often a terminal is drawn, and what a thread of its own does with errors and waits."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from polyglot_cli.markdown.spans import Span
from polyglot_cli.markdown.view import Drawing, MarkdownView, draws
from polyglot_cli.output import Output


class Recorder(Output):
    """An output that keeps what is written, and when."""

    def __init__(self):
        super().__init__()
        self.written = []
        self.error = None
        self.wrote = threading.Event()

    def write(self, text):
        if self.error is not None:
            raise self.error
        if text:
            self.written.append((time.monotonic(), text))
            self.wrote.set()


def test_at_most_twelve_redraws_a_second():
    """However often there is a change, two draws are a twelfth of a second apart; the last one is drawn at the end."""
    output, texts = Recorder(), ["0"]
    drawing = Drawing(output, lambda columns, rows, last: ([], [[Span(texts[-1])]]))
    start = time.monotonic()
    while len(output.written) < 5:
        texts.append(str(len(texts)))
        drawing.change()
        time.sleep(0.001)
    texts.append("end")
    drawing.end()
    elapsed = output.written[-1][0] - start
    assert len(output.written) <= elapsed * 12 + 2
    times = [when for when, _ in output.written[:-1]]
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.075
    assert "end" in output.written[-1][1]


def test_an_error_of_a_write_is_raised_where_content_is_shown():
    """A terminal that was closed is an error of the thread that shows the response."""
    output = Recorder()
    output.error = BrokenPipeError("gone")
    drawing = Drawing(output, lambda columns, rows, last: ([], [[Span("x")]]))
    drawing.change()
    with pytest.raises(BrokenPipeError):
        drawing.end()


def test_a_wait_is_shown_and_leaves_no_trace():
    """What is waited for is shown with its seconds after one second, and is erased by the end."""
    output = Recorder()
    view = MarkdownView(output, "a\x1b[2J connection")
    view.wait()
    assert output.wrote.wait(60)
    assert "waiting for a connection… " in output.written[0][1]
    view.end()
    assert output.written[-1][1] == "\r\x1b[J"


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False), ("unknown", False)])
def test_a_dumb_terminal_is_not_drawn_on(monkeypatch, term, drawn):
    """Rows are drawn again on terminals that can move the cursor, and never in a pipe."""
    output = Recorder()
    monkeypatch.setenv("TERM", term)
    assert not draws(output)
    output.is_terminal = True
    assert draws(output) is drawn
