"""One of two packages that claim the driver name ``twin``; it is never imported."""

msg = "polyglot_twin_one was imported, although its name is claimed twice"
raise RuntimeError(msg)
