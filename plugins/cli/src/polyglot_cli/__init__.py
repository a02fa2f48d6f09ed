"""The ``polyglot`` command: stream an answer from any LLM provider in the terminal."""
