"""A package whose driver greets its user."""
