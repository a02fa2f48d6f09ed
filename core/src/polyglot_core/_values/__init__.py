"""Plain data that all other subpackages share."""
