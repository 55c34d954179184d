"""Deleting from a bucket that may keep versions: the bytes have to go, not only the name.

    remove(s3, "2026/a.mp4", etag)      # Deletion(versions=3, others=1, alike=0)

First the key is hidden, if it shows that ETag: a plain DELETE with If-Match. In a bucket without
versions that is all there is to do, and it needs no permission but s3:DeleteObject. In one with
versions it puts a delete marker on top. Then every version with that ETag is removed by its id,
wherever it lies, and the versions are listed again: what is still there was not deleted. Each step
can be repeated, and the next attempt goes on from whatever the last one left.

No older version with other bytes is laid bare: the marker stays as long as any version is beneath
it. When none is left, the markers go too; except those whose id is "null", because in a bucket whose
versioning is suspended a new upload may take that id at any moment.

Not guaranteed:

- In a bucket with suspended versioning a plain DELETE takes whatever version has the id "null".
  Where that one has other bytes the key is not hidden first, and an older version with other bytes
  may be what it shows afterwards.
- A server that does not know If-Match on DELETE (it answers 501, or ignores it), or whose ETags are
  weak, so that If-Match never holds, leaves a moment
  between the look and the hiding, in which another version may come and be hidden.
- A hidden version with the id "null" that is removed while versioning is suspended may be replaced
  in that moment, and what replaced it is removed.
- Versions with the same bytes but another ETag, uploaded in parts of another size, are not known
  for what they are. `Deletion.alike` counts those of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from botocore.exceptions import ClientError

from hashmatch.clips.s3_connection import Connection, listed_name, status_of
from hashmatch.clips.store import (
    Deletion,
    ObjectChanged,
    ObjectNotFound,
    StorageUnavailable,
    VersionsRemain,
)
from hashmatch.errors import StorageError


@dataclass(frozen=True, slots=True)
class _Stored:
    """One entry in a key's history. etag is None for a delete marker."""

    id: str
    etag: str | None
    size: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the key shows: etag is None if nothing, marked if that is because of a delete marker.

    id: None in a bucket that never had versions.
    """

    etag: str | None
    id: str | None
    marked: bool


class _Unlisted(Exception):
    """The versions cannot be listed; its text says why."""


def remove(s3: Connection, key: str, etag: str) -> Deletion:
    """As `Store.delete`."""
    shown = _look(s3, key)
    marked = False
    if shown.etag == etag and shown.id is None:
        # No versions were ever kept, it seems; the answer to a plain DELETE says whether so.
        answer = _hide(s3, key, etag)
        marked = answer is not None and bool(answer.get("DeleteMarker"))
        if answer is not None and not marked:
            if _look(s3, key).etag == etag:
                raise _still_there(s3, key)
            return Deletion(versions=1, others=0)
    try:
        return _remove_listed(s3, key, etag)
    except _Unlisted as why:
        _remove_unlisted(s3, key, etag, str(why), marked=marked)


def _remove_listed(s3: Connection, key: str, etag: str) -> Deletion:
    shown = _look(s3, key)
    history = list(_history(s3, key))
    if shown.etag is not None and all(one.etag != shown.etag for one in history):
        raise _Unlisted("the list of versions lacks the one that the key shows")
    mine = [one for one in history if one.etag == etag]
    changed = shown.etag not in (None, etag)
    if shown.etag == etag and _may_hide(s3, shown, history, etag):
        changed = _hide(s3, key, etag) is None
        history = list(_history(s3, key))
    asked = {one.id: _remove_version(s3, key, one.id) for one in history if one.etag == etag}
    left = list(_history(s3, key))
    _check_gone(s3, key, [one for one in left if one.etag == etag], asked)
    others = [one for one in left if one.etag is not None]
    if not others:
        _remove_markers(s3, key, left)
    if changed:
        raise ObjectChanged(url=s3.url, key=key)
    if not mine:
        raise ObjectNotFound(url=s3.url, key=key)
    alike = sum(one.size == mine[0].size for one in others)
    return Deletion(versions=len(mine), others=len(others), alike=alike)


def _remove_unlisted(s3: Connection, key: str, etag: str, why: str, *, marked: bool) -> NoReturn:
    """Where versions cannot be listed: finished only if there never were any.

    marked: whether an earlier DELETE left a marker.
    """
    shown = _look(s3, key)
    status = _versioning(s3)
    if not (status or marked or shown.marked or shown.id is not None):
        raise (ObjectNotFound if shown.etag is None else ObjectChanged)(url=s3.url, key=key)
    problem = f"older ones cannot be listed ({why})"
    if shown.etag == etag and shown.id is not None:
        taken = shown.id == "null" or status == "Enabled"
        answer = _hide(s3, key, etag) if taken else None
        # Where versioning is suspended, the marker took the version's place, and its id.
        if answer is None or answer.get("VersionId") != shown.id:
            held = _remove_version(s3, key, shown.id)
            problem = f"{held}; {problem}" if held else problem
    raise VersionsRemain(url=s3.url, key=key, count="perhaps", problem=problem)


def _look(s3: Connection, key: str) -> _Shown:
    with s3.errors(key):
        try:
            answer = s3.client.head_object(Bucket=s3.bucket, Key=s3.name(key))
        except ClientError as error:
            if status_of(error) != 404:
                raise
            headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
            return _Shown(None, None, marked=headers.get("x-amz-delete-marker") == "true")
    s3.check(answer, "ETag", "LastModified")
    return _Shown(answer["ETag"], answer.get("VersionId"), marked=False)


def _history(s3: Connection, key: str) -> Iterator[_Stored]:
    """What is stored under exactly this key. Raises _Unlisted."""
    name = s3.name(key)
    after: dict[str, str] = {}
    while True:
        try:
            with s3.errors(key):
                page = s3.client.list_object_versions(
                    Bucket=s3.bucket, Prefix=name, EncodingType="url", **after
                )
        except StorageUnavailable:
            raise
        except StorageError as refusal:
            raise _Unlisted(_reason(refusal)) from None
        s3.check(page, "Name", "IsTruncated")
        encoding = page.get("EncodingType")
        for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            s3.check(found, "Key", "VersionId")
            if listed_name(found["Key"], encoding) == name.encode():
                yield _Stored(found["VersionId"], found.get("ETag"), found.get("Size", 0))
        if not page["IsTruncated"]:
            return
        key_marker, marker = page.get("NextKeyMarker"), page.get("NextVersionIdMarker")
        if key_marker and listed_name(key_marker, encoding) != name.encode():
            # The key itself comes before all that begin with it.
            return
        if not key_marker or not marker or after.get("VersionIdMarker") == marker:
            raise _Unlisted("the next page has no address")
        after = {"KeyMarker": name, "VersionIdMarker": marker}


def _versioning(s3: Connection) -> str | None:
    """Enabled, Suspended, or '' for never; None if that may not be asked, or is not understood."""
    try:
        with s3.errors(""):
            return str(s3.client.get_bucket_versioning(Bucket=s3.bucket).get("Status", ""))
    except StorageUnavailable:
        raise
    except StorageError:
        return None


def _may_hide(s3: Connection, shown: _Shown, history: list[_Stored], etag: str) -> bool:
    """Whether a plain DELETE is sure to take no bytes but the ones that the key shows."""
    if shown.id in (None, "null"):
        return True
    null = next((one.etag for one in history if one.id == "null"), None)
    return null in (None, etag) or _versioning(s3) == "Enabled"


def _hide(s3: Connection, key: str, etag: str) -> Mapping[str, Any] | None:
    """A plain DELETE; None if the key shows another version, or none, by now."""
    target = {"Bucket": s3.bucket, "Key": s3.name(key)}
    try:
        with s3.errors(key):
            try:
                answer: Mapping[str, Any] = s3.client.delete_object(IfMatch=etag, **target)
            except ClientError as error:
                if status_of(error) != 501:
                    raise
                answer = s3.client.delete_object(**target)
    except ObjectNotFound:
        return None
    except ObjectChanged:
        # A weak ETag never satisfies If-Match, whatever is there.
        if _look(s3, key).etag != etag:
            return None
        try:
            with s3.errors(key):
                answer = s3.client.delete_object(**target)
        except ObjectNotFound:
            return None
    return answer


def _remove_version(s3: Connection, key: str, version: str) -> str | None:
    """None when it is gone, else what holds it."""
    try:
        with s3.errors(key):
            s3.client.delete_object(Bucket=s3.bucket, Key=s3.name(key), VersionId=version)
    except StorageUnavailable:
        raise
    except ObjectNotFound:
        return None
    except StorageError as refusal:
        return _lock_on(s3, key, version) or _reason(refusal)
    return None


def _lock_on(s3: Connection, key: str, version: str) -> str | None:
    """The lock on a version, if there is one and it may be seen."""
    with suppress(StorageError):
        about = s3.head(key, VersionId=version)
        if about.get("ObjectLockLegalHoldStatus") == "ON":
            return "a legal hold of the bucket is on it"
        until = about.get("ObjectLockRetainUntilDate")
        if until is not None and until > datetime.now(UTC):
            return f"locked until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return None


def _check_gone(
    s3: Connection, key: str, still: list[_Stored], asked: Mapping[str, str | None]
) -> None:
    """asked: the ids of the versions that were to go, with what held them, if anything did."""
    held = [reason for one in still if (reason := asked.get(one.id))]
    if held:
        problem = "; ".join(sorted(set(held)))
        raise VersionsRemain(url=s3.url, key=key, count=len(held), problem=problem)
    if any(one.id in asked for one in still):
        raise _still_there(s3, key)
    if still:
        # Uploaded again meanwhile.
        raise ObjectChanged(url=s3.url, key=key)


def _still_there(s3: Connection, key: str) -> StorageUnavailable:
    problem = f"{key!r} is still there after it was deleted."
    return StorageUnavailable(url=s3.url, problem=problem)


def _remove_markers(s3: Connection, key: str, markers: list[_Stored]) -> None:
    """Markers with nothing beneath them. What is uploaded from now on lies above them."""
    for one in markers:
        if one.id != "null":
            # The bytes are gone; a marker that stays is only untidy.
            with suppress(StorageError), s3.errors(key):
                s3.client.delete_object(Bucket=s3.bucket, Key=s3.name(key), VersionId=one.id)


def _reason(refusal: StorageError) -> str:
    """What the server said, without the key: cases show it."""
    return str(refusal.details.get("said") or refusal.details.get("problem", "HTTP 404"))
