"""Errors within a stream, over sockets: in every dialect, some spellings, split anywhere, sync and async."""

from __future__ import annotations

import pytest

from polyglot_core import ProviderError
from polyglot_simulator import RawReply

from ..faults.spellings import DIALECTS, PLACES, WORDS, body_of, ending_of, headers_of, spellings_of

pytestmark = pytest.mark.http

_SIZE = 97  # bytes of a write, so that events are split
CASES = [
    (dialect, spelling)
    for dialect in DIALECTS
    for spelling in list(spellings_of(dialect))[:: 5 if dialect in {"openai", "ollama"} else 9]
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("dialect", "spelling"), CASES)
def test_error_in_a_stream(simulate, call_to, dialect, spelling, place):
    """Check that the error and the content before it equal those that are decoded without a socket."""
    body = body_of(dialect, spelling, place)
    writes = [body[start : start + _SIZE] for start in range(0, len(body), _SIZE)]
    reply = RawReply(writes=writes, headers=headers_of(dialect))
    driver = dialect.partition(" ")[0]
    connection = simulate(reply).connection_for(driver)
    call = call_to(connection)
    error = call.failure()
    assert isinstance(error, ProviderError)
    assert type(error).__name__ == ending_of(dialect, spelling, place).error
    assert WORDS in error.message
    assert error.partial.outcome == "failed"
    assert error.partial.content == "".join(each.content_delta for each in call.partials if each.choice == 0)
