"""Markdown of a model on a terminal, while it is received.

The text takes four steps, none of which does I/O: `blocks` cuts it into pieces that can no longer change, `inline` and
`code` style them, `layout` breaks them into rows of the terminal's width, and `painter` returns what has to be written
so that the terminal shows the rows. `view` writes it, at most twelve times a second.
"""
