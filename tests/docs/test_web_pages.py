"""The pages about web frameworks run behind real servers, and their readers in a real browser."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
import pytest

from .conftest import STORY
from .pages import DOCS, blocks, table

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)


@pytest.fixture
def page(request, provider, nowhere):
    """The program of the page that a test names, as a module, with its HTML as ``index.html``."""
    (name,) = request.node.get_closest_marker("parametrize").args[1]
    file = DOCS / "cookbook" / f"{name}.md"
    module = types.ModuleType(f"{name}_page")
    sys.modules[module.__name__] = module
    for block in blocks(file, "python"):
        exec(compile(block.padded, str(file), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (our own pages)
    (html,) = blocks(file, "html")
    (nowhere / "index.html").write_text(html.text, "utf-8")
    yield module
    del sys.modules[module.__name__]


fastapi_page = pytest.mark.parametrize("name", ["fastapi"])
django_page = pytest.mark.parametrize("name", ["django"])


@contextmanager
def asgi(app):
    """Serve an ASGI application with uvicorn; its address."""
    uvicorn = pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


class Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log_message(self, *_):
        pass


class Threads(ThreadingMixIn, WSGIServer):
    """A thread for each request."""

    daemon_threads = True


@contextmanager
def wsgi(app):
    """Serve a WSGI application; its address."""
    with make_server("127.0.0.1", 0, app, Threads, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def wait_for(condition):
    """Wait until a condition holds."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.005)


def text_of(body):
    """Return the text that events make up."""
    events = httpx.Response(200, content=body).text.split("\n\n")
    data = [block.partition("data: ")[2] for block in events if "data: " in block]
    return "".join(httpx.Response(200, text=each).json().get("content_delta", "") for each in data)


def last_id(body):
    """Return the id of the last event."""
    return body.rpartition(b"id: ")[2].partition(b"\n")[0].decode()


@fastapi_page
def test_fastapi_sends_a_story_and_stops_one(name, page, provider):
    """The page's application streams, continues after a disconnect, stops a response, and serves the script."""
    with asgi(page.app) as url, httpx.Client(base_url=url, timeout=10) as client:
        whole = client.post("/story", json={"prompt": "Write."})
        assert text_of(whole.content) == STORY
        again = client.post(
            "/story", json={"prompt": "Write."}, headers={"last-event-id": f"{last_id(whole.content)[:-4]}.0"}
        )
        assert text_of(again.content) == STORY
        assert len(provider.requests) == 1
        assert client.post("/story", json={}).status_code == 422
        assert b"readStream" in client.get("/reader.js").content
        assert client.get("/").headers["content-type"].startswith("text/html")
        assert client.post("/stop/unknown").json() is False


@pytest.fixture
def django(page):
    """Django with the views of its page."""
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=page.__name__, SECRET_KEY="test", LOGGING_CONFIG=None)
        django.setup()
    return django


@django_page
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_django_sends_a_story_sync_and_async(name, page, django, provider):
    """Both views stream, continue after the id that a reader sends, and answer the last id with a 204."""
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    for serve, application, path in (
        (asgi, get_asgi_application(), "/story"),
        (wsgi, get_wsgi_application(), "/sync-story"),
    ):
        before = len(provider.requests)
        with serve(application) as url, httpx.Client(base_url=url, timeout=10) as client:
            whole = client.get(path)
            assert whole.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert text_of(whole.content) == STORY
            assert client.get(path, headers={"last-event-id": last_id(whole.content)}).status_code == 204
            again = client.get(path, headers={"last-event-id": f"{last_id(whole.content)[:-4]}.2"})
            assert STORY.endswith(text_of(again.content))
        assert len(provider.requests) == before + 1


REPORT = """<script type="module">
setInterval(() => fetch("/report", { method: "POST", body: document.body.innerText }), 50);
</script>"""


class Reported:
    """An ASGI application around another one, which receives what a page shows."""

    def __init__(self, app):
        self.app = app
        self.text = ""

    async def __call__(self, scope, receive, send):
        if scope["path"] != "/report":
            return await self.app(scope, receive, send)
        self.text = (await receive()).get("body", b"").decode()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        return await send({"type": "http.response.body", "body": b""})


@contextmanager
def browsing(url, folder):
    """Open a page in a browser."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; install the package chromium-headless-shell of the system")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    browser = subprocess.Popen([CHROMIUM, *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        browser.kill()
        browser.wait()


@pytest.mark.browser
@fastapi_page
def test_the_page_of_fastapi_shows_the_story(name, page, nowhere):
    """The HTML of the page, in a browser, shows the whole story and why it ended."""
    index = nowhere / "index.html"
    index.write_text(index.read_text("utf-8") + REPORT, "utf-8")
    reported = Reported(page.app)
    with asgi(reported) as url, browsing(f"{url}/?prompt=Write", nowhere / "profile"):
        wait_for(lambda: STORY in reported.text and reported.text.endswith("stop"))


@pytest.mark.browser
@django_page
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_page_of_django_shows_the_story(name, page, django, nowhere):
    """The HTML of the page, in a browser, shows the whole story."""
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.urls import clear_url_caches, path

    html = (nowhere / "index.html").read_text("utf-8") + REPORT
    page.urlpatterns.append(path("", lambda request: HttpResponse(html)))
    clear_url_caches()
    reported = Reported(get_asgi_application())
    with asgi(reported) as url, browsing(f"{url}/", nowhere / "profile"):
        wait_for(lambda: reported.text.strip() == STORY)


def test_the_fields_of_events_are_those_that_are_listed():
    """The table of the page about browsers has exactly the fields that are sent."""
    from polyglot_streams import shapes

    rows = {row[0].split("`")[1]: set(re.findall(r"`(\w+)`", row[1])) for row in table(DOCS / "browser.md", "`type`")}
    calls = {"index", "id", "name", "arguments", "complete"}
    listed = {
        "partial": {*shapes._Partial.__struct_fields__, *calls, "how", "keeps"},
        "tool_call": {*shapes._ToolCall.__struct_fields__, *shapes._ToolResult.__struct_fields__, "run_tools"},
        "end": {*shapes._End.__struct_fields__, "finished", "truncated", "cancelled", "stop_when"},
        "error": {*shapes._Error.__struct_fields__},
    }
    assert rows == listed
