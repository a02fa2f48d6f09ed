"""Filters of events, between decoder and assembler."""
