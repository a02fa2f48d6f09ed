"""Tools for the authors of drivers."""
