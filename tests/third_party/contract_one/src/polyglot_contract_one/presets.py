# THIS FILE MUST NEVER BE EDITED. See driver.py.
"""The preset of a driver of contract 1."""

from polyglot_core.plugin import Preset

PRESETS = {
    "contract-one": Preset(
        driver="contract-one",
        base_url="https://api.example.com/v1",
        api_key_env="CONTRACT_ONE_KEY",
        model="one-1",
        auth_header="x-key",
        auth_scheme="",
        facts={"limit": "longest"},
    )
}
