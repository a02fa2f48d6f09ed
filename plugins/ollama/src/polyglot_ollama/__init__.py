"""Ollama's own chat for Polyglot."""
