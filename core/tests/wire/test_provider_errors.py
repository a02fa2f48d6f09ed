"""Parsing of error responses, in every shape that providers send."""

from __future__ import annotations

import email.utils
import json
import math
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core import errors
from polyglot_core._values.events import Failure
from polyglot_core._wire.messages import WireResponse
from polyglot_core._wire.provider_errors import (
    _without_tags,
    failure_from_payload,
    failure_from_response,
    printable,
    provider_error,
    retry_after_seconds,
)

pytestmark = pytest.mark.http

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"error": {"message": "No", "code": "c", "type": "t"}}, ("No", "c", "t", None)),
        ({"error": {"message": "No", "code": 429}}, ("No", "429", None, 429)),
        ({"error": {"message": "No", "code": "503"}}, ("No", "503", None, 503)),
        ({"error": {"message": "No", "code": 7}}, ("No", "7", None, None)),
        (
            {"error": {"message": "No", "status": "RESOURCE_EXHAUSTED", "code": 429}},
            ("No", "429", "RESOURCE_EXHAUSTED", 429),
        ),
        ({"error": {"message": "No", "status": 500}}, ("No", None, "500", 500)),
        ({"error": {"message": "No", "status_code": 500}}, ("No", None, None, 500)),
        ({"error": "No"}, ("No", None, None, None)),
        ({"error": "No", "code": "c"}, ("No", "c", None, None)),
        ({"error": {"error": {"message": "No"}}}, ("No", None, None, None)),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "No"}},
            ("No", None, "overloaded_error", None),
        ),
        ({"message": "No"}, ("No", None, None, None)),
        ({"detail": "No"}, ("No", None, None, None)),
        ({"detail": [{"loc": ["body"], "msg": "No"}]}, ("body: No", None, None, None)),
        ({"msg": "No"}, ("No", None, None, None)),
        ({"error": "invalid_grant", "error_description": "No"}, ("invalid_grant: No", None, None, None)),
        ({"errors": [{"message": "No"}, {"message": "Neither"}]}, ("No; Neither", None, None, None)),
        ({"errors": ["No"]}, ("No", None, None, None)),
        ([{"error": {"message": "No", "code": 400}}], ("No", "400", None, 400)),
        (["No"], ("No", None, None, None)),
        ("No", ("No", None, None, None)),
        ("", ("", None, None, None)),
        (None, ("", None, None, None)),
        ([], ("", None, None, None)),
        ({}, ("", None, None, None)),
        (5, ("5", None, None, None)),
        ({"odd": 1}, ('{"odd":1}', None, None, None)),
        ({"error": {"message": None, "code": None}}, ('{"message":null,"code":null}', None, None, None)),
        ({"error": {"message": {"deep": 1}}}, ('{"deep":1}', None, None, None)),
        ({"error": True}, ("true", None, None, None)),
    ],
)
def test_shapes_of_error_objects(payload, expected):
    """Check message, code, type and status in every shape that providers send."""
    failure = failure_from_payload(payload)
    assert (failure.message, failure.code, failure.type, failure.status) == expected


def test_http_status_overrides_the_stated_status():
    """Check that the HTTP status of the response overrides the one in the error object."""
    assert failure_from_payload({"error": {"code": 400, "message": "x"}}, status=502).status == 502


def test_deeply_nested_error_objects():
    """Parse an error object nested a hundred times."""
    payload = {"message": "deep"}
    for _ in range(100):
        payload = {"error": payload}
    assert isinstance(failure_from_payload(payload), Failure)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "errors", "message", "code", "type", "status", "detail"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(payload=json_values, status=st.sampled_from([None, 200, 400, 500]))
def test_any_json_value_becomes_an_error(payload, status):
    """Check that any JSON value in an error response becomes a ProviderError with a message."""
    error = provider_error(failure_from_payload(payload, status=status))
    assert isinstance(error, errors.ProviderError)
    assert error.message
    body = json.dumps(payload).encode()
    assert failure_from_response(WireResponse(status=500, headers={}, body=body)).status == 500


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "No"}}', "No"),
        (b"plain text", "plain text"),
        (b"", ""),
        (b"  \n", ""),
        (
            b"<html><head><title>502</title><script>alert(1)</script></head><body>Bad   Gateway</body></html>",
            "502 Bad Gateway",
        ),
        (b"{cut", "{cut"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        (b"[" * 10_000, "["),
    ],
)
def test_bodies_of_error_responses(body, message):
    """Parse bodies that are JSON, HTML, plain text, invalid or empty."""
    failure = failure_from_response(WireResponse(status=502, headers={"retry-after": "3"}, body=body))
    said = printable(failure.message)
    assert said.startswith(message) if message == "[" else said == message
    assert (failure.status, failure.retry_after, failure.raw) == (502, 3.0, body)


