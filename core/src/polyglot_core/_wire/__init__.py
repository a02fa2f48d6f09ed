"""Bytes to chunks, and providers' error bodies to failures."""
