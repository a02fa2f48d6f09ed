"""The steps of the tutorial for authors: files to write and commands to run, in the order of the page."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from .pages import DOCS

TUTORIAL = DOCS / "tutorial.md"

_STEP = re.compile(
    r"(?:^`(?P<path>[^`\n]+)`(?P<more>, continued)?:\n\n)?^```(?P<kind>\w+) tutorial\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class File(NamedTuple):
    """A file to write in the folder of the package; with `continued`, text to append to one."""

    path: PurePosixPath
    text: str
    continued: bool

    def write(self, folder):
        """Write the file, or append to it after two empty lines, as between two functions."""
        file = folder / self.path
        before = file.read_text("utf-8").rstrip("\n") + "\n\n\n" if self.continued else ""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(before + self.text, "utf-8")


class Command(NamedTuple):
    """A command line of a shell, and the lines that it prints; `…` stands for anything in a line."""

    line: str
    output: tuple[str, ...]
    number: int

    @property
    def background(self):
        """Whether the command is left running."""
        return self.line.endswith(" &")

    def prints(self, text):
        """Return whether a text is the expected output, but for white space."""
        lines = [" ".join(line.split()) for line in text.splitlines()]
        wanted = [".*".join(map(re.escape, " ".join(line.split()).split("…"))) for line in self.output]
        return len(lines) == len(wanted) and all(map(re.fullmatch, wanted, lines))


def steps(page=TUTORIAL):
    """Return the files and the commands of a page, in order.

    Raises:
        ValueError: A file has no path, or a command has one.
    """
    text = page.read_text("utf-8")
    found = []
    for step in _STEP.finditer(text):
        line = text.count("\n", 0, step.start("text")) + 1
        if (step["kind"] == "console") == (step["path"] is not None):
            msg = f"{page.name}:{line}: a block with a file follows a line with its path; one with commands does not."
            raise ValueError(msg)
        if step["path"] is None:
            found += _commands(step["text"].splitlines(), line)
        else:
            found.append(File(PurePosixPath(step["path"]), step["text"], bool(step["more"])))
    return found


def _commands(lines, first):
    commands = []
    for number, line in enumerate(lines, first):
        if line.startswith("$ "):
            commands.append(Command(line.removeprefix("$ "), (), number))
        elif line.startswith("> "):
            commands[-1] = commands[-1]._replace(line=f"{commands[-1].line}\n{line.removeprefix('> ')}")
        else:
            commands[-1] = commands[-1]._replace(output=(*commands[-1].output, line))
    return commands
