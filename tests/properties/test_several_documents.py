"""Plain bodies of several JSON documents, in every dialect: the first one is the response."""

from __future__ import annotations

import pytest

from polyglot_core.errors import Malformed, Truncated

from .bodies import ours
from .hearing import hear, is_heard

each_body = pytest.mark.parametrize(
    "exchange",
    [each for each in ours() if not each.streamed and "error" not in each.path and is_heard(each.dialect)],
    ids=lambda exchange: exchange.path,
)
BETWEEN = {"nothing": b"", "a line end": b"\n", "white space": b" \r\n\t", "a comma": b","}
SECOND = {
    "the same": None,
    "another": b'{"roses": "red"}',
    "an error": b'{"error": {"message": "Too wet."}}',
}


def told(heard):
    """Return the response without its notes."""
    return {name: value for name, value in heard.response.items() if name != "notes"}


@pytest.mark.parametrize("second", SECOND.values(), ids=SECOND)
@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
@each_body
def test_first_document_of_a_plain_body_is_the_response(exchange, between, second):
    """Check that nothing of the second one is in the response, and that a note states how much was left out."""
    body = exchange.body.strip()
    heard = hear(exchange, body + between + (second or body))
    assert heard.error is None
    assert told(heard) == told(hear(exchange))
    assert any("more than one JSON document" in note for note in heard.response["notes"])


@pytest.mark.parametrize("rest", [b' and {"roses": "red"}', b'{"roses": "re', b" {"], ids=["a word", "cut", "a brace"])
@each_body
def test_what_follows_must_be_whole(exchange, rest):
    """Check that a body is an error if more of it was meant to follow."""
    heard = hear(exchange, exchange.body.strip() + rest)
    assert isinstance(heard.error, (Malformed, Truncated))


@pytest.mark.parametrize("behind", [b"\n", b" \r\n", b"\0"], ids=["a line end", "white space", "NUL"])
@each_body
def test_nothing_behind_a_document_is_no_other(exchange, behind):
    """Check that white space and NUL change nothing."""
    assert told(hear(exchange, exchange.body.strip() + behind)) == told(hear(exchange))


@pytest.mark.parametrize("pieces", [1, 7])
@each_body
def test_several_documents_in_pieces(exchange, pieces):
    """Check that the result does not depend on how the body is split."""
    body = exchange.body.strip() * 3
    split = [body[start : start + pieces] for start in range(0, len(body), pieces)]
    assert hear(exchange, pieces=split).told == hear(exchange, body).told
