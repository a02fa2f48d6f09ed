"""The ``polyglot`` command: stream a response from any LLM provider in the terminal."""
