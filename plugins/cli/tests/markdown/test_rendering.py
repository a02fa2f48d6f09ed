"""Markdown on an emulated terminal: what is shown, however the text is split, and what is written for it."""

from __future__ import annotations

import random

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_cli.markdown.document import Document
from polyglot_cli.markdown.painter import Painter, Size
from polyglot_cli.markdown.spans import width_of

SIZE = Size(60, 10)
LONG = 100_000

EVERYTHING = """\
# Heading *one*

A paragraph with **bold**, `code`, ~~struck~~, a [link](https://example.com/x) and <https://auto.example>, that is wrapped.
中文字符混排的文本，也会换行。 &lt;b&gt; &amp; more

1. First
   - nested *one*
   - nested two

     with a paragraph
2. Second
   ```python
   def f(x):
       \"\"\"Doc
       string\"\"\"
   ```
9. Third

> A quotation
> - with an item
lazy line

| Name | Value | 説明 |
|:-----|------:|:---:|
| `a` | 1 | 中文 |
| long cell with many words that is wrapped within | 22.5 | 😀 |

Setext
------

    indented code

---
last
"""


class Terminal:
    """A terminal with all that has scrolled off it."""

    def __init__(self, size: Size = SIZE) -> None:
        self.size = size
        self.screen = pyte.HistoryScreen(size.columns, size.rows, history=LONG, ratio=0.5)
        self.screen.set_mode(pyte.modes.LNM)
        self.stream = pyte.Stream(self.screen)
        self.written = 0

    def write(self, text: str) -> None:
        self.written += len(text)
        self.stream.feed(text)

    @property
    def rows(self) -> list[str]:
        columns = range(self.size.columns)
        above = ["".join(line[column].data for column in columns).rstrip() for line in self.screen.history.top]
        return "\n".join([*above, *(row.rstrip() for row in self.screen.display)]).rstrip("\n").split("\n")


def show(pieces, size=SIZE, *, colour=False, kind="text", every=1):
    """Return the terminal on which the pieces were drawn, each as it arrives."""
    terminal, document, painter = Terminal(size), Document(), Painter(colour=colour)
    width = size.columns - 1
    for index, piece in enumerate(pieces):
        document.add(kind, piece)
        if index % every == 0:
            terminal.write(painter.paint(document.finished(width), document.still_open(width), size))
    document.finish()
    terminal.write(painter.paint(document.finished(width), [], size))
    return terminal


def split(text, seed):
    """Return the text in pieces of random lengths."""
    chance = random.Random(seed)
    pieces, at = [], 0
    while at < len(text):
        end = at + chance.choice([1, 1, 2, 3, 5, 8, 40])
        pieces.append(text[at:end])
        at = end
    return pieces


FRAGMENTS = [
    "word ", "two words", "\n", "\n\n", "- ", "* item\n", "  - ", "1. ", "2) x\n", "> ", "# Title\n", "###### ", "```\n", "```python\n", "~~~\n",
    "def f(): '''a\n", "'''\n", "**", "*", "_", "`", "``", "[text](http://e.x/a)", "[", "](", "<http://e.x>", "| a | b |\n", "|---|:-:|\n", "| 1 | 中 |\n",
    "|", "---\n", "===\n", "    ", "\t", "中文，", "😀", "👩\u200d🚀", "e\u0301", "שלום ", "\\", "&amp;", "&#27;", "\x1b[2J", "\x1b]0;t\x07", "\r\n", "\u202e", "<br>", "~~", "x" * 70, "a b " * 30, "lorem ipsum " * 200, "z" * 1100,
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30), st.integers(0, 9), st.sampled_from([60, 24, 7]))
def test_the_screen_does_not_depend_on_how_the_text_is_split(fragments, seed, columns):
    """Text that is drawn piece by piece leaves the rows that the whole text gives, in the scrolled part too."""
    text, size = "".join(fragments), Size(columns, SIZE.rows)
    assert show(split(text, seed), size).rows == show([text], size).rows


@pytest.mark.parametrize("columns", [80, 40, 12, 3])
def test_every_block_is_shown_the_same_in_pieces(columns):
    """All kinds of blocks, letter by letter, on wide and narrow terminals; no row is wider than the terminal."""
    size = Size(columns, SIZE.rows)
    whole = show([EVERYTHING], size)
    assert show(EVERYTHING, size).rows == whole.rows
    assert show(EVERYTHING, size, colour=True).rows == whole.rows
    assert max(map(width_of, whole.rows)) <= columns


