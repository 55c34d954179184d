"""What FFmpeg's own program shows of a file: every frame of every video stream, and its complaints.

    with Witness() as witness:
        shown = witness.look([Input(data), Input(data, WITHOUT_EDITS)])
        shown.frames, shown.complaints, shown.claimed

It is a program of its own, of another version than the libraries that hashmatch decodes with, and it
guesses what a file is by itself. Each input goes to it as a file and all of its video streams are decoded,
attached pictures too, none is left out or repeated to fit a frame rate. A file that it cannot open is
one of which it shows nothing.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fuzz.seeds import HEIGHT, WIDTH

PROGRAM = "ffmpeg"
WITHOUT_EDITS = ("-ignore_editlist", "1")
# So many seconds for a file of at most a few seconds; past them it shows what it has shown.
_PATIENCE = 60
_LEVEL = re.compile(r"^(\[(?P<who>[^\]]+) @ 0x[0-9a-f]+\] )?\[(?P<level>[a-z]+)\] (?P<said>.*)$")
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d\.\d+)")
_COMPLAINTS = ("warning", "error", "fatal", "panic")
# What is said of the program's own doings, of sound, or of healthy files.
_HARMLESS = re.compile(
    r"""deprecated | ^Consider\ increasing | not\ enough\ frames\ to\ estimate\ rate
      | [Nn]on-monotonous\ DTS | Application\ provided\ invalid | Could\ not\ find\ codec\ parameters
      | ^Guessed\ Channel | matches\ no\ streams | Output\ file\ .*\ does\ not\ contain
      | Stream\ map | First\ pts\ and\ dts | may\ be\ incorrect | Estimating\ duration
      | multiple\ edit\ list | an\ index\ entry\ before | Missing\ key\ frame\ while
      | ^Error\ marking\ filters | Cannot\ determine\ format\ of\ input
      | ^Conversion\ failed | ^Finishing\ stream | ^To\ ignore\ this
    """,
    re.VERBOSE,
)
_PATH = re.compile(r"\S+/\d+\.(in|out): ")
_NUMBERS = re.compile(r"(0x)?[0-9a-f]*\d[0-9a-f]*|-")


class Input(NamedTuple):
    """options: of the program, for this input."""

    data: bytes
    options: tuple[str, ...] = ()


class Shown(NamedTuple):
    """frames: (n, HEIGHT, WIDTH) grey, in no order to rely on; complaints: of demuxers and decoders,
    without numbers; claimed: seconds that the first input says that it lasts, 0 where it does not."""

    frames: NDArray[np.uint8]
    complaints: frozenset[str]
    claimed: float


class Witness:
    def __init__(self) -> None:
        # In memory where that is at hand: what is written is read once.
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(
            prefix="fuzz-", dir=memory if memory.is_dir() else None
        )
        self._home = Path(self._folder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def look(self, inputs: Sequence[Input]) -> Shown:
        """All inputs in one call; where one of them cannot be opened, which ends a call, each alone."""
        ended, together = self._call(inputs)
        if ended == 0 or len(inputs) == 1:
            return together
        each = [self._call([one])[1] for one in inputs]
        return Shown(
            np.concatenate([shown.frames for shown in each]),
            frozenset().union(*(shown.complaints for shown in each)),
            each[0].claimed,
        )

    def _call(self, inputs: Sequence[Input]) -> tuple[int, Shown]:
        command = [PROGRAM, "-nostdin", "-hide_banner", "-nostats", "-v", "level+info", "-y"]
        outputs, paths = [], []
        for number, one in enumerate(inputs):
            path = self._home / f"{number}.in"
            path.write_bytes(one.data)
            command += ["-threads", "1", "-err_detect", "crccheck", *one.options, "-i", str(path)]
            out = self._home / f"{number}.out"
            paths.append(out)
            out.write_bytes(b"")
            outputs += [
                "-map", f"{number}:v", "-vf", f"scale={WIDTH}:{HEIGHT}:flags=area,format=gray",
                "-fps_mode", "passthrough", "-c:v", "rawvideo", "-threads", "1", "-f", "rawvideo", str(out),
            ]  # fmt: skip
        try:
            done = subprocess.run(
                [*command, *outputs], capture_output=True, timeout=_PATIENCE, check=False
            )
            ended, said = done.returncode, done.stderr
        except subprocess.TimeoutExpired as late:
            ended, said = 1, late.stderr or b""
        frames = [_frames(path) for path in paths]
        complaints, claimed = _heard(said.decode("utf-8", "replace"))
        return ended, Shown(np.concatenate(frames), complaints, claimed)


def _frames(path: Path) -> NDArray[np.uint8]:
    pixels = np.fromfile(path, np.uint8)
    whole = len(pixels) // (WIDTH * HEIGHT)
    return pixels[: whole * WIDTH * HEIGHT].reshape(whole, HEIGHT, WIDTH)


def _heard(log: str) -> tuple[frozenset[str], float]:
    complaints, claimed = set(), None
    for line in log.splitlines():
        found = _LEVEL.match(line)
        if found is None:
            continue
        if claimed is None and (duration := _DURATION.match(found["said"])):
            hours, minutes, seconds = duration.groups()
            claimed = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if found["level"] in _COMPLAINTS and not _HARMLESS.search(found["said"]):
            said = _NUMBERS.sub("#", _PATH.sub("", found["said"]))
            complaints.add(f"{found['who'] or PROGRAM}: {said[:100]}")
    return frozenset(complaints), claimed or 0.0
