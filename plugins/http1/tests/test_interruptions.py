"""Ctrl-C between any two lines of the transport for threads: nothing is held, and the next request is sent."""

import asyncio
import contextlib
import gc
import sys
from pathlib import Path

import pytest

import polyglot_http1
from polyglot_http1 import limits

from .conftest import Sync, User

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
FOLDER = str(Path(polyglot_http1.__file__).parent)
MOST_LINES = 400


class Interrupt:
    """Raises KeyboardInterrupt before the n-th line of the package."""

    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "line":
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kept", [False, True])
def test_an_interruption_at_any_line(serve, kept):
    """At every third line, on a new connection and on one that is used again. All places are there in the end."""
    server = serve((OK,))

    async def main():
        async with User(Sync(), server.url) as user:
            for number in range(1, MOST_LINES, 3):
                if kept:
                    await user.ask()
                else:
                    user.transport.close_idle(0.0)
                interrupt = Interrupt(number)
                sys.settrace(interrupt)
                try:
                    with contextlib.suppress(KeyboardInterrupt):
                        await user.ask()
                finally:
                    sys.settrace(None)
                gc.collect(0)
                assert await user.ask() == (200, b"hi")
                if interrupt.left > 0:
                    break
            else:
                pytest.fail("the request has more lines")
            stock = user.transport._stock
            return stock.idle + len(stock._slots)

    assert limits.PLACES - asyncio.run(main()) <= 1