TAGS_AS_AN_EXPRESSION = re.compile(rb"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
"""What is removed from a page: short, and quadratic."""

pieces_of_pages = st.sampled_from([
    b"<", b">", b"/", b"<script", b"<SCRIPT>", b"</script", b"</Script >", b"<style a=b>", b"</style>", b"<scripts>",
    b" ", b"\n", b"a", b"\xc3\xa9", b"<p>",
])  # fmt: skip


@given(page=st.lists(pieces_of_pages, max_size=12).map(b"".join))
def test_tags_are_removed_from_pages(page):
    """Check that scanning a page removes what the expression does."""
    assert _without_tags(page) == TAGS_AS_AN_EXPRESSION.sub(b" ", page)


READING_LONG_PAGES = """
from polyglot_core._wire.provider_errors import failure_from_response, provider_error
from polyglot_core._wire.messages import WireResponse
for unit in (
    b"<", b"</", b"<a", b"< ", b"<script", b"<script>", b"<style ", b"<script><style>", b"</script", b"<!--", b"&", b"<[",
    b"<script></script ", b"<script>" + b"</script" + b" " * 1000, b"<style></script>", b"<p>", b"<script></script>",
):
    for page in (unit * (1_048_576 // len(unit)), b"<script>" + unit * (1_048_576 // len(unit))):
        error = provider_error(failure_from_response(WireResponse(status=500, headers={}, body=page)))
        assert len(error.message) <= 512, unit
"""


def test_long_pages_are_read_in_linear_time():
    """Read a page of 1 MiB of any repeated prefix at once; a quadratic scan of it takes many minutes."""
    subprocess.run([sys.executable, "-c", READING_LONG_PAGES], timeout=120, check=True)


def test_error_page_of_open_tags(flavour, loopback, http):
    """Check that an error body of nothing but openings of tags is an error like any other."""
    server = loopback(http.plain(b"<" * 70_000, 500, "text/html"))

    async def main():
        with pytest.raises(errors.ProviderError) as caught:
            await flavour.wait(flavour.Inference(server.connection()).create("Hi").response())
        return caught.value

    error = flavour.run(main)
    assert (error.status, error.message[:3], error.attempts) == (500, "<<<", 1)


def test_error_of_a_failure():
    """Check class, one-line message, code or else type, and the wait."""
    error = provider_error(Failure("Too\n fast\x07!", type="rate_limit_error", status=429, retry_after=3.0))
    assert type(error) is errors.RateLimited
    assert (error.message, error.code, error.status, error.retry_after) == (
        "Too fast\N{REPLACEMENT CHARACTER}!",
        "rate_limit_error",
        429,
        3.0,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b\n\tc", "a b c"),
        ("\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
        ("\u202eright to left", "\N{REPLACEMENT CHARACTER}right to left"),
        ("grüße 🚀", "grüße 🚀"),
        ("a\u200bb\ufeffc", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"),
        ("a\u3164b\u034fc\u2800d", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d"),
        ("a\U000e0041\U000e0101", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("x" * 600, "x" * 511 + "…"),
        ("", ""),
    ],
)
def test_printable_text(text, expected):
    """Check that a provider's text is on one line, without control characters, and truncated."""
    assert printable(text) == expected


@given(st.text(), st.integers(1, 20))
def test_printable_text_of_any_input(text, limit):
    """Check that the result for any text is printable and within the limit."""
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit


@pytest.mark.parametrize("text", ["a" + " " * 100 + "key", " " * 100 + "key", "a " * 10 + " " * 100])
def test_truncated_text_ends_with_an_ellipsis(text):
    """Check the mark also where folding white space made the text shorter than the limit."""
    shown = printable(text, 20)
    assert shown.endswith("…")
    assert "key" not in shown
    assert printable("a" + " " * 70 + "key", 20) == "a key"


DATE = email.utils.formatdate(NOW + 30, usegmt=True)
PAST = email.utils.formatdate(NOW - 30, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "Infinity"}, None),
        ({"retry-after": "1e400"}, math.inf),
        ({"retry-after": "9" * 400}, math.inf),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "+3"}, None),
        ({"retry-after": "\u0663"}, None),
        ({"retry-after": "\uff13"}, None),
        ({"retry-after": "\u00b3"}, None),
        ({"retry-after": DATE.replace("20", "2_0")}, None),
        ({"retry-after": "30s"}, 30.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after-ms": "1_500"}, None),
        ({"gateway-retry-after": "4"}, 4.0),
        ({"gateway-retry-after-ms": "400"}, 0.4),
        ({"gateway-retry-after": "4", "retry-after": "3"}, 3.0),
        ({"retry-after": DATE}, 30.0),
        ({"retry-after": PAST}, None),
        ({"retry-after": "Mon, 99 Foo 2024 99:99:99 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"retry-after-ms": "nan", "retry-after": "60"}, 60.0),
        ({"retry-after-ms": "-1", "retry-after": "60"}, 60.0),
        ({"retry-after-ms": "x"}, None),
    ],
)
def test_retry_after_headers(headers, expected):
    """Parse seconds, milliseconds and dates; invalid values and times in the past are None."""
    wait = retry_after_seconds(headers, now=NOW)
    assert wait == (None if expected is None else pytest.approx(expected))


@given(st.text(st.characters(codec="latin-1"), max_size=40), st.text(max_size=10))
def test_any_retry_after_text_is_a_wait_or_none(seconds, milliseconds):
    """Check that no header text raises, and that a wait is positive."""
    wait = retry_after_seconds({"retry-after": seconds, "retry-after-ms": milliseconds}, now=NOW)
    assert wait is None or wait > 0


@given(
    st.lists(
        st.sampled_from(
            ["Mon,", "01", "Jan", "2024", "0", "99999", "00:00:00", "25:61:61", "GMT", "-9999", "+0000", ":", ","]
        )
    ).map(" ".join)
)
def test_any_date_like_text_is_a_wait_or_none(text):
    """Check that text made of fragments of dates never raises."""
    wait = retry_after_seconds({"retry-after": text}, now=NOW)
    assert wait is None or wait > 0
