"""Drivers: found, checked and bound."""
