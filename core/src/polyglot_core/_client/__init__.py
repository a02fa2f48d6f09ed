"""What users hold: inferences, prepared calls, streams."""
