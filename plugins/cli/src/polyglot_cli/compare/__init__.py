"""``polyglot compare``: one prompt, several connections or models, side by side."""
