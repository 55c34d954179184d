"""Packets of one seed or several, written anew by FFmpeg's muxers: fewer, later, in several tracks.

The result is well formed: what is missing or hidden in it was left out as a program would.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import av.error
from av.packet import Packet
from av.stream import Disposition

from fuzz.mp4 import boxed, boxes, replaced
from fuzz.mutants import Make, Mutant, Seeds, Unfit, of_one, pick
from fuzz.seeds import FPS, PER_SCENE, SCENES, Seed

_FORMATS = {"mp4": "mp4", "mkv": "matroska", "flv": "flv", "ts": "mpegts", "avi": "avi"}
_SECONDS = SCENES * PER_SCENE / FPS
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

# A packet of an input and of which of its streams -> whether, and how much later, in seconds.
Choice = Callable[[int, "Packet[Any]"], float | None]


def written(
    parts: Sequence[Seed],
    format: str,
    choice: Choice,
    options: Mapping[str, str],
    set_up: Any = None,
) -> bytes:
    """All video and audio streams of the parts in one file. Raises Unfit where the muxer refuses."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        inputs = [av.open(io.BytesIO(part.data)) for part in parts]
        try:
            with av.open(
                str(path), "w", format=format, container_options={"fflags": "+bitexact", **options}
            ) as output:
                streams: dict[tuple[int, int], Any] = {}
                packets: list[tuple[float, int, Packet[Any]]] = []
                for place, source in enumerate(inputs):
                    for stream in source.streams:
                        if stream.type in ("video", "audio"):
                            streams[place, stream.index] = output.add_stream_from_template(stream)
                    for packet in _packets(source):
                        if (place, packet.stream_index) not in streams:
                            continue
                        later = choice(place, packet)
                        if later is not None:
                            shift = round(later / packet.time_base)
                            packet.dts += shift
                            packet.pts = None if packet.pts is None else packet.pts + shift
                            packets.append((float(packet.dts * packet.time_base), place, packet))
                if set_up is not None:
                    set_up(output, list(streams.values()))
                for _, place, packet in sorted(packets, key=lambda one: one[0]):
                    packet.stream = streams[place, packet.stream_index]
                    output.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise Unfit(str(error)) from None
        finally:
            for source in inputs:
                source.close()
        return path.read_bytes()


def _packets(source: Any) -> list[Packet[Any]]:
    """All of a file, each with a time of decoding: Matroska tells none for the first ones."""
    packets = [packet for packet in source.demux() if packet.size]
    following: dict[int, int] = {}
    for packet in reversed(packets):
        if packet.dts is None:
            step = round(1 / FPS / packet.time_base)
            packet.dts = following[packet.stream_index] - step
        following[packet.stream_index] = packet.dts
    return packets


def _into(chance: random.Random, seed: Seed) -> tuple[str, str, dict[str, str]]:
    """A container that may take it: mostly its own. Format, suffix, options."""
    family = seed.family if chance.random() < 0.6 else chance.choice(list(_FORMATS))
    fragmented = family == "mp4" and chance.random() < 0.4
    return _FORMATS[family], family, _FRAGMENTS if fragmented else {}


def packets_dropped(chance: random.Random, seeds: Seeds) -> Mutant:
    """At the start, in the middle, at random, or all but keyframes; the times of the rest stay."""
    seed = pick(chance, seeds, is_video=True)
    format, suffix, options = _into(chance, seed)
    how = chance.choice(("middle", "middle", "start", "random", "keyframes only"))
    start = chance.uniform(0.2, 1.4)
    length, share = chance.uniform(0.3, 1.2), chance.uniform(0.1, 0.8)

    def choice(place: int, packet: Packet[Any]) -> float | None:
        if packet.stream.type != "video":
            return 0.0
        t = float((packet.dts if packet.pts is None else packet.pts) * packet.time_base)
        begin = 0.0 if how == "start" else start
        gone = (
            begin <= t < begin + length
            if how in ("middle", "start")
            else chance.random() < share
            if how == "random"
            else not packet.is_keyframe
        )
        return None if gone else 0.0

    data = written([seed], format, choice, options)
    note = f"{format}: packets dropped, {how} ({start:.2f} s, {length:.2f} s, {share:.2f})"
    mutant = of_one(seed, data, note, keeps_time=True)
    return _named(mutant, suffix)


def time_jumps(chance: random.Random, seeds: Seeds) -> Mutant:
    """From one packet on everything is later."""
    seed = pick(chance, seeds, is_video=True)
    format, suffix, options = _into(chance, seed)
    at, jump = chance.uniform(0.3, 2.0), chance.choice((0.7, 3.0, 9.0, 12.0, 60.0, 3600.0))
    data = written(
        [seed], format, lambda _, p: jump if float(p.dts * p.time_base) >= at else 0.0, options
    )
    return _named(of_one(seed, data, f"{format}: {jump} s later from {at:.2f} s on"), suffix)


