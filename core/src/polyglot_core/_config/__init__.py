"""A name to a complete connection."""
