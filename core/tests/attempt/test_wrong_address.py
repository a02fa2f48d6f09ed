"""The URL in the message for a status that says the URL is wrong."""

from __future__ import annotations

import pytest

from polyglot_core._attempt.wrong_address import about_the_url

WORD = "a1" * 16


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://garden.example/v1/chat/completions", "https://garden.example/v1/chat/completions"),
        (f"https://ann:{WORD}@garden.example/v1/messages?key={WORD}#{WORD}", "https://garden.example/v1/messages"),
        (f"https://garden.example/{WORD}/v1/messages", "https://garden.example/***/v1/messages"),
        (f"https://garden.example/sk-{WORD}", "https://garden.example/***"),
        (
            "https://garden.example/model/tulip.rose-3-5-large-20260101-v2:0/converse-stream",
            "https://garden.example/model/tulip.rose-3-5-large-20260101-v2:0/converse-stream",
        ),
        (
            "https://garden.example/openai/deployments/rose-4o-mini-2026-07-18/chat",
            "https://garden.example/openai/deployments/rose-4o-mini-2026-07-18/chat",
        ),
    ],
)
def test_url_is_shown_without_what_may_be_a_key(url, shown):
    """Check that the path is shown, and nothing that may be a secret."""
    assert about_the_url(url, "no model").startswith(f"The request was sent to {shown}.")


def test_long_path_costs_linear_time():
    """Check that a path of many long segments is read once."""
    assert about_the_url("https://garden.example/" + "a" * 1_000_000 + "/", "")
