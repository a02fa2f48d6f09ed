"""The async classes are the sync ones with ``await``: both are parsed and compared, method by method."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

import pytest

from polyglot_streams import hub, sharing, sources, stream

TWINS = [
    (stream, "Stream", "AsyncStream"),
    (sources, "Reading", "AsyncReading"),
    (hub, "Hub", "AsyncHub"),
    (hub, "BranchSource", "AsyncBranchSource"),
    (sharing, "Branch", "AsyncBranch"),
    (sharing, "Shared", "AsyncShared"),
]
MAY_DIFFER = {
    ("Stream", "__init__"): "an event of anyio is created within a loop",
    ("Stream", "_sleep"): "as above",
    ("Stream", "close"): "as above",
    ("Stream", "_result"): "only async functions are awaited",
    ("Stream", "_abandon"): "a cancelled task closes within a shield",
    ("Stream", "_finish"): "what waits for a disk is left to a thread",
    ("Stream", "aclose"): "the usual other name of an async close",
    ("Reading", "__init__"): "a finalizer has to know the loop",
    ("Reading", "read"): "as above",
    ("Reading", "poll"): "a task cannot be polled by waiting for it",
    ("Reading", "_begun"): "as above",
    ("Reading", "_started"): "as above",
    ("Reading", "__del__"): "a finalizer cannot await",
    ("Hub", "__init__"): "tasks need no lock",
    ("Hub", "join"): "as above",
    ("Hub", "take"): "as above",
    ("Hub", "_receive"): "as above",
    ("Hub", "leave"): "as above",
    ("Hub", "drop"): "a finalizer cannot await",
    ("Hub", "release"): "as above",
    ("BranchSource", "__del__"): "as above",
    ("Shared", "__del__"): "as above",
    ("Shared", "aclose"): "the usual other name of an async close",
}


def methods(module, name):
    """Return the methods of a class as code, without docstrings, ``async``, ``await`` and the names of the async side."""
    source = textwrap.dedent(inspect.getsource(getattr(module, name)))
    source = re.sub(r"\basync |\bawait |\bAsync|(?<=\b_)Async", "", source)
    source = re.sub(r"StopAsyncIteration|StopIteration", "Stop", source.replace("__a", "__").replace("anext", "next"))
    source = re.sub(r"Another (task|thread)", "Another reader", source)
    (tree,) = ast.parse(source).body
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            if ast.get_docstring(node) is not None:
                del node.body[0]
            found[node.name] = ast.unparse(node) if node.body else ""
    return found


@pytest.mark.parametrize(("module", "sync", "asynchronous"), TWINS, ids=lambda value: getattr(value, "__name__", value))
def test_async_class_is_its_sync_twin(module, sync, asynchronous):
    """Check that each method equals its twin, but for those that differ for a stated reason."""
    one, other = methods(module, sync), methods(module, asynchronous)
    differing = {name for name in one | other if one.get(name) != other.get(name)}
    assert differing == {name for cls, name in MAY_DIFFER if cls == sync}
