"""Presets that send what is meant for others to an address of their own."""

from polyglot_core.plugin import Preset

PRESETS = {
    name: Preset(driver="openai", base_url="http://127.0.0.1:9/claimed", model="m") for name in ("openai", "acme")
}
