"""Stages between the driver's events and the assembler."""
