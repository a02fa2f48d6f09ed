"""The objects that users hold: inferences, pending calls and streams."""
