"""What FFmpeg says only in its log, and what hashmatch makes of it.

    before = complaints.heard()
    ...                                           # read packets, decode
    complaints.heard() - before                   # Counter({'matroska': 1})

A demuxer that loses its way finds the next packet and reports no error; a decoder that is asked for
too large a picture reports that its data are invalid. The log tells them from healthy files. It
quotes the file, so nothing of it is printed or kept but how often which component complained.

FFmpeg's log belongs to the whole process: the child that reads one clip at a time.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

TOO_MANY_PIXELS = "pixels"
_TOO_MANY_PIXELS_SAID = "exceeds specified max pixel count"

# What does not touch the picture.
_OF_METADATA = re.compile(r"\b(exif|icc|iccp|xmp)\b", re.IGNORECASE)


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR and _OF_METADATA.search(record.getMessage()):
            return
        self.heard.update(record.name.removeprefix("libav.").split(","))
        if _TOO_MANY_PIXELS_SAID in record.getMessage():
            self.heard[TOO_MANY_PIXELS] += 1


_listener = _Listener()


def listen() -> None:
    """Hear errors, and keep them from being printed. Calling it again changes nothing."""
    logger = logging.getLogger("libav")
    logger.propagate = False
    if _listener not in logger.handlers:
        logger.addHandler(_listener)
    av.logging.set_level(av.logging.ERROR)
    # Two clips that break in the same way would otherwise be one complaint.
    av.logging.set_skip_repeated(False)


@contextmanager
def warnings() -> Iterator[None]:
    """Hear warnings too: of a picture they say that it is not what was meant."""
    listen()
    av.logging.set_level(av.logging.WARNING)
    try:
        yield
    finally:
        av.logging.set_level(av.logging.ERROR)


def count(component: str) -> int:
    """Errors of one component so far; for use at every packet."""
    return _listener.heard[component]


def heard() -> Counter[str]:
    """Errors so far, by component: a demuxer's or decoder's name, or `TOO_MANY_PIXELS`."""
    return _listener.heard.copy()
