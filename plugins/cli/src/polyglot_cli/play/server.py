"""The server of the page: a socket on loopback, uvicorn in a thread, and the browser."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from polyglot_cli.output import Output
from polyglot_cli.play.access import Guard
from polyglot_cli.play.app import application
from polyglot_cli.play.choices import Choices
from polyglot_cli.play.simulated import new_simulator
from polyglot_cli.unread_config import mention_unread_file
from polyglot_core import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.types import ASGIApp

__all__ = ["run", "serving"]

_HOST = "127.0.0.1"
_TOKEN_BYTES = 24
_LOOK = 0.5  # seconds; how often the wait is interrupted to check for Ctrl-C
_SECONDS_TO_STOP = 5.0

_GREETING = """\
The page is at {url} until Ctrl-C.
Keep this URL to yourself: with it a program can send requests with your keys.
"""


def run(port: int, connection: str | None, config: str | None, *, opens: bool) -> None:
    """Serve the page until interrupted.

    Args:
        port: Port on this machine; 0 takes a free one.
        connection: Name of the connection that is chosen at first; None is the default one.
        config: Path of the configuration file; None is the default one.
        opens: Whether to open the page in a browser.

    Raises:
        ConfigError: The configuration cannot be read, or the port is in use.
        KeyboardInterrupt: It was interrupted.
    """
    mention_unread_file(config)
    with serving(port, connection, config) as (url, thread):
        Output().write(_GREETING.format(url=url))
        if opens:
            webbrowser.open(url)
        while thread.is_alive():
            thread.join(_LOOK)


@contextlib.contextmanager
def serving(port: int, connection: str | None, config: str | None) -> Generator[tuple[str, threading.Thread]]:
    """Serve the page while the context is open. Yields its URL, and the thread that serves it.

    Raises:
        ConfigError: The configuration cannot be read, or the port is in use.
    """
    with new_simulator() as simulator:
        choices = Choices(config, simulator, connection)
        choices.listed()  # raises if the configuration cannot be read
        with _listener(port) as listener:
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            number = listener.getsockname()[1]
            server = _server(Guard(application(choices), token, number))
            thread = threading.Thread(target=_serve, args=(server, listener), name="polyglot-play", daemon=True)
            thread.start()
            try:
                yield f"http://{_HOST}:{number}/{token}/", thread
            finally:
                server.should_exit = True
                thread.join(_SECONDS_TO_STOP)


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        raise ConfigError(f"Port {port} cannot be used: {error.strerror}. Choose another one with --port.") from error


def _server(app: ASGIApp) -> uvicorn.Server:
    """Return the server. It logs nothing, because paths contain the token."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    asyncio.run(server.serve(sockets=[listener]))
