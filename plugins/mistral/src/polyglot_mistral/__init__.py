"""Mistral's chat completions for Polyglot."""
