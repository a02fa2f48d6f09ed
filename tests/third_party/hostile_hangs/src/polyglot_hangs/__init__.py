"""A package whose driver is never imported."""