def test_blocks_are_shown_as_what_they_are():
    """Items have bullets and numbers, quotations a bar, tables columns; targets of links are shown."""
    rows = show([EVERYTHING], Size(80, 24)).rows
    for row in (
        "# Heading one",
        "1. First",
        "   • nested one",
        "     with a paragraph",
        "2. Second",
        "   ```python",
        '       string"""',
        "3. Third",
        "│ A quotation",
        "│ • with an item lazy line",
        "a                                                │     1 │ 中文",
        "## Setext",
        "    indented code",
        "last",
    ):
        assert row in rows
    text = " ".join(rows)
    assert "a link (https://example.com/x) and https://auto.example," in text
    assert "<b> & more" in text


def test_the_columns_of_a_table_are_aligned():
    """The bars of a table are below each other, with wide characters, emoji and text in several rows."""
    table = "| a | 説明 | right |\n|---|:---:|---:|\n| 😀 | 中文 | 1 |\n| many words in one cell that need rows | x | 22 |\n"
    terminal = show([table], Size(30, 20))
    bars = [
        [x for x in range(30) if terminal.screen.buffer[y][x].data in {"│", "┼"}] for y in range(len(terminal.rows))
    ]
    assert len(bars) > 5
    assert all(found == bars[0] for found in bars)
    assert len(bars[0]) == 2


def test_a_table_is_a_list_where_the_terminal_is_narrow():
    """A terminal without columns for the cells shows each cell with its title."""
    rows = show(["| name | value |\n|---|---|\n| some long text | another long text |\n"], Size(13, 20)).rows
    assert rows[:2] == ["name: some", "long text"]


def test_words_of_a_table_are_not_broken():
    """The columns share the width so that the words of each fit; if that is impossible, the table is a list."""
    table = "| Function | Note |\n|---|---|\n| interpolation | one two three four five six seven eight nine |\n"
    assert show([table], Size(24, 20)).rows[2].startswith("interpolation │ one two")
    assert show([table], Size(18, 20)).rows[:2] == ["Function:", "interpolation"]


def test_control_sequences_are_neutralised():
    """Neither the text nor what an entity or a target of a link decodes to reaches the terminal as a control character."""
    text = "a\x1b[2Jb\x1b]52;c;aGVsbG8=\x07c &#27;[2J &#x9b;1m &#x202e; [t](http://e.x/\x1b[1m%1b) ```\x1b[1m\n```\x07py\x1b[1m\n\x1b[1mx"
    document, painter = Document(), Painter(colour=False)
    document.add("text", text)
    document.add("reasoning", text)
    document.note(text)
    document.finish()
    written = painter.paint(document.finished(70), [], SIZE)
    assert not [
        character for character in written if (character < " " and character != "\n") or "\x7f" <= character < "\xa0"
    ]
    assert "\u202e" not in written


def test_without_colour_nothing_is_styled():
    """Without colour no SGR sequence is written, not even bold; with it there are several."""
    plain, coloured = [], []
    for written, colour in ((plain, False), (coloured, True)):
        document, painter = Document(), Painter(colour=colour)
        document.add("reasoning", "hm **yes**")
        document.add("text", EVERYTHING)
        document.finish()
        written.append(painter.paint(document.finished(70), [], SIZE))
    assert "\x1b[" not in plain[0]
    for sequence in ("\x1b[2m", "\x1b[1m", "\x1b[35mdef", "\x1b[36mcode"):
        assert sequence in coloured[0]


def test_reasoning_is_marked_and_apart():
    """The reasoning has a mark on each row, and an empty row between it and the text."""
    terminal, document, painter = Terminal(), Document(), Painter(colour=True)
    for kind, text in (("reasoning", "first\n\n- this"), ("text", "then that"), ("reasoning", "again")):
        document.add(kind, text)
        terminal.write(painter.paint(document.finished(59), document.still_open(59), SIZE))
    document.finish()
    terminal.write(painter.paint(document.finished(59), [], SIZE))
    assert terminal.rows == ["┆ first", "┆", "┆ • this", "", "then that", "", "┆ again"]


# What is written


