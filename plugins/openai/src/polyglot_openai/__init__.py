"""OpenAI's chat completions for Polyglot."""
