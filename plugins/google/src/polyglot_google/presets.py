"""Endpoints that speak Google's generateContent, as rows of data."""

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
"""Rows by preset name. Vertex AI has no variable for its key: an access token is sent unless the connection has a key.

Facts, all optional and all of ``vertex``:
    project: Google Cloud project; by default that of Google's credentials.
    location: Region, such as ``europe-west4``; by default ``global``.
    credentials_file: Path of a service account's file; by default the application default credentials.
    google_token: True if an access token is also sent to hosts outside of googleapis.com.
"""
