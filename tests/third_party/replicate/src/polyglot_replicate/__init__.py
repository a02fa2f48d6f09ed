"""The Polyglot driver for predictions of Replicate."""
