"""Draw pictures of the command in a terminal: ``python docs/draw_screens.py [NAME …]``; with ``--check`` compare only.

The real command runs in a terminal emulator, against the simulator, and its screen is written as an SVG file, which
follows the light or dark scheme of its reader. Measured times differ from run to run: they are replaced by those that
the simulator is configured to keep, so that a file changes only if the screen does.
"""

from __future__ import annotations

import contextlib
import fcntl
import html
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyte

from polyglot_simulator import Fault, Pace, Simulator, SlowHeaders, Stall, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyte.screens import Char

FOLDER = Path(__file__).resolve().parent / "pictures"
ROWS = 40
PATIENCE = 60.0  # seconds without output until a screen is given up

# with the line breaks of Markdown
HAIKU = "Rain taps on the glass,  \na thousand small hands at work.  \nThe garden listens."
SORTING = """Use `sorted` for a new list, or `list.sort` **in place**.

| function | returns | in place |
|---|---|---:|
| `sorted(x)` | a new list | no |
| `x.sort()` | None | yes |

```python
names = ["Oslo", "Bern", "Lima"]
print(sorted(names, key=len))  # stable
```
"""
PACE = Pace(tokens_per_second=40, first_delay=0.4)
PACE_OF_BATCH = Pace(tokens_per_second=20, first_delay=0.2)


class Picture(NamedTuple):
    """A picture: a command, the provider behind it, and the moment that is drawn.

    Attributes:
        command: Command line, as it is typed.
        provider: Return the simulator that the connection `openai` leads to.
        until: Pattern of the text on the screen that is drawn; None for the screen at the end.
        nominal: Patterns of measured values, and what is drawn for each.
        files: Files in the working directory by their names.
        columns: Width of the terminal.
        typed: What is typed once the program shows its prompt, instead of words of the command line.
    """

    command: str
    provider: Callable[[], Simulator]
    until: str | None = None
    nominal: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, str]] = ()
    columns: int = 80
    typed: str = ""


QUESTIONS = "".join(json.dumps(f"What is the capital of country {number}?") + "\n" for number in range(1, 201))

PICTURES = {
    "stream": Picture(
        'polyglot -u "Write a haiku about rain"',
        lambda: Simulator(HAIKU, pace=PACE),
        nominal=[(r"after \d+\.\d\d s", "after 0.40 s"), (r"\d+\.\d tokens/s", "40.0 tokens/s")],
    ),
    "retry": Picture(
        'polyglot "Write a haiku about rain"',
        lambda: Simulator(HAIKU, faults=[Status(429, _busy(), headers={"retry-after": "20"}), None]),
        until=r"Retrying in .*… +\d+ s",
        nominal=[(r"[⠀-⣿]", "⠹"), (r"\d+ s *$", "1 s")],
    ),
    "stall": Picture(
        'polyglot "Write a haiku about rain"',
        lambda: Simulator(HAIKU, pace=PACE, fault=Stall(after_events=14)),
        until=r"to continue… \d+ s",
        nominal=[(r"[⠀-⣿]", "⠹"), (r"\d+ s", "12 s")],
    ),
    "batch": Picture(
        "polyglot batch questions.jsonl answers.jsonl",
        lambda: Simulator(
            "It has one.", pace=Pace(tokens_per_second=20, first_delay=0.2), faults=_then_nothing(120, 200)
        ),
        until=r" 120/200",
        nominal=[(r"\d+\.\d/s", "20.0/s"), (r"\d:\d\d left", "0:04 left")],
        columns=100,
        files=[("questions.jsonl", QUESTIONS)],
    ),
    "chat": Picture(
        "polyglot chat",
        lambda: Simulator(SORTING, pace=Pace(tokens_per_second=60, first_delay=0.4)),
        until=r"(?s)tokens/s.*\n> ",
        nominal=[(r"first token \d+\.\d\d s", "first token 0.40 s"), (r"\d+\.\d tokens/s", "60.0 tokens/s")],
        typed="How do I sort a list in Python?",
    ),
}
"""Each picture by the name of its file."""


def _busy() -> str:
    return json.dumps({"error": {"message": "Rate limit reached: 3 requests a minute."}})


def _then_nothing(right: int, calls: int) -> list[Fault | None]:
    """Return faults after so many right responses, the last of which is late, so that its line is shown."""
    return [*[None] * (right - 1), SlowHeaders(0.01), *[Stall(after_events=1)] * (calls - right)]


def screen_of(picture: Picture) -> list[list[Char]]:
    """Run a command, and return the rows of its screen.

    Raises:
        TimeoutError: The text to draw did not appear.
    """
    screen = pyte.Screen(picture.columns, ROWS)
    feed = pyte.ByteStream(screen).feed
    with picture.provider() as simulator, tempfile.TemporaryDirectory() as home:
        for name, text in picture.files:
            Path(home, name).write_text(text, "utf-8")
        environment = _environment(home, simulator)
        command = [sys.executable, "-m", "polyglot_cli", *shlex.split(picture.command)[1:]]
        quiet = [*command[:3], "logs", "off"]  # or the first response is followed by a hint
        subprocess.run(quiet, env=environment, check=True, capture_output=True)  # noqa: S603 (our own command)
        with _in_terminal(command, home, environment, picture.columns) as terminal:
            screen.write_process_input = lambda text: os.write(terminal, text.encode())  # where the cursor is
            typed = not picture.typed
            while not _is_complete(screen, picture) and (received := _read(terminal)):
                feed(_FAINT.sub(lambda found: b"\x1b[" + found[1] + b"90" + found[2] + b"m", received))
                if not typed and screen.display[screen.cursor.y].startswith("> "):
                    typed = bool(os.write(terminal, f"{picture.typed}\r".encode()))
    if picture.until and not _is_complete(screen, picture):
        raise TimeoutError(f"{picture.until!r} did not appear:\n" + "\n".join(screen.display).rstrip())
    rows = [[screen.buffer[row][column] for column in range(picture.columns)] for row in range(ROWS)]
    while rows and not any(char.data.strip() for char in rows[-1]):
        rows.pop()
    return rows


