"""How lines and tables are laid out on a terminal: broken between words, and never cut.

    for line in rows_of(["case", "problem"], [["case-7hq2k6w4v3mzdpbe", "…"]], width=80):
        print(line)

Widths are in cells: a Chinese letter takes two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# Between two columns.
_GAP = 2
# What the last column has at least. A longer word of its own goes over the edge and moves nothing.
_LAST = 20


def wrapped(text: str, width: int) -> list[str]:
    """A line as lines of at most `width`, further ones as far in as the first.

    Broken at spaces only, and not within a command in backticks: what must be copied stays whole, also
    where it is longer than a line.
    """
    from rich.cells import cell_len

    inner = text.lstrip(" ")
    indent = " " * (len(text) - len(inner))
    if cell_len(text) <= width:
        return [text]
    lines, line = [], ""
    for word in _words(inner):
        longer = f"{line} {word}" if line else word
        if line and cell_len(indent + longer) > width:
            lines.append(indent + line)
            longer = word
        line = longer
    return [*lines, indent + line]


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """A table in lines of at most `width`; where not even its longest words fit, a block a row.

    columns: their headings, all of them empty for a table without.
    """
    lines = [columns, *rows] if any(columns) else rows
    widths = _widths(lines, width)
    if widths is None:
        yield from _blocks(columns, rows, width)
        return
    for row in lines:
        yield from _drawn(row, widths)


def _words(text: str) -> Iterator[str]:
    """Split at spaces, but for those between two backticks."""
    word: list[str] = []
    quoted = False
    for part in text.split(" "):
        word.append(part)
        quoted ^= part.count("`") % 2 == 1
        if not quoted:
            yield " ".join(word)
            word.clear()
    if word:  # a backtick alone quotes nothing
        yield from word


def _widths(lines: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """How wide each column is drawn; None where its longest words do not fit side by side."""
    from rich.cells import cell_len

    if not lines:
        return []
    columns = list(zip(*lines, strict=True))
    longest = [
        max(cell_len(word) for cell in column for word in _words(cell)) for column in columns
    ]
    whole = [max(map(cell_len, column)) for column in columns]
    longest[-1] = min(longest[-1], _LAST)
    room = width - _GAP * (len(columns) - 1) - sum(longest)
    if room < 0:
        return None
    # The narrow columns first: each that is whole needs no second line.
    for number in sorted(range(len(columns)), key=lambda n: whole[n] - longest[n]):
        more = min(room, whole[number] - longest[number])
        longest[number] += more
        room -= more
    return longest


def _drawn(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    from rich.cells import cell_len

    cells = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, cells), default=0)):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        padded = (
            part + " " * (width - cell_len(part) + _GAP)
            for part, width in zip(parts, widths, strict=True)
        )
        yield "".join(padded).rstrip()


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Each row as lines of heading and cell; between rows a blank one."""
    name = max(map(len, columns))
    for number, row in enumerate(rows):
        if number:
            yield ""
        for column, cell in zip(columns, row, strict=True):
            if cell:
                yield from _drawn((column, cell), (name, max(_LAST, width - name - _GAP)))
