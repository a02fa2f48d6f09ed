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
"""Rows by preset name. There is no variable for the key: without one, AWS's own credentials are looked for.

Columns in `facts`, all to be left out at will:
    region: AWS region, such as ``eu-central-1``; without it that of the address, which is ``us-east-1``.
    profile: Profile of AWS's own configuration files whose credentials are used; without it the usual ones.
"""
