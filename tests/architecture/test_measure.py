"""What is measured is what is written: imports, levels, loops, lengths, attributes and shares of lines."""

from __future__ import annotations

import ast

from .importing import graph_of, levels, loops, parts
from .measure import attributes, figures, function_lengths, share_of_lines, side_by_side
from .passages import CHECKOUT

FILES = {
    "__init__.py": "from garden.tools.spade import dig\n",
    "rose.py": "import garden.soil\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from garden import wall\n",
    "soil.py": "from garden import wall\nfrom garden.tools import *\n",
    "wall.py": "def f():\n    from . import rose\n",
    "tools/__init__.py": "",
    "tools/spade.py": "from ..wall import f\nfrom .handle import hold\nimport ast\n",
    "tools/handle.py": "",
}
IMPORTS = {
    "garden": {"garden.tools.spade"},
    "garden.rose": {"garden.soil"},
    "garden.soil": {"garden.wall", "garden.tools"},
    "garden.wall": {"garden.rose"},
    "garden.tools": set(),
    "garden.tools.spade": {"garden.wall", "garden.tools.handle"},
    "garden.tools.handle": set(),
}


def test_imports_are_read_at_run_time(tmp_path):
    """Names of modules, relative imports and those within functions count; those for types only on request."""
    for name, text in FILES.items():
        file = tmp_path / "garden" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert graph_of(tmp_path, "garden") == IMPORTS
    assert graph_of(tmp_path, "garden", for_types=True) == {**IMPORTS, "garden.rose": {"garden.soil", "garden.wall"}}


def test_levels_count_a_loop_once():
    """The longest path is counted in modules; modules that reach each other are one level and are listed."""
    assert loops(IMPORTS) == [["garden.rose", "garden.soil", "garden.wall"]]
    assert levels(IMPORTS) == 4  # garden, garden.tools.spade, the loop, garden.tools
    assert (levels({}), loops({"a": set()}), levels({"a": {"b"}, "b": set()})) == (0, [], 2)


def test_parts_are_modules_and_subpackages_at_the_top():
    """What a module of a subpackage imports is imported by the subpackage."""
    assert parts(IMPORTS)["garden.tools"] == {"garden.wall"}
    assert len(parts(IMPORTS)) == 5


CLASS = '''
class Reader:
    """Of it."""
    known: ClassVar[int] = 1
    size: int
    plain = 2

    def __init__(self):
        self.text: str = ""  # a comment
        self.text, other.line = self.line, 3

    # alone
    def read(self):
        for self.at in self.text: pass
'''


def test_attributes_are_fields_and_what_is_set_on_self():
    """An attribute is counted once; class variables, and what is only read, are not counted."""
    [node] = ast.parse(CLASS).body
    assert attributes(node) == {"size", "text", "at"}


def test_lines_and_functions_are_counted():
    """Lengths are in lines, and shares are of the lines that are not blank."""
    assert function_lengths(ast.parse(CLASS)) == [3, 2]
    assert share_of_lines([CLASS]) == (2 / 11, 1 / 11)
    assert share_of_lines([]) == (0.0, 0.0)


def test_two_commits_stand_beside_each_other():
    """A figure that one of them lacks is a dash."""
    table = side_by_side({"old": {"files": "44", "arrows": "3"}, "new": {"files": "60"}})
    assert [line.split() for line in table.splitlines()] == [
        ["old", "new"],
        ["files", "44", "60"],
        ["arrows", "3", "-"],
    ]


def test_core_is_measured(tmp_path):
    """Core has modules without loops, and its comments have words."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "src").symlink_to(CHECKOUT / "core" / "src")  # without tests, which take the most time
    measured = figures(tmp_path)
    assert int(measured["core: files"]) > 40
    assert measured["core: loops of modules"] == "0"
    assert int(measured["comments: words"]) > 1000
