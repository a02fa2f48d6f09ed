"""Anthropic's Messages for Polyglot."""