LONG_TEXTS = {
    "code": "```python\n" + "x = 'some text' + f(1)\n" * 2000 + "```\n",
    "list": "- an item with some words\n" * 2000,
    "table": "| a | b |\n|---|---|\n" + "| some text | 12 |\n" * 2000,
    "paragraph": "some words of a very long line without an end " * 800,
    "paragraph with emphasis": "**some words** of a `very long` line " * 1000,
    "open emphasis": "**" + "some words of a very long line " * 1200,
    "one word": "x" * 40_000,
    "one line of code": "```\n" + "x = 1; " * 6_000,
}


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_a_long_open_block_is_cheap(name):
    """What is written, and what the open block keeps, grows with the text and not with its square."""
    text = LONG_TEXTS[name]
    pieces = [text[at : at + 200] for at in range(0, len(text), 200)]
    half, whole = show(pieces[: len(pieces) // 2]), show(pieces)
    assert whole.written < 2.5 * half.written
    per_draw = SIZE.columns * SIZE.rows
    assert whole.written < 2 * len(text) + len(pieces) * per_draw * 2


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_little_of_a_long_open_block_is_kept(name):
    """The rows that can still change are few, however long the block is."""
    document = Document()
    for at in range(0, len(LONG_TEXTS[name]), 4000):
        document.add("text", LONG_TEXTS[name][at : at + 4000])
        document.finished(79)
        assert len(document.still_open(79)) <= 220


def test_finished_rows_are_written_once():
    """A row that is final is not written again by later draws."""
    text = "".join(f"Paragraph number{index}.\n\n" for index in range(300))
    terminal, document, painter = Terminal(), Document(), Painter(colour=False)
    written = ""
    for at in range(0, len(text), 7):
        document.add("text", text[at : at + 7])
        part = painter.paint(document.finished(59), document.still_open(59), SIZE)
        written += part
        terminal.write(part)
    document.finish()
    terminal.write(painter.paint(document.finished(59), [], SIZE))
    assert all(written.count(f"number{index}.\n\n") <= 1 for index in range(300))
    assert [row for row in terminal.rows if row] == [f"Paragraph number{index}." for index in range(300)]


def test_an_open_block_taller_than_the_screen_keeps_what_is_above():
    """An open table that does not fit shows its end, and leaves the rows above it as they are."""
    text = "above\n\n| a | b |\n|---|---|\n" + "".join(f"| {index} | x |\n" for index in range(23))
    terminal, document, painter = Terminal(), Document(), Painter(colour=False)
    for character in text:
        document.add("text", character)
        terminal.write(painter.paint(document.finished(59), document.still_open(59), SIZE))
    assert terminal.rows[-1].startswith("22")
    assert len(terminal.rows) <= SIZE.rows + 1
    document.finish()
    terminal.write(painter.paint(document.finished(59), [], SIZE))
    assert terminal.rows == show([text]).rows
    assert terminal.rows[:3] == ["above", "", "a  │ b"]


def test_a_terminal_that_becomes_wider_or_narrower():
    """After a change of the size the open block is drawn at the new width, and no row above it is lost."""
    paragraph = "some words of a line that is wrapped " * 3
    document, painter = Document(), Painter(colour=False)
    document.add("text", f"above\n\n{paragraph}")
    terminal = Terminal(Size(60, 20))
    terminal.write(painter.paint(document.finished(59), document.still_open(59), Size(60, 20)))
    terminal.screen.resize(20, 100)
    terminal.size = Size(100, 20)
    terminal.write(painter.paint(document.finished(99), document.still_open(99), Size(100, 20)))
    document.finish()
    terminal.write(painter.paint(document.finished(99), [], Size(100, 20)))
    assert terminal.rows == show([f"above\n\n{paragraph}"], Size(100, 20)).rows


def test_rows_that_a_narrower_terminal_has_broken_are_counted():
    """A terminal that breaks drawn rows again when it becomes narrower has more of them to be erased."""
    document, painter = Document(), Painter(colour=False)
    document.add("text", "x" * 59 + " " + "y" * 59)
    painter.paint(document.finished(59), document.still_open(59), Size(60, 20))
    document.add("text", "z")
    # each of the two rows of 59 columns takes two of 30
    assert painter.paint([], document.still_open(29), Size(30, 20)).startswith("\r\x1b[3A")
