"""Files one behind the other: of one container, as recorders leave them, or of another altogether.

What lies behind is given to the witness by itself too, as a program that looks for it would take it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from fuzz import flv
from fuzz.mutants import Make, Mutant, Seeds, Unfit, pick
from fuzz.seeds import Seed
from fuzz.witness import Input


def _joined(
    parts: list[Seed], data: bytes, note: str, *others: Input, keeps_time: bool = True
) -> Mutant:
    return Mutant(
        data, parts[0].suffix, tuple(part.name for part in parts), note, others,
        keeps_time=keeps_time, sound=any(part.sound for part in parts),
    )  # fmt: skip


def _two(chance: random.Random, seeds: Seeds, family: str) -> list[Seed]:
    one, other = pick(chance, seeds, family), pick(chance, seeds, family)
    if one is other:
        raise Unfit
    return [one, other]


def flv_joined(chance: random.Random, seeds: Seeds) -> Mutant:
    """With the second header or without it, its times from 0 or going on; maybe another codec."""
    parts = _two(chance, seeds, "flv")
    second = parts[1].data
    goes_on, header = chance.random() < 0.4, chance.random() < 0.3
    if goes_on:
        second = flv.moved(second, flv.tags(second), 2400)
    data = parts[0].data + (second if header else second[flv.HEADER :])
    said = "going on" if goes_on else "from 0"
    return _joined(parts, data, f"joined, times {said}, {'with' if header else 'no'} second header")


def fragments_joined(chance: random.Random, seeds: Seeds) -> Mutant:
    """A fragmented MP4 with a second beginning, whose times start at 0 again."""
    fragmented = {name: seed for name, seed in seeds.items() if name.startswith("fmp4")}
    parts = _two(chance, fragmented, "mp4")
    return _joined(parts, parts[0].data + parts[1].data, "a second fragmented MP4 behind")


def mp4_joined(chance: random.Random, seeds: Seeds) -> Mutant:
    parts = _two(chance, seeds, "mp4")
    return _joined(parts, parts[0].data + parts[1].data, "a second MP4 behind")


def blobs_joined(chance: random.Random, seeds: Seeds) -> Mutant:
    """WebM as a browser's recorder gives it, in blobs of several recordings."""
    parts = _two(chance, seeds, "mkv")
    return _joined(parts, parts[0].data + parts[1].data, "a second Matroska file behind")


def same_joined(chance: random.Random, seeds: Seeds) -> Mutant:
    parts = _two(chance, seeds, chance.choice(("avi", "gif", "png", "webp", "avif", "ts")))
    return _joined(parts, parts[0].data + parts[1].data, "a second file of the kind behind")


def raw_jpegs(chance: random.Random, seeds: Seeds) -> Mutant:
    """A raw stream of JPEGs, as cameras send it."""
    kinds = [seed for seed in seeds.values() if seed.family == "jpeg"]
    if len(kinds) < 2:
        raise Unfit
    parts = chance.sample(kinds, chance.randint(2, len(kinds)))
    gap = chance.choice((b"", b"", b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n"))
    data = gap.join(part.data for part in parts)
    others = [Input(data, ("-f", "mjpeg"))] + [Input(part.data) for part in parts[1:]]
    return _joined(parts, data, f"{len(parts)} JPEGs in a row", *others)


def behind_a_picture(chance: random.Random, seeds: Seeds) -> Mutant:
    """A picture with a video behind it, as phones keep motion photos, or with another picture."""
    picture = pick(chance, seeds, is_video=False)
    hidden = pick(chance, seeds)
    if hidden.family == picture.family:
        raise Unfit
    gap = chance.choice((b"", b"", bytes(16), b"MotionPhoto_Data", chance.randbytes(1000)))
    front = picture.data
    if picture.family == "jpeg" and chance.random() < 0.2:
        front = front[:-2]  # without its end marker
    data = front + gap + hidden.data
    note = f"{hidden.name} behind {picture.name}, {len(gap)} bytes between"
    return _joined([picture, hidden], data, note, Input(hidden.data))


def behind_a_video(chance: random.Random, seeds: Seeds) -> Mutant:
    video, hidden = pick(chance, seeds, is_video=True), pick(chance, seeds)
    if hidden.family == video.family:
        raise Unfit
    note = f"{hidden.name} behind {video.name}"
    return _joined([video, hidden], video.data + hidden.data, note, Input(hidden.data))


KINDS: Mapping[str, Make] = {
    "flv-joined": flv_joined,
    "fragments-joined": fragments_joined,
    "mp4-joined": mp4_joined,
    "blobs-joined": blobs_joined,
    "same-joined": same_joined,
    "raw-jpegs": raw_jpegs,
    "behind-a-picture": behind_a_picture,
    "behind-a-video": behind_a_video,
}
