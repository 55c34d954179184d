"""What speaks for a match, in sentences for a reviewer, without a hash, a picture or a distance.

for line in in_words(row):
    print(line)
"""

from __future__ import annotations

from typing import Protocol

# Decades beyond which a score is not told: the model behind it is not known to hold so far out.
_MOST_TOLD = 9
# Bits. What an encoder alone makes of a frame; beyond the second, the frame rule ends.
_IDENTICAL, _NEAR = 8, 31


class _Stretches(Protocol):
    @property
    def listed(self) -> int | None: ...
    @property
    def found(self) -> int | None: ...
    @property
    def shows(self) -> int | None: ...
    @property
    def pictures(self) -> int | None: ...
    @property
    def typical(self) -> int | None: ...
    @property
    def copy(self) -> float | None: ...
    @property
    def stretches(self) -> list[dict[str, float]] | None: ...


def in_words(match: _Stretches) -> list[str]:
    """How much of the listed video is there, how near, what moves in it, and where.

    Empty for images, files, and videos whose list gives no times.
    """
    if not match.listed:
        return []
    lines = [
        f"{match.found} of the video's {match.listed} listed frames, which are worth "
        f"{match.shows} different pictures, are found in the clip"
    ]
    if match.typical is None or match.copy is None:
        return [*lines, "they are in no common order: maybe the same room at another moment"]
    if match.typical <= _IDENTICAL:
        nearness = "nearly identical"
    elif match.typical <= _NEAR:
        nearness = "near"
    else:
        nearness = "edited or only alike"
    lines.append(
        f"the stretch with the most evidence is worth {match.pictures} pictures; its frames are {nearness}"
    )
    if match.copy >= 1:
        lines.append(
            "they are nearer to their own moment than to any other, with a chance of one in "
            f"10^{min(match.copy, _MOST_TOLD):.0f} or less that this is another moment of the same room"
        )
    else:
        lines.append(
            "they are no nearer to their own moment than to others: maybe the same room at "
            "another moment, or a copy of a video in which little moves"
        )
    for one in match.stretches or ():
        lines.append(
            f"{one['start']:.1f} to {one['end']:.1f} s of the clip is "
            f"{one['listed_start']:.1f} to {one['listed_end']:.1f} s of the listed video"
            + (
                f", at {1 / one['speed']:.2f} times its speed"
                if abs(one["speed"] - 1) > 0.03
                else ""
            )
        )
    return lines
