"""One attempt, without a socket: bytes in, partials and an outcome out."""
