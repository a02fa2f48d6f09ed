"""A fork waits for imports that are under way in other threads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

SLOW = "import time; time.sleep(1.0); done = True"
FORKING = """
    import os, sys, threading, time
    from polyglot_core._values.importing import import_module
    thread = threading.Thread(target=import_module, args=("slow_module",))
    thread.start()
    time.sleep(0.3)
    child = os.fork()
    if not child:
        os._exit(0 if import_module("slow_module").done else 1)
    thread.join()
    print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this platform")
def test_child_forked_during_an_import_does_not_hang(tmp_path):
    """A child that is forked while a thread imports a module can import it too."""
    (tmp_path / "slow_module.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKING)]
    run = subprocess.run(command, capture_output=True, timeout=30, env=environment, check=True)
    assert run.stdout.split() == [b"child", b"0"]
