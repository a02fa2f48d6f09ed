"""Origins of URLs."""

from __future__ import annotations

import pytest

from polyglot_core._values.addresses import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com/v1?a=b#c", "https://api.example.com"),
        ("HTTPS://API.Example.com", "https://api.example.com"),
        ("https://api.example.com:443/v1", "https://api.example.com"),
        ("https://api.example.com:", "https://api.example.com"),
        ("https://api.example.com:0443", "https://api.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://user:password@api.example.com:8443/", "https://api.example.com:8443"),
        ("http://[::1]/v1", "http://[::1]"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_origin_is_scheme_host_and_port(url, origin):
    """Case, a default port, credentials and the path make no difference."""
    assert origin_of(url) == origin


@pytest.mark.parametrize("text", ["", "nowhere", "http://[::1", "http://host:port", "/v1", "https:///v1"])
def test_text_that_is_not_a_url_is_its_own_origin(text):
    """Two such texts have the same origin only if they are equal."""
    assert origin_of(text) == text
