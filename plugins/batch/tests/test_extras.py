"""Extras: modules that need a library say which extra brings it."""

from __future__ import annotations

import importlib
import sys

import pytest

from polyglot_core import ConfigError


def test_daft_is_missing(monkeypatch):
    """The module cannot be imported, and the error names the extra."""
    monkeypatch.setitem(sys.modules, "daft.ai.protocols", None)
    monkeypatch.delitem(sys.modules, "polyglot_batch.daft", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'polyglot-batch\[daft\]'"):
        importlib.import_module("polyglot_batch.daft")


def test_ray_is_missing(monkeypatch):
    """A dataset has no stage, and the error names the extra."""
    from polyglot_batch.ray import prompt_stage

    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ConfigError, match=r"pip install 'polyglot-batch\[ray\]'"):
        prompt_stage(object(), "work")


def test_redis_is_missing(monkeypatch):
    """Rates cannot be shared, and the error names the extra."""
    from polyglot_batch.shared import share_rates

    monkeypatch.setitem(sys.modules, "throttled", None)
    with pytest.raises(ConfigError, match=r"pip install 'polyglot-batch\[redis\]'"):
        share_rates("redis://localhost:6379/0")


def test_nothing_of_an_extra_is_imported():
    """The package itself imports neither the library of an extra nor the command's."""
    import subprocess

    program = "import sys, polyglot_batch; print(sorted({'redis', 'throttled', 'daft', 'ray', 'click', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
