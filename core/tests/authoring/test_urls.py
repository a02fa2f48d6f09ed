"""URLs below the base URL of a connection."""

from __future__ import annotations

import pytest

from polyglot_core import ConfigError, Connection
from polyglot_core.plugin import url_of


@pytest.mark.parametrize("base_url", ["https://api.example.com/v1", "https://api.example.com/v1/"])
@pytest.mark.parametrize("path", ["chat", "/chat"])
def test_one_slash_separates_base_url_and_path(base_url, path):
    """Slashes at the end of one and the beginning of the other make no difference."""
    connection = Connection(name="mine", driver="acme", base_url=base_url)
    assert url_of(connection, path) == "https://api.example.com/v1/chat"
    assert url_of(connection, f"{path}/?page=2") == "https://api.example.com/v1/chat/?page=2"
    assert url_of(connection) == "https://api.example.com/v1"


def test_default_where_there_is_no_base_url():
    """The default counts only where the connection has no base URL."""
    connection = Connection(name="mine", driver="acme")
    assert url_of(connection, "/chat", default="https://api.example.com/") == "https://api.example.com/chat"
    configured = connection.with_changes(base_url="http://localhost:8080")
    assert url_of(configured, "/chat", default="https://api.example.com") == "http://localhost:8080/chat"


def test_error_without_a_base_url():
    """The error names the connection and what to set."""
    connection = Connection(name="mine", driver="acme")
    with pytest.raises(ConfigError, match=r"'mine' has no base_url: set it .* base_url='https://…'"):
        url_of(connection, "/chat")
