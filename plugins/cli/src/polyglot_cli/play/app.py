"""The application of the page: its three files, and what its script requests."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from polyglot_cli.play.call import read_call
from polyglot_cli.play.call_lines import error_fields, write_call
from polyglot_cli.play.snippet import as_python
from polyglot_cli.views import as_json
from polyglot_core import PolyglotError, RequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from polyglot_cli.play.call import PageCall
    from polyglot_cli.play.choices import Choices
    from polyglot_core import AsyncInference

__all__ = ["application"]

_FILES = {
    "/": ("index.html", "text/html"),
    "/play.css": ("play.css", "text/css"),
    "/play.js": ("play.js", "text/javascript"),
}
_LARGEST = 48 * 1024 * 1024  # bytes of a request, with its attached files in base64
_JSON = "application/json"


def application(choices: Choices) -> Starlette:
    """Return the application.

    Args:
        choices: The connections that the page offers.
    """
    requested: Mapping[str, Callable[[Choices, Request], Awaitable[Response]]] = {
        "/connections": _connections,
        "/models": _models,
        "/python": _python,
        "/stream": _stream,
    }
    return Starlette(
        routes=[
            *(Route(path, _file(*file)) for path, file in _FILES.items()),
            *(Route(path, _handler(choices, handle), methods=["POST"]) for path, handle in requested.items()),
        ]
    )


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("polyglot_cli.play").joinpath("page", name).read_bytes()

    async def respond(_: Request) -> Response:
        return Response(content, media_type=kind)

    return respond


def _handler(
    choices: Choices, handle: Callable[[Choices, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that responds to Polyglot's errors with their class, their message and a hint."""

    async def respond(request: Request) -> Response:
        try:
            return await handle(choices, request)
        except PolyglotError as error:
            return _json({"error": error_fields(error)}, 400)

    return respond


def _json(value: object, status: int = 200) -> Response:
    return Response(as_json(value), status, media_type=_JSON)


async def _connections(choices: Choices, _: Request) -> Response:
    """Return the connections, the one that is chosen at first at the beginning."""
    return _json({"connections": [each._asdict() for each in await run_sync(choices.listed)]})


async def _models(choices: Choices, request: Request) -> Response:
    """Return the names of the models of a connection, for which the provider gets a request."""
    call = await _call(request)
    inference = await run_sync(choices.inference, call.connection)
    return _json({"models": [model.id for model in await inference.models()]})


async def _python(choices: Choices, request: Request) -> Response:
    """Return a call as a program."""
    call = await _call(request)
    simulated = await run_sync(choices.is_simulator, call.connection)
    return _json({"code": as_python(call, config=choices.config, simulated=simulated)})


async def _stream(choices: Choices, request: Request) -> Response:
    """Make a call and return its lines."""
    call = await _call(request)
    return _Lines(_Made(call, await run_sync(choices.inference, call.connection)))


async def _call(request: Request) -> PageCall:
    """Return the call in the body of a request.

    Raises:
        RequestError: The body is too large, or no call.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != _JSON:
        raise RequestError(f"The body of the request is not of the type {_JSON}.")
    body = bytearray()
    async for data in request.stream():
        body += data
        if len(body) > _LARGEST:
            raise RequestError(f"The attached files are too large; at most {_LARGEST // 2**20} MiB are sent.")
    return read_call(bytes(body))


class _Made(NamedTuple):
    """A call, and the connection that it is made on."""

    call: PageCall
    inference: AsyncInference


class _Lines(Response):
    """The lines of a call, which is cancelled when the page disconnects.

    Starlette's own streamed response notices a disconnect by a failed write, or not at all while a provider is silent.

    Args:
        made: The call.
    """

    media_type = "application/x-ndjson"

    def __init__(self, made: _Made) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers()
        self._made = made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (of the interface)
        """Send the lines."""
        async with anyio.create_task_group() as group:

            async def cancel_after_disconnect() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            async def write(line: bytes) -> None:
                await send({"type": "http.response.body", "body": line, "more_body": True})

            group.start_soon(cancel_after_disconnect)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await write_call(*self._made, write)
            await send({"type": "http.response.body", "body": b""})
            group.cancel_scope.cancel()
