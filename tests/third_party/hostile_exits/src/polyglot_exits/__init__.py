"""A package whose driver ends the process when it is imported."""
