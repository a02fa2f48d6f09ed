"""What is logged: which loggers, at which levels, and that no line has a key or a prompt."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import textwrap

import pytest

from polyglot_core import Inference, PolyglotError, Retries, observe
from polyglot_core.plugin import TextDelta

pytestmark = pytest.mark.http

PLANTED = ("sk-planted-key", "planted-header", "planted-path", "planted prompt", "planted response", "planted error")
BUSY = b'{"error": {"message": "planted error: planted prompt sk-planted-key", "code": "busy"}}'


def lines(caplog):
    """Return the logger, the level and the beginning of each line of ours, without the id of the call."""
    records = [record for record in caplog.records if record.name.startswith("polyglot")]
    return [(record.name, record.levelname, record.getMessage().partition("to ")[2]) for record in records]


def test_the_lines_of_a_call(flavour, loopback, http, toy, caplog):
    """Attempts and the first content are DEBUG, a retry and the end are INFO."""
    server = loopback(http.plain(BUSY, 503), http.streamed(*toy.story, toy.done))
    made = server.connection(retries=Retries(max_retries=1, initial_backoff=0.01))

    async def main():
        await flavour.wait(flavour.Inference(made).create("Hi", stream=True).text())

    with caplog.at_level(logging.DEBUG, "polyglot_core"):
        flavour.run(main)
    logged = lines(caplog)
    assert {name for name, *_ in logged} == {"polyglot_core.engine"}
    expected = [
        ("DEBUG", "here, m: started"),
        ("DEBUG", "here, m: attempt 1"),
        ("INFO", "here, m: attempt 1: Overloaded, status 503; then retry in "),
        ("DEBUG", "here, m: attempt 2"),
        ("DEBUG", "here, m: first content after "),
        ("INFO", "here, m: finished after "),
    ]
    assert [
        (level, text[: len(start)]) for (_, level, text), (_, start) in zip(logged, expected, strict=True)
    ] == expected


def test_nothing_is_logged_by_default(loopback, http, toy, caplog):
    """At the level WARNING, which is Python's default, a call logs nothing."""
    server = loopback(http.plain(BUSY, 503))
    with caplog.at_level(logging.WARNING, "polyglot_core"), pytest.raises(PolyglotError):
        Inference(server.connection()).create("Hi").text()
    assert lines(caplog) == []


@pytest.mark.parametrize("script", ["finished", "refused", "cut", "malformed"])
def test_no_line_has_a_key_or_a_prompt(flavour, loopback, http, toy, caplog, script):
    """Whatever a provider repeats, no logger of core writes what was sent, what was received, or an error's text."""
    story = [toy.say(TextDelta("planted response"))]
    scripts = {
        "finished": http.streamed(*story, *toy.story[-1:], toy.done),
        "refused": http.plain(BUSY, 401),
        "cut": http.streamed(*story),
        "malformed": http.streamed(*story, b'data: {"planted response"\n\n'),
    }
    server = loopback(scripts[script])
    made = server.connection(
        api_key="sk-planted-key", headers={"x-team": "planted-header"}, base_url=f"{server.url}/planted-path"
    )

    def broken(event):
        raise ValueError(event)

    async def main():
        inference = flavour.Inference(made, observers=[broken])
        with contextlib.suppress(PolyglotError):
            await flavour.wait(inference.create("planted prompt", stream=True).text())

    with caplog.at_level(logging.DEBUG, "polyglot_core"):
        flavour.run(main)
    assert len(lines(caplog)) >= 4
    formatted = "\n".join(
        logging.Formatter().format(record) for record in caplog.records if record.name[:8] == "polyglot"
    )
    assert [planted for planted in PLANTED if planted in formatted] == []


def test_an_observer_of_content_that_raises(loopback, http, toy, caplog):
    """What such an observer raises may quote a prompt, so its text is not logged."""
    server = loopback(http.streamed(*toy.story, toy.done))

    class Reading:
        wants_content = True

        def __call__(self, event):
            raise ValueError(event)

    remove = observe(Reading())
    Inference(server.connection()).create("planted prompt", stream=True).text()
    remove()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "planted prompt" not in logging.Formatter().format(record)
    assert "ValueError" in record.getMessage()


def test_where_a_connection_comes_from(caplog, monkeypatch, tmp_path):
    """The file of a connection and the modules that are imported for it are DEBUG."""
    (tmp_path / "polyglot.toml").write_text(
        '[connections.work]\ndriver = "acme-logged"\nmodel = "m"\napi_key = "sk-planted-key"\n'
        'observers = ["acme_logged:watch"]\n'
    )
    (tmp_path / "polyglot.toml").chmod(0o600)
    (tmp_path / "acme_logged.py").write_text(
        textwrap.dedent("""
            from polyglot_core.plugin import Usage, WireRequest, hookimpl

            @hookimpl
            def encode_request(request): ...

            @hookimpl
            def decode_chunk(chunk): ...

            @hookimpl
            def extract_usage(payload): ...

            def watch(event): ...
        """)
    )
    info = tmp_path / "polyglot_logged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polyglot-logged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[polyglot.drivers]\nacme-logged = acme_logged\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    with caplog.at_level(logging.DEBUG, "polyglot_core"):
        Inference.using("work", config=tmp_path / "polyglot.toml")
    del sys.modules["acme_logged"]
    logged = [(record.name, record.getMessage()) for record in caplog.records]
    assert logged == [
        ("polyglot_core.config", f"Connection 'work': driver 'acme-logged', file {tmp_path}/polyglot.toml."),
        ("polyglot_core.drivers", "The driver 'acme-logged' is imported from acme_logged, polyglot-logged 1.0."),
        (
            "polyglot_core.drivers",
            "The observer 'acme_logged:watch' is imported from acme_logged:watch, the configuration.",
        ),
    ]
