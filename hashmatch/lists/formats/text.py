"""The lines of a partner's file, numbered, decoded strictly, and hashed while they are read.

    file = TextFile(path, name="list.csv")
    for number, line in file:
        ...
    file.sha256, file.complete

UTF-8 with or without a byte order mark, and UTF-16 with one. Anything else is refused: a guessed
encoding turns ids into other ids. Line ends are LF or CRLF.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from pathlib import Path

from hashmatch.errors import ListError
from hashmatch.freetext import hashlike

CHUNK = 1 << 18
MAX_LINE = 1 << 20


class ListUnreadable(ListError):
    message = "{name}: {problem}"
    remedy = (
        "Lists are text in UTF-8, one row a line. Convert the file (`iconv -f LATIN1 -t UTF-8`, "
        "for one), or ask the partner for it again."
    )


def label(path: Path, number: int = 1) -> str:
    """What to call a file in messages. Files are often named after a hash; that is not repeated."""
    name = path.name
    return f"file {number}" if hashlike(name) or not name.isprintable() else name


class TextFile:
    """One pass over a file. `sha256`, `complete` and `last` are known after the last line.

    complete: the last line has its line end; last: its number, 0 for an empty file.
    Raises ListUnreadable, while iterating, for what is not text of this kind.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.sha256 = ""
        self.complete = True
        self.last = 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                first = file.read(CHUNK)
                decoder = _decoder(first)
                chunk, rest = first, ""
                while True:
                    digest.update(chunk)
                    lines = (rest + self._decode(decoder, chunk)).split("\n")
                    rest = lines.pop()
                    for line in lines:
                        yield self._line(line)
                    if len(rest) > MAX_LINE:
                        raise self._unreadable(f"line {self.last + 1} is longer than 1 MiB")
                    if not chunk:
                        break
                    chunk = file.read(CHUNK)
        except OSError as error:
            raise ListUnreadable(name=self.name, problem=error.strerror or "unreadable") from None
        self.sha256 = digest.hexdigest()
        if rest:
            self.complete = False
            yield self._line(rest)

    def _line(self, line: str) -> tuple[int, str]:
        self.last += 1
        if line.endswith("\r"):
            line = line[:-1]
        if "\0" in line:
            raise self._unreadable(
                f"line {self.last} has NUL characters (UTF-16 without its mark?)"
            )
        if "\r" in line:
            raise self._unreadable(f"line {self.last} has a carriage return inside")
        return self.last, line

    def _decode(self, decoder: codecs.IncrementalDecoder, chunk: bytes) -> str:
        try:
            return decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(error.encoding, "replace")
            number = self.last + before.count("\n") + 1
            # The error itself carries the file's bytes.
            problem = f"line {number} cannot be decoded as {error.encoding}"
        raise self._unreadable(problem)

    def _unreadable(self, problem: str) -> ListUnreadable:
        return ListUnreadable(name=self.name, problem=problem)


def _decoder(first: bytes) -> codecs.IncrementalDecoder:
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return codecs.getincrementaldecoder("utf-16")()
    return codecs.getincrementaldecoder("utf-8-sig")()
