"""The Polyglot driver for Acme."""
