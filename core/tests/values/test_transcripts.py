"""Transcripts: what partials read of them, in any order and from several threads."""

from __future__ import annotations

import pytest

from polyglot_core._values.partial import GrowingText, ToolCallLog, ToolCallPiece

PIECES = (
    ToolCallPiece(0, "c1", "so", "", complete=False),
    ToolCallPiece(0, None, "il", '{"bed"', complete=False),
    ToolCallPiece(1, "c2", "clock", "", complete=True),
    ToolCallPiece(0, None, None, ":1}", complete=True),
)


class ReadMeanwhile(list):
    """Pieces that another thread reads while they are being read."""

    def __init__(self, pieces, read):
        super().__init__(pieces)
        self.read = read

    def __getitem__(self, index):
        found = super().__getitem__(index)
        read, self.read = self.read, lambda: None
        read()
        return found


def test_tool_calls_may_be_read_by_several_threads():
    """Check that a second reader, between the two halves of a first one's read, changes nothing."""
    log = ToolCallLog()
    log.pieces = ReadMeanwhile(PIECES, lambda: log.upto(len(PIECES)))
    for _ in range(2):
        soil, clock = log.upto(len(PIECES))
        assert (soil.name, soil.arguments, soil.complete) == ("soil", {"bed": 1}, True)
        assert (clock.name, clock.arguments_raw) == ("clock", "")


def test_text_may_be_read_by_several_threads():
    """Check the same for text."""
    text = GrowingText()
    text.parts = ReadMeanwhile(["Low", " ", "tide"], lambda: text.upto(3))
    assert [text.upto(3), text.upto(2), text.upto(3)] == ["Low tide", "Low ", "Low tide"]


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 4, 1, 3, 4)])
def test_tool_calls_are_the_same_in_any_order_of_reading(order):
    """Check that earlier reads do not change later ones, which include calls that were complete without arguments."""
    expected = {count: ToolCallLog.upto(_log(PIECES), count) for count in order}
    log = _log(PIECES)
    assert [log.upto(count) for count in order] == [expected[count] for count in order]


def test_arguments_after_a_call_was_complete():
    """Check that later arguments are appended, read in between or not."""
    log = _log(
        (ToolCallPiece(0, "c", "soil", "", complete=True), ToolCallPiece(0, None, None, '{"bed":1}', complete=True))
    )
    assert [log.upto(count)[0].arguments_raw for count in (1, 2)] == ["", '{"bed":1}']


def _log(pieces):
    log = ToolCallLog()
    log.pieces.extend(pieces)
    return log
