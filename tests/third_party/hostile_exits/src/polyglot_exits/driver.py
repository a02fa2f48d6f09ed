"""Ends the process."""

import sys

sys.exit("polyglot-exits does not like this machine")
