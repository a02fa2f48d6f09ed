"""A driver that fails before it is one."""

msg = "a part of polyglot-broken is missing"
raise RuntimeError(msg)
