"""A response goes back as the turn that it was: each kind of block, and every recorded response."""

from __future__ import annotations

import pytest

from ..conformance.corpus import VARIABLE, folder
from .cells import DIALECTS, KINDS, exchange_of, turn_of
from .comparing import difference, reason_for
from .going import EQUAL, round_trip, tally
from .reading import READERS, read_turn
from .tables import PAGE, draw_cells, draw_rules, with_parts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("driver", DIALECTS)
def test_kind_of_block(driver, kind):
    """Check that a turn with such a block goes back equal, unless the dialect has none."""
    turn = turn_of(driver, kind)
    if isinstance(turn, str):
        pytest.skip(turn)
    assert round_trip(exchange_of(driver, turn)) == EQUAL


@pytest.mark.skipif(folder() is None, reason=f"{VARIABLE} names no folder of recorded exchanges")
@pytest.mark.parametrize("dialect", READERS)
def test_recorded_responses(dialect):
    """Check that every recorded response goes back equal, or differs for a known reason."""
    found = tally(folder(), dialect)
    unknown = {place: found.examples[place] for place in found.reasons if reason_for(dialect, place) is None}
    assert not unknown
    assert found.equal > found.tried / 2


def test_page():
    """Check that the page has the table; ``python -m tests.round_trips --write`` updates it."""
    page = PAGE.read_text("utf-8")
    assert page == with_parts(page, {"cells": draw_cells(), "rules": draw_rules()})


TEXT = {"type": "text", "text": "Roses."}


@pytest.mark.parametrize(
    ("received", "sent", "place"),
    [
        ([TEXT], [{"type": "text", "text": "Ro"}, {"type": "text", "text": "ses."}], None),
        ([TEXT], [{**TEXT, "citations": None}, {"type": "text", "text": ""}], None),
        ({"arguments": '{"a": 1}'}, {"arguments": {"a": 1}}, None),
        ({"content": "Roses."}, {"content": [TEXT]}, None),
        ([TEXT], [], "[] (number)"),
        ([TEXT], [{"type": "text", "text": "Roses"}], "[].text"),
        ([{**TEXT, "citations": [1]}], [TEXT], "[].citations"),
        ([TEXT, {"type": "x"}], [{"type": "x"}, TEXT], "[].type"),
        ({"arguments": '{"a": 1}'}, {"arguments": '{"a": 2}'}, "arguments.a"),
    ],
)
def test_difference(received, sent, place):
    """Check that the rules hide nothing but what they state."""
    assert difference(received, sent) == place


def test_reference_reader_of_a_stream():
    """Check that a reader adds up the events of a stream without a driver."""
    body = b"".join(
        b"data: %b\n\n" % event
        for event in (
            b'{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}',
            b'{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"H"}}',
            b'{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m"}}',
            b'{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}',
        )
    )
    assert read_turn("anthropic-messages", "sse", body) == [{"type": "thinking", "thinking": "Hm", "signature": "s"}]
