"""A package whose driver cannot be imported."""
