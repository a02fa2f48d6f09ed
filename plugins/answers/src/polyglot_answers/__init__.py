"""Typed responses, tools from functions, and conversations."""