def _is_complete(screen: pyte.Screen, picture: Picture) -> bool:
    return bool(picture.until and re.search(picture.until, "\n".join(screen.display)))


_FAINT = re.compile(rb"\x1b\[((?:\d+;)*)2((?:;\d+)*)m")  # the emulator has no faint text; drawn as grey


def _environment(home: str, simulator: Simulator) -> dict[str, str]:
    config = Path(home, "polyglot.toml")
    config.write_text(
        f'default = "openai"\n[connections.openai]\npreset = "openai"\nbase_url = "{simulator.base_url}"\n'
        'api_key_env = "OPENAI_API_KEY"\nmodel = "gpt-4o-mini"\n',
        "utf-8",
    )
    known = {name: os.environ[name] for name in ("PATH", "VIRTUAL_ENV", "SYSTEMROOT") if name in os.environ}
    own = {"HOME": home, "XDG_CONFIG_HOME": home, "POLYGLOT_CONFIG": str(config), "OPENAI_API_KEY": "test-key"}
    return {**known, **own, "TERM": "xterm-256color", "LANG": "C.UTF-8"}


@contextlib.contextmanager
def _in_terminal(command: list[str], folder: str, environment: dict[str, str], columns: int) -> Iterator[int]:
    """Run a command in a terminal of so many columns, whose other end is returned, and end it afterwards."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        yield ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    """Return the next output; nothing at the end, which Linux reports as an error."""
    readable, _, _ = select.select([terminal], [], [], PATIENCE)
    try:
        return os.read(terminal, 65536) if readable else b""
    except OSError:
        return b""


WIDTH, HEIGHT, MARGIN, SIZE = 8.4, 20, 16, 14  # of a character, around the text, of the font: pixels

STYLE = """
  svg { color-scheme: light dark; font: %dpx ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace }
  .back { fill: #fbfbfa; stroke: #d5d7da } text { fill: #1f2328; white-space: pre } .bold { font-weight: bold }
  .italic { font-style: italic } .grey { fill: #6e7781 } .red { fill: #b3261e } .green { fill: #116329 }
  .yellow { fill: #7d4e00 } .blue { fill: #0550ae } .magenta { fill: #8250df } .cyan { fill: #0b6a75 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #16181d; stroke: #33373e } text { fill: #d7dae0 } .grey { fill: #8b949e } .red { fill: #ff8f85 }
    .green { fill: #7ee787 } .yellow { fill: #e3b341 } .blue { fill: #79c0ff } .magenta { fill: #d2a8ff }
    .cyan { fill: #76e3ea }
  }
"""
_COLOURS = {"brightblack": "grey", "brown": "yellow"}  # by the emulator's names


def _classes(char: Char) -> str:
    words = [_COLOURS.get(char.fg, char.fg).removeprefix("bright")] if char.fg != "default" else []
    return " ".join([*words, *(name for name, on in (("bold", char.bold), ("italic", char.italics)) if on)])


def _runs(row: list[Char], nominal: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pieces of a row with one style each, with nominal values in place of measured ones."""
    runs = [(classes, "".join(char.data for char in run)) for classes, run in groupby(row, _classes)]
    for pattern, value in nominal:
        runs = [(classes, re.sub(pattern, value, text)) for classes, text in runs]
    return runs


def draw(picture: Picture) -> str:
    """Return the screen of a command as an SVG document."""
    prompt = [("grey", "$ "), ("", picture.command)]
    rows = [prompt, *(_runs(row, picture.nominal) for row in screen_of(picture))]
    lines = []
    for number, row in enumerate(rows):
        column, y = 0, MARGIN + (number + 1) * HEIGHT - 6
        for classes, text in row:
            if text.strip():
                x, length = MARGIN + column * WIDTH, len(text.rstrip())
                style = f' class="{classes}"' if classes else ""
                wide = f'textLength="{length * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
                lines.append(f'<text x="{x:.1f}" y="{y}"{style} {wide}>{html.escape(text.rstrip())}</text>')
            column += len(text)
    width, height = picture.columns * WIDTH + 2 * MARGIN, len(rows) * HEIGHT + 2 * MARGIN
    size = f'width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}"'
    back = f'<rect class="back" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="8"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE % SIZE}</style>'
    return "\n".join([head, f"<title>{html.escape(picture.command)}</title>", back, *lines, "</svg>\n"])


def main(names: Sequence[str], *, check: bool) -> int:
    """Draw the pictures of these names, or all, and return the exit code."""
    FOLDER.mkdir(exist_ok=True)
    stale = 0
    for name in names or PICTURES:
        file, text = FOLDER / f"{name}.svg", draw(PICTURES[name])
        if file.exists() and file.read_text("utf-8") == text:
            continue
        stale += 1
        print(f"{file.relative_to(FOLDER.parent.parent)} {'is out of date' if check else 'updated'}")
        if not check:
            file.write_text(text, "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main([word for word in words if word != "--check"], check="--check" in words))
