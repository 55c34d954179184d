"""What is listed and looked at: a folder's videos and their edits, and what they are told apart from.

media: the videos that recall is measured on, each edited in every way;
drawn: unrelated to everything, looked at as they are;
room: one camera and figure at several moments, looked at as they are and in a few of the everyday edits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from subprocess import CalledProcessError

import av

from recall import drawn, edits, rooms
from recall.listing import Reference, TimedHashes, VpdqUnable

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".m4v", ".avi")

# Smaller, shifted, mirrored: what the other moments of a room are looked at in, beside as they are.
ROOM_EDITS = ("360p", "crop5", "mirror")


class Kind(StrEnum):
    MEDIA = "media"
    DRAWN = "drawn"
    ROOM = "room"


@dataclass(frozen=True)
class Subject:
    path: Path
    kind: Kind

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class Clip:
    """A video as it was edited, to be looked at."""

    edited: edits.EditedClip
    kind: Kind


@dataclass(frozen=True)
class LeftOut:
    """A video or an edit of one that could not be measured, and why."""

    name: str
    why: str


def videos(folder: Path, patterns: Sequence[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def drawn_videos(folder: Path, count: int) -> list[Path]:
    """Made at first use."""
    paths = [folder / f"drawn-{seed:02}.mp4" for seed in range(1, count + 1)]
    for seed, path in enumerate(paths, 1):
        if not path.exists():
            drawn.draw(path, seed, drawn.seconds_of(seed))
    return paths


def drawn_rooms(folder: Path, count: int) -> list[list[Path]]:
    """Made at first use; each with all its takes."""
    groups = []
    for room in list(rooms.ROOMS)[:count]:
        takes = {take: folder / f"room-{room}-{take}.mp4" for take in rooms.TAKES}
        for take, path in takes.items():
            if not path.exists():
                rooms.draw(path, room, take)
        groups.append(list(takes.values()))
    return groups


def filmed_rooms(folder: Path) -> list[list[Path]]:
    """Each folder in it is a room, each video in there another moment of it."""
    groups = [videos(one, ["*"]) for one in sorted(folder.iterdir()) if one.is_dir()]
    return [group for group in groups if len(group) > 1]


def listed(
    subjects: Iterable[Subject], reference: Reference, done: Callable[[str], None]
) -> tuple[list[TimedHashes], list[LeftOut]]:
    """What a partner would list of them. done: told of each."""
    hashes, left_out = [], []
    for subject in subjects:
        try:
            frames = reference.look(subject.path).frames.good()
        except VpdqUnable as error:
            left_out.append(LeftOut(subject.name, f"vPDQ cannot read it: {error}"))
        else:
            if len(frames):
                hashes.append(frames)
            else:
                why = "no frame of it is good enough to be listed"
                left_out.append(LeftOut(subject.name, why))
        done(subject.name)
    return hashes, left_out


def wanted(subjects: Iterable[Subject], names: Sequence[str]) -> list[tuple[Subject, edits.Edit]]:
    """What is looked at of whom. names: of edits."""
    asked = [edits.EDITS[name] for name in names]
    by_kind = {
        Kind.MEDIA: asked,
        Kind.DRAWN: [edits.UNEDITED],
        Kind.ROOM: [edits.UNEDITED, *(edit for edit in asked if edit.name in ROOM_EDITS)],
    }
    return [(subject, edit) for subject in subjects for edit in by_kind[subject.kind]]


def clips(
    wanted: Sequence[tuple[Subject, edits.Edit]],
    folder: Path,
    encoders: int,
    done: Callable[[str], None],
) -> tuple[list[Clip], list[LeftOut]]:
    """Encoded, where they were not before. done: told of each, from any thread."""
    edits.fillers(folder)

    def make(one: tuple[Subject, edits.Edit]) -> Clip | LeftOut:
        subject, edit = one
        name = f"{subject.name}, {edit.title}"
        try:
            return Clip(edits.make(edit, edits.Source.of(subject.path), folder), subject.kind)
        except (av.FFmpegError, IndexError) as error:
            return LeftOut(name, f"cannot be read: {error}")
        except CalledProcessError as error:
            said = error.stderr.decode("utf-8", "replace").strip().splitlines()
            return LeftOut(name, f"FFmpeg fails: {said[-1] if said else error.returncode}")
        finally:
            done(name)

    with ThreadPoolExecutor(encoders) as pool:
        made = list(pool.map(make, wanted))
    good = [one for one in made if isinstance(one, Clip)]
    return good, [one for one in made if isinstance(one, LeftOut)]
