"""The response for Starlette and FastAPI, as a subclass of their own ``Response``. It needs starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_streams import asgi

try:
    from starlette.responses import Response
except ModuleNotFoundError as error:
    msg = (
        "polyglot_streams.starlette requires starlette; install it (pip install starlette). Other ASGI applications "
        "use polyglot_streams.StreamResponse, which does not."
    )
    raise ModuleNotFoundError(msg, name=error.name) from None

if TYPE_CHECKING:
    from starlette.background import BackgroundTask

    from polyglot_streams.asgi import Receive, Scope, Send
    from polyglot_streams.shapes import Item
    from polyglot_streams.sources import AsyncSource

__all__ = ["StreamResponse"]


class StreamResponse(asgi.StreamResponse, Response):
    """`polyglot_streams.StreamResponse` for endpoints of FastAPI, with cookies and background tasks.

    Args:
        stream: An async stream.
        background: Run when the response has been sent, or its client has disconnected.
        options: The arguments of `polyglot_streams.StreamResponse`.

    Raises:
        RequestError: As `polyglot_streams.StreamResponse`.
    """

    def __init__(
        self,
        stream: AsyncSource[Item, Any],
        *,
        background: BackgroundTask | None = None,
        **options: Any,  # noqa: ANN401 (its arguments)
    ) -> None:
        asgi.StreamResponse.__init__(self, stream, **options)
        self.status_code = 200
        self.background = background
        self.init_headers(self._fields)

    def header_list(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, with those that were added since."""
        return self.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, and run the background task."""
        await super().__call__(scope, receive, send)
        if self.background is not None:
            await self.background()
