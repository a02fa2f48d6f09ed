"""The response in Starlette and FastAPI: plain, and as a subclass of their ``Response``."""

from __future__ import annotations

import httpx
import pytest

from polyglot_core import AsyncInference
from polyglot_simulator import Simulator, Stall, Status
from polyglot_streams import StreamResponse

from .serving import Server, events_in, read_until, reading, text_of, wait_for

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from polyglot_streams.starlette import StreamResponse as OurResponse

WORDS = "Once upon a time there was a stream."


class Site:
    """A Starlette application with two routes, a middleware of each kind, and a background task."""

    def __init__(self, simulator):
        self.inference = AsyncInference.from_connection(simulator.connection)
        self.after = []
        routes = [Route("/plain", self.plain), Route("/ours", self.ours), Route("/text", self.text)]
        app = Starlette(routes=routes)
        app.add_middleware(GZipMiddleware)
        app.add_middleware(BaseHTTPMiddleware, dispatch=self.passed_on)
        self.app = app

    async def passed_on(self, request, call_next):
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response

    def stream(self):
        return self.inference.create("Tell a story.").stream()

    async def plain(self, request):
        return StreamResponse(self.stream(), headers={"X-Own": "1"})

    async def ours(self, request):
        response = OurResponse(
            self.stream(), headers={"X-Own": "1"}, background=BackgroundTask(self.after.append, "sent")
        )
        response.set_cookie("seen", "1")
        return response

    async def text(self, request):
        return OurResponse(self.stream(), shape="text")


@pytest.mark.parametrize("path", ["/plain", "/ours"])
def test_starlette_sends_a_stream(path):
    """Both responses pass middlewares, with their own headers; ours has cookies and background tasks too."""
    with Simulator(WORDS) as simulator:
        site = Site(simulator)
        with Server(site.app) as server:
            response = httpx.get(server.url + path)
            head = httpx.head(server.url + path)
    assert text_of(events_in(response.content)) == WORDS
    assert events_in(response.content)[-1].data["outcome"] == "finished"
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (response.headers["x-own"], response.headers["x-passed"]) == ("1", "yes")
    assert "content-length" not in response.headers
    assert (head.status_code, head.content) == (200, b"")
    assert len(simulator.requests) == 1
    if path == "/ours":
        assert response.cookies["seen"] == "1"
        assert site.after[0] == "sent"


@pytest.mark.parametrize("path", ["/plain", "/ours"])
def test_a_disconnect_through_middlewares_closes_the_request(path):
    """A client that disconnects from an application with middlewares ends the provider's request."""
    with Simulator(WORDS, fault=Stall(after_events=3)) as simulator, Server(Site(simulator).app) as server:
        with reading(server.url + path) as response:
            pieces = response.iter_raw()
            read_until(pieces, b" upon")
            assert simulator.requests[0].closed_at is None
        assert simulator.requests[0].wait_closed(5)


def test_the_background_task_runs_after_a_disconnect():
    """The task runs also if the client has left, once the stream is closed."""
    with Simulator(WORDS, fault=Stall(after_events=3)) as simulator:
        site = Site(simulator)
        with Server(site.app) as server:
            with reading(server.url + "/ours") as response:
                read_until(response.iter_raw(), b" upon")
            wait_for(lambda: site.after)


def test_text_before_its_first_piece_has_a_status():
    """An error before any text is a response with status 502 and the error as JSON."""
    faults = [None, Status(429, headers={"retry-after": "3"})]
    with Simulator(WORDS, faults=faults) as simulator, Server(Site(simulator).app) as server:
        text = httpx.get(server.url + "/text")
        error = httpx.get(server.url + "/text")
    assert (text.status_code, text.text) == (200, WORDS)
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert error.status_code == 502
    assert error.headers["content-type"] == "application/json"
    assert (error.json()["error"], error.json()["retry_after"]) == ("RateLimited", 3.0)


def test_fastapi_sends_a_stream():
    """An endpoint of FastAPI returns the response, and its dependencies' background tasks run."""
    fastapi = pytest.importorskip("fastapi")
    app, ran = fastapi.FastAPI(), []
    with Simulator(WORDS) as simulator:
        inference = AsyncInference.from_connection(simulator.connection)

        async def story(background):
            background.add_task(ran.append, 1)
            return OurResponse(inference.create("Hi.").stream())

        story.__annotations__ = {"background": fastapi.BackgroundTasks}
        app.get("/")(story)
        with Server(app) as server:
            response = httpx.get(server.url)
            wait_for(lambda: ran)
    assert text_of(events_in(response.content)) == WORDS
