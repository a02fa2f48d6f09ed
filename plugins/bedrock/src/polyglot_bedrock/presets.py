"""Amazon Bedrock, as a row of data."""

from __future__ import annotations

from polyglot_core.plugin import Preset

__all__ = ["PRESETS"]

PRESETS = {
    "bedrock": Preset(
        driver="bedrock",
        base_url="https://bedrock-runtime.us-east-1.amazonaws.com",
        model="us.amazon.nova-2-lite-v1:0",
    ),
}
"""Rows by preset name. There is no variable for the key: without one, AWS's own credentials are used.

Facts, all optional:
    region: AWS region, such as ``eu-central-1``; by default that of the base URL, which is ``us-east-1``.
    profile: Profile of AWS's own configuration files whose credentials are used; by default the usual one.
"""