def several_tracks(chance: random.Random, seeds: Seeds) -> Mutant:
    """Two or three videos beside each other; which is the default track is drawn."""
    videos = [seed for seed in seeds.values() if seed.is_video]
    if len(videos) < 2:
        raise Unfit
    parts = chance.sample(videos, chance.choice((2, 2, 3)))
    family = chance.choice(("mp4", "mkv", "mkv", "ts", "avi"))
    options = _FRAGMENTS if family == "mp4" and chance.random() < 0.3 else {}
    defaults = [chance.random() < 0.5 for _ in range(2 * len(parts))]
    late = chance.choice((0.0, 0.0, 1.0, 5.0))

    def set_up(output: Any, streams: list[Any]) -> None:
        if family != "avi":
            for stream, default in zip(streams, defaults, strict=False):
                stream.disposition = Disposition.default if default else Disposition(0)

    data = written(parts, _FORMATS[family], lambda place, _: late * place, options, set_up)
    return Mutant(
        data, family, tuple(part.name for part in parts),
        f"{len(parts)} videos in {family}, each {late} s after the one before",
        keeps_time=True, sound=any(part.sound for part in parts),
    )  # fmt: skip


def cover(chance: random.Random, seeds: Seeds) -> Mutant:
    """A video with a picture attached to it."""
    family = chance.choice(("mp4", "mkv"))
    video = pick(chance, seeds, family)
    picture = pick(chance, seeds, "jpeg", "png")
    if picture.frames > 1:
        raise Unfit
    mime = "image/jpeg" if picture.family == "jpeg" else "image/png"

    def attach(output: Any, _: list[Any]) -> None:
        output.add_attachment(f"cover.{picture.suffix}", mime, picture.data)

    if family == "mkv":
        data = written([video], "matroska", lambda *_: 0.0, {}, attach)
    else:
        data = _with_cover(video, picture)
    return Mutant(
        data, video.suffix, (video.name, picture.name), f"{picture.name} attached",
        keeps_time=True, sound=video.sound,
    )  # fmt: skip


def _with_cover(video: Seed, picture: Seed) -> bytes:
    """An MP4 with a picture as iTunes keeps it: moov/udta/meta/ilst/covr."""
    kind = 13 if picture.family == "jpeg" else 14
    content = boxed(b"data", kind.to_bytes(4, "big") + bytes(4) + picture.data)
    handler = boxed(b"hdlr", bytes(8) + b"mdirappl" + bytes(10))
    meta = boxed(b"meta", bytes(4) + handler + boxed(b"ilst", boxed(b"covr", content)))
    found = boxes(video.data)
    movie = next(box for box in found if box.kind == b"moov")
    media = [box for box in found if box.kind == b"mdat"]
    if media[0].start > movie.start and not any(b.kind == b"moof" for b in found):
        raise Unfit  # its offsets would have to be moved
    inner = b"".join(
        video.data[box.start : box.end]
        for box in found
        if box.inside and found[box.inside[-1]] == movie and box.kind != b"udta"
    )
    return replaced(video.data, movie, found, boxed(b"moov", inner + boxed(b"udta", meta)))


def late_video(chance: random.Random, seeds: Seeds) -> Mutant:
    """Sound first, and the video long after it."""
    seed = pick(chance, seeds, sound=True)
    family = chance.choice(("mp4", "mkv", "flv", "flv", "ts", "ts", "avi"))
    options = _FRAGMENTS if family == "mp4" and chance.random() < 0.5 else {}
    late = chance.choice((3.0, 12.0, 60.0))
    rounds = int(late / _SECONDS) + 1

    def choice(place: int, packet: Packet[Any]) -> float | None:
        if packet.stream.type == "audio":
            return place * _SECONDS  # the same sound over and over until the video begins
        return late if place == 0 else None

    data = _merged([seed] * rounds, _FORMATS[family], choice, options)
    return _named(of_one(seed, data, f"{family}: {late} s of sound first", keeps_time=True), family)


def _merged(
    parts: Sequence[Seed], format: str, choice: Choice, options: Mapping[str, str]
) -> bytes:
    """As `written`, all parts in the streams of the first."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        try:
            with av.open(
                str(path), "w", format=format, container_options={"fflags": "+bitexact", **options}
            ) as output:
                streams: dict[str, Any] = {}
                packets: list[tuple[float, Packet[Any]]] = []
                for place, part in enumerate(parts):
                    with av.open(io.BytesIO(part.data)) as source:
                        for stream in source.streams:
                            if stream.type not in streams:
                                streams[stream.type] = output.add_stream_from_template(stream)
                        for packet in _packets(source):
                            later = choice(place, packet)
                            if later is None:
                                continue
                            shift = round(later / packet.time_base)
                            packet.dts += shift
                            packet.pts = None if packet.pts is None else packet.pts + shift
                            kind = packet.stream.type
                            packet.stream = streams[kind]
                            packets.append((float(packet.dts * packet.time_base), packet))
                for _, packet in sorted(packets, key=lambda one: one[0]):
                    output.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise Unfit(str(error)) from None
        return path.read_bytes()


def _named(mutant: Mutant, suffix: str) -> Mutant:
    return replace(mutant, suffix=suffix)


KINDS: Mapping[str, Make] = {
    "packets-dropped": packets_dropped,
    "time-jumps": time_jumps,
    "several-tracks": several_tracks,
    "cover": cover,
    "late-video": late_video,
}
