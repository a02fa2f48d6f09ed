"""A driver of contract 1. No file of this package may ever be edited."""
