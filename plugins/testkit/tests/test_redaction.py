"""What removes keys: every spelling, nothing else, over any boundaries, and in linear time."""

from __future__ import annotations

import base64
import html
import json
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core.plugin import HTTPRequest, Secret
from polyglot_testkit.redaction import Redactor, names_key, secrets_in

KEY = 'sk-Garden/4+2"=xyz'

SPELLINGS = {
    "as it is": KEY,
    "upper case": KEY.upper(),
    "JSON": json.dumps(KEY)[1:-1],
    "JSON in JSON": json.dumps(json.dumps(KEY))[3:-3],
    "JSON three times": json.dumps(json.dumps(json.dumps(KEY)))[7:-7],
    "JSON with escaped slashes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "JSON in code points": "".join(f"\\u{ord(each):04X}" for each in KEY),
    "URL": quote(KEY, safe=""),
    "URL in URL": quote(quote(KEY, safe=""), safe=""),
    "URL, all of it": "".join(f"%{ord(each):02X}" for each in KEY),
    "HTML": html.escape(KEY),
    "HTML in code points": "".join(f"&#{ord(each)};" for each in KEY),
    "truncated": KEY[:9] + "\u2026",
    "truncated, in JSON": KEY[:9] + "\\u2026",
    "truncated by dots": KEY[:9] + "...",
    "hexadecimal": KEY.encode().hex(),
    **{
        f"{coding} behind {before!r}": encode((before + KEY).encode()).decode()
        for coding, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode))
        for before in ("", "a", "ab", "Bearer ", "user:")
    },
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, f"Bearer {KEY}"], ids=["bare", "with a scheme"])
def test_every_spelling_is_removed(name, secret):
    """What surrounds it stays."""
    spelt = SPELLINGS[name]
    found = Redactor([secret]).text(f"before {spelt} after")
    assert found.startswith("before ")
    assert found.endswith(" after")
    assert "***" in found
    assert len(found) <= len("before *** after") + 14  # of base64, what surrounds the key stays
    assert KEY[4:9].lower() not in found.lower()


def test_basic_authentication_is_removed_decoded_and_encoded():
    """User and password, and the password alone."""
    secret = "Basic " + base64.b64encode(b"gardener:roses-and-thorns").decode()
    redactor = Redactor([secret])
    for text in (secret, "gardener:roses-and-thorns", "roses-and-thorns", "the password roses-and-thorns."):
        assert "roses" not in redactor.text(text)
        assert secret[6:] not in redactor.text(text)


TEXTS = st.text(alphabet='ks-GABab/%\\u0\u00e9\u2026{}" ', max_size=60)


@given(
    before=TEXTS, after=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=6), name=st.sampled_from(sorted(SPELLINGS))
)
def test_a_key_over_any_boundaries_is_removed(before, after, cuts, name):
    """The pieces are as many as before, and together what the whole is without the key."""
    body = f"{before} {SPELLINGS[name]} {after}".encode()
    places = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    pieces = [body[start:end] for start, end in pairwise(places)]
    redactor = Redactor([KEY])
    found = redactor.pieces(pieces)
    assert len(found) == len(pieces)
    assert b"".join(found) == redactor.body(body)
    assert b"***" in b"".join(found)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_what_has_no_key_is_unchanged(pieces):
    """Also where it is no text."""
    assert Redactor(["Bearer sk-meadow-123456", "another-key-of-it"]).pieces(pieces) == pieces


def test_short_texts_are_no_keys():
    """They would be found in everything."""
    assert Redactor(["", "abc", "Bearer x"]).text("abc Bear x") == "abc Bear x"


def test_keys_are_found_by_their_names():
    """In headers, in the query of the URL, and in fields of the body whose values are texts."""
    body = {
        "tools": [
            {"type": "mcp", "authorization": "Bearer of-a-server-1"},
            {"parameters": {"properties": {"password": {"type": "string"}}}},
        ],
        "api_key": "of-a-gateway-2",
        "token": "a word that is data",
    }
    request = HTTPRequest(
        "POST",
        "https://h/v1?key=of-the-url-3&alt=sse&X-Amz-Signature=of-the-url-4",
        {"x-api-key": "of-a-header-5", "accept": "application/json"},
        json.dumps(body).encode(),
        (Secret("Bearer of-a-secret-6"),),
    )
    found = set(secrets_in(request)) - {""}
    assert found == {
        "Bearer of-a-server-1",
        "of-a-gateway-2",
        "of-the-url-3",
        "of-the-url-4",
        "of-a-header-5",
        "Bearer of-a-secret-6",
    }
    assert "of-a" not in repr(Redactor(found))


@pytest.mark.parametrize(
    "name", ["Authorization", "x-api-key", "api_key", "apiKey", "client_secret", "set-cookie", "X-Goog-Api-Key"]
)
def test_names_of_keys(name):
    """Whatever the case and the signs between words."""
    assert names_key(name)
    assert not names_key(f"{name}-count")
