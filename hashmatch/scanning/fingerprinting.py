"""A clip's bytes to its fingerprint, decoded in a sandbox that is believed nothing.

    with Fingerprinter(settings.decode) as fingerprinter:
        fingerprint = fingerprinter.fingerprint(file, digests, size, frozenset({Algorithm.PDQ}))

Whatever the file does to its decoder is told by the fingerprint's `trouble`; what was seen before
is kept. Everything the decoder says is checked against what a clip can be (`decoder_output`).
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from hashmatch.config import Decode
from hashmatch.media.sandbox import ChildDied, Sandbox, SandboxLimits, Supply
from hashmatch.model import Algorithm, Digests, Fingerprint, Orientations, Reason, Sampling
from hashmatch.scanning.decoder_output import Implausible, Testimony

_TASK = "hashmatch.scanning.decoder_task:hash_frames"

# The reader stops by itself at decode.max_seconds and says what it saw. Past it: a decoder that
# spins has used its processor time, one that does not even spin is hung.
_CPU_GRACE = 5.0
_WALL_GRACE = 30.0


class OpenFile(Protocol):
    def fileno(self) -> int: ...


class Fingerprinter:
    """One decoder process, for one clip at a time. It starts at first use."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        cpu_seconds = decode.max_seconds + _CPU_GRACE
        self._sandbox = Sandbox(_TASK, SandboxLimits(decode.max_memory, cpu_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def protections(self) -> dict[str, bool]:
        """What shields this host from a decoder, by name; see `Sandbox.protections`."""
        return self._sandbox.protections

    def close(self) -> None:
        self._sandbox.close()

    def fingerprint(
        self,
        file: OpenFile,
        digests: Digests | None,
        size: int,
        algorithms: frozenset[Algorithm],
        sampling: Sampling | None = None,
        orientations: Orientations = Orientations.MIRRORED,
        supply: Supply | None = None,
        first: int | None = None,
    ) -> Fingerprint:
        """What a clip is to be remembered by: PDQ, and what else of `algorithms` is perceptual.

        sampling: in place of the settings'; orientations: of PDQ hashes, the others have one; supply:
        brings the parts of `file` that are asked for, where it is not all there, and may raise;
        first: stop after so many frames. Each algorithm has its frames, ordered by time, even if there
        are none; a clip that could not be opened has no algorithm at all. Raises SandboxBroken if no
        clip whatever could be looked at.
        """
        wanted = {Algorithm.PDQ} | {algorithm for algorithm in algorithms if algorithm.perceptual}
        request = {
            "algorithms": sorted(wanted),
            "sampling": sampling or self._decode.sampling,
            "orientations": orientations,
            "first": first,
            "limits": {
                "max_pixels": self._decode.max_pixels,
                "max_seconds": self._decode.max_seconds,
                "max_gap_seconds": self._decode.max_gap_seconds,
                "max_keyframe_gap_seconds": self._decode.max_keyframe_gap_seconds,
            },
        }
        testimony = Testimony(wanted, orientations)
        deadline = self._decode.max_seconds + _WALL_GRACE
        messages = self._sandbox.run(file.fileno(), request, deadline, supply)
        try:
            for header, payload in messages:
                testimony.hear(header, payload)
            testimony.conclude()
        except ChildDied as death:
            testimony.break_off(death.reason)
        except Implausible:
            messages.close()
            testimony.break_off(Reason.DECODER_CRASHED)
        return testimony.fingerprint(digests, size)
