"""The page of `polyglot play` and clients of it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import httpx

from polyglot_cli.play.server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from polyglot_simulator import Simulator

__all__ = ["KEY", "VARIABLE", "Client", "client_of", "configured"]

PATIENCE = 60.0  # seconds
VARIABLE = "PLAY_TEST_KEY"
KEY = "sk-planted-5f1c9a7e33"
"""The key in that variable."""


class Client:
    """A client of the page.

    Attributes:
        url: URL of the page, with the token.
        origin: URL of the server, without it.
        served: All bytes that were received, headers included.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.origin = url.rsplit("/", 2)[0]
        self.served = b""
        self._http = httpx.Client(timeout=PATIENCE, trust_env=False)

    def get(self, path: str = "", **headers: str) -> httpx.Response:
        """Send a GET request to a path below the token."""
        return self._keep(self._http.get(self.url + path, headers=headers))

    def post(self, path: str, /, **fields: Any) -> Any:
        """Post JSON, and return the JSON of the response."""
        return self._keep(self._http.post(self.url + path, json=fields)).json()

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send any request."""
        return self._keep(self._http.request(method, url, **options))

    @contextlib.contextmanager
    def reading(self, connection: str = "test", **fields: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """Make a call; yields its lines while they are received. Leaving the context disconnects."""
        body = {"connection": connection, "prompt": "Hello", **fields}
        with self._http.stream("POST", self.url + "stream", json=body) as response:
            self.served += str(response.headers.raw).encode()
            yield map(self._line, response.iter_lines())

    def lines(self, connection: str = "test", **fields: Any) -> list[dict[str, Any]]:
        """Make a call and return all of its lines."""
        with self.reading(connection, **fields) as lines:
            return list(lines)

    def _line(self, line: str) -> dict[str, Any]:
        self.served += line.encode()
        return json.loads(line)

    def _keep(self, response: httpx.Response) -> httpx.Response:
        self.served += str(response.headers.raw).encode() + response.content
        return response

    def close(self) -> None:
        """Close its connections."""
        self._http.close()


@contextlib.contextmanager
def client_of(config: Path | str | None, connection: str | None = None) -> Iterator[Client]:
    """Serve the page, and yield a client of it."""
    with contextlib.ExitStack() as opened:
        url, _ = opened.enter_context(serving(0, connection, None if config is None else str(config)))
        yield opened.enter_context(contextlib.closing(Client(url)))


def configured(folder: Path, simulator: Simulator, *, retries: int = 0, name: str = "test") -> Path:
    """Write a configuration in which a simulator is the default connection, and return its path."""
    file = folder / "play.toml"
    file.write_text(
        f'default = "{name}"\n[connections.{name}]\ndriver = "openai"\nbase_url = "{simulator.base_url}"\n'
        f'api_key_env = "{VARIABLE}"\nmodel = "test-model"\n'
        f"retries = {{ max_retries = {retries}, initial_backoff = 0.01 }}\n",
        "utf-8",
    )
    return file


def text_of(lines: list[dict[str, Any]]) -> str:
    """Return the text that lines make up."""
    return "".join(line.get("text", "") for line in lines if line["type"] == "delta")
