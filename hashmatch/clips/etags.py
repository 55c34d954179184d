"""ETags as one storage writes them in different places: with quotes or without, weak or strong.

    canonical('W/"5d41"') == canonical("5d41") == '"5d41"'
    named = as_read(page, known, store.head)      # a page of a listing

A listing may even name other ETags than reading gives, as gateways do that make up one of the two.
Every clip would then be a new version every night. An object that storage calls unchanged in size and
time is therefore asked for by itself before another ETag counts as a change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from hashmatch.clips.store import ObjectInfo
from hashmatch.errors import StorageError
from hashmatch.model import Clip

_FORM = re.compile(r'(?:W/)?"?([^"]*)"?')
_AT_ONCE = 8


class Known(NamedTuple):
    """The version of a clip that was read last, and what the listing said of it."""

    etag: str
    size: int
    modified: datetime


def canonical(etag: str) -> str:
    """In quotes and without W/, which says nothing of which bytes they are here."""
    form = _FORM.fullmatch(etag)
    return etag if form is None else f'"{form[1]}"'


def normalise(parsed: MutableMapping[str, Any], **_: object) -> None:
    """Every ETag in an answer of S3, as botocore hands it on."""
    for entry in (parsed, *parsed.get("Contents", ()), *parsed.get("Versions", ())):
        if isinstance(entry.get("ETag"), str):
            entry["ETag"] = canonical(entry["ETag"])


def as_read(
    page: Sequence[Clip], known: Mapping[str, Known], head: Callable[[str], ObjectInfo]
) -> tuple[list[Clip], int]:
    """The page with the ETags that reading gives, and how many clips were listed under another.

    Asks for those that look changed by nothing but their ETag; what cannot be asked stays as listed.
    """

    def asked(clip: Clip) -> Clip:
        try:
            etag = head(clip.key).etag
        except StorageError:
            return clip
        return replace(clip, etag=etag) if etag == known[clip.key].etag else clip

    doubtful = [clip for clip in page if _only_renamed(clip, known.get(clip.key))]
    if not doubtful:
        return list(page), 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip((clip.key for clip in doubtful), pool.map(asked, doubtful), strict=True))
    clips = [answers.get(clip.key, clip) for clip in page]
    return clips, sum(one is not other for one, other in zip(clips, page, strict=True))


def _only_renamed(clip: Clip, known: Known | None) -> bool:
    if known is None or clip.etag == known.etag:
        return False
    return (clip.size, clip.modified) == (known.size, known.modified)
