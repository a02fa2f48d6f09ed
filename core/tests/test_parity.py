"""The async classes are the sync ones with ``await``: both are parsed, and compared line by line."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

from polyglot_core._client import inference, pending, stream
from polyglot_core._engine import pump

# Names that mean the same on either side. A name that is not here and begins with Async is its twin without that.
SAME = {
    "AsyncIterator": "Iterator",
    "AsyncBackend": "SyncBackend",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aiter": "iter",
    "anext": "next",
    "async_pump": "pump",
    "run_async": "run",
}

# Methods that differ in kind, each with the reason; everything else has to be equal.
MAY_DIFFER = {
    ("Inference", "close"): "the pools of threads are the process's, those of tasks belong to a loop",
    ("Inference", "__enter__"): "as above",
    ("Inference", "_pools: Pools"): "as above",
    ("Inference", "_source: Source"): "as above",
    ("Inference", "_use"): "as above",
    ("Inference", "_stream"): "as above",
    ("Inference", "aclose"): "the usual other name of an async close",
    ("InferenceStream", "aclose"): "as above",
    ("InferenceStream", "_partials"): "lists, map and filter have no async twin",
    ("InferenceStream", "text"): "as above",
}

TWINS = [
    (pump, "Pump", "AsyncPump"),
    (inference, "Inference", "AsyncInference"),
    (pending, "PendingInference", "AsyncPendingInference"),
    (stream, "InferenceStream", "AsyncInferenceStream"),
    (stream, "_Iterator", "_AsyncIterator"),
]


class Synced(ast.NodeTransformer):
    """Takes ``async``, ``await`` and the names of the async side out of a tree, and the docstrings too."""

    def visit(self, node):
        node = super().visit(node)
        for field in ("id", "name", "attr", "arg", "module"):
            if isinstance(name := getattr(node, field, None), str):
                setattr(node, field, _synced(name))
        return node

    def visit_Await(self, node):
        return self.visit(node.value)

    def visit_AsyncFunctionDef(self, node):
        return self.visit_FunctionDef(
            ast.FunctionDef(**{name: getattr(node, name, []) for name in ast.FunctionDef._fields})
        )

    def visit_FunctionDef(self, node):
        return self.generic_visit(_without_docstring(node))

    def visit_ClassDef(self, node):
        return self.generic_visit(_without_docstring(node))

    def visit_AsyncFor(self, node):
        return self.generic_visit(ast.For(**{name: getattr(node, name, None) for name in ast.For._fields}))

    def visit_AsyncWith(self, node):
        return self.generic_visit(ast.With(**{name: getattr(node, name, None) for name in ast.With._fields}))

    def visit_comprehension(self, node):
        node.is_async = 0
        return self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            node.value = node.value.replace("Async", "")
        return node


def _synced(name):
    return SAME.get(name) or name.replace("_Async", "_").removeprefix("Async")


def _without_docstring(node):
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    return node


def methods(source, name):
    """Return the methods of a class by name, as text in sync form; other statements are listed by their own text."""
    (found,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name]
    tree = ast.fix_missing_locations(Synced().visit(found))
    return {getattr(node, "name", ast.unparse(node)): ast.unparse(node) for node in tree.body}


def differences(source, sync, asynchronous):
    """What differs between two classes: names of methods, without those that may."""
    ours, theirs = methods(source, sync), methods(source, asynchronous)
    return {name for name in ours | theirs if ours.get(name) != theirs.get(name) and (sync, name) not in MAY_DIFFER}


@pytest.mark.parametrize(
    ("module", "sync", "asynchronous"), TWINS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_twins_are_equal(module, sync, asynchronous):
    """Method by method, the async class equals the sync one."""
    assert differences(inspect.getsource(module), sync, asynchronous) == set()


def test_every_async_class_is_compared():
    """No class of the async side is left out."""
    for module in (pump, inference, pending, stream):
        classes = {
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__ and name.lstrip("_").startswith("Async")
        }
        compared = {asynchronous for twin_module, _, asynchronous in TWINS if twin_module is module}
        assert classes - compared <= {"_AsyncWatched", "_AsyncTexts"}, "which sync streams have no need of"


def test_what_may_differ_does():
    """The list of differences holds no method that is equal by now."""
    for module, sync, asynchronous in TWINS:
        ours, theirs = (methods(inspect.getsource(module), name) for name in (sync, asynchronous))
        for name in [method for owner, method in MAY_DIFFER if owner == sync]:
            assert ours.get(name) != theirs.get(name), f"{sync}.{name}"


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (("return self.value", "return self.values"), {"read"}),
        (("self.pump.next()", "self.pump.next(1)"), {"__next__"}),
        (("if data:", "if not data:"), {"read"}),
        (('"""Read."""', '"""Read it."""'), set()),
        (("    def close", "    def shut"), {"close", "shut"}),
    ],
)
def test_a_difference_is_found(change, changed):
    """A line that differs on one side is found, and a docstring may."""
    source = textwrap.dedent('''
        class Reader:
            """Reads."""

            def read(self, data: Iterator[int]) -> int:
                """Read."""
                if data:
                    return self.value
                for item in data:
                    pass
                return [item for item in self.pump]

            def __next__(self) -> Reader:
                return self.pump.next()

            def close(self) -> None:
                with self.pump:
                    pass
    ''')
    twin = (
        source.replace("class Reader", "class AsyncReader")
        .replace("    def ", "    async def ")
        .replace("Iterator", "AsyncIterator")
        .replace("-> Reader", "-> AsyncReader")
        .replace("__next__", "__anext__")
        .replace("return self.pump", "return await self.pump")
        .replace("        for item", "        async for item")
        .replace("[item for", "[item async for")
        .replace("with self", "async with self")
    )
    assert differences(source + twin, "Reader", "AsyncReader") == set()
    before, after = change
    assert before in source
    other = twin.replace(before, after).replace(before.replace("self.pump", "await self.pump"), after)
    other = other.replace(before.replace("    def", "    async def"), after.replace("    def", "    async def"))
    assert other != twin
    assert differences(source + other, "Reader", "AsyncReader") == changed
