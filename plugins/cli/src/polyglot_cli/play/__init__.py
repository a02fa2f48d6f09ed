"""``polyglot play``: a page on this machine that shows a call while it is received. It needs the extra ``play``."""
