"""``polyglot chat``: a conversation on the terminal."""
