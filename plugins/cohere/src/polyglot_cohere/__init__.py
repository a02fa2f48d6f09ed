"""Cohere's chat for Polyglot."""
