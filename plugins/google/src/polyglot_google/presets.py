"""Places that speak Google's generateContent, as rows of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "gemini": Preset(
        driver="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        api_key_env="GEMINI_API_KEY",
        model="gemini-flash-latest",
        auth_header="x-goog-api-key",
        auth_scheme="",
    ),
    "vertex": Preset(
        driver="vertex",
        base_url="https://aiplatform.googleapis.com/v1",
        model="gemini-3.5-flash",
        auth_header="x-goog-api-key",
        auth_scheme="",
    ),
}
"""Rows by preset name. Vertex AI has no variable for its key: it is asked with an access token, unless a key is given.

Columns in `facts`, all for ``vertex`` and all to be left out at will:
    project: Google Cloud project; without it the one that Google's credentials name.
    location: Region, such as ``europe-west4``; without it ``global``.
    credentials_file: Path of a service account's file; without it the application default credentials.
    google_token: Whether an address outside of googleapis.com is given an access token too.
"""
