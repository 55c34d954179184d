"""What every store promises, held to by a folder, and by boto3 and obstore over an S3 server."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from stores import KINDS, make

from hashmatch.clips.store import (
    CHUNK,
    KeyRefused,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    Store,
)
from hashmatch.errors import HashmatchError, StorageError

PART = 16 << 20


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Store:
    return make(request.param, request)


def content(store: Store, key: str, etag: str | None = None) -> bytes:
    return b"".join(store.read(key, etag))


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_is_written_is_read(store: Store, size: int) -> None:
    body = random.Random(size).randbytes(size)
    info = store.write("2026/a.mp4", [body[:100], b"", body[100:]])
    assert (info.key, info.size) == ("2026/a.mp4", size)
    assert content(store, "2026/a.mp4") == body
    assert content(store, "2026/a.mp4", info.etag) == body
    assert store.head("2026/a.mp4") == info


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (7, CHUNK + 9), (2 * CHUNK, 3 * CHUNK)])
def test_a_range_is_those_bytes_of_that_version(store: Store, start: int, stop: int) -> None:
    body = random.Random(9).randbytes(3 * CHUNK)
    info = store.write("a", [body])
    assert b"".join(store.read_range("a", info.etag, start, stop)) == body[start:stop]
    store.write("a", [body[::-1]], over=info.etag)
    with pytest.raises(ObjectChanged):
        list(store.read_range("a", info.etag, start, stop))


def test_a_range_beyond_the_end_is_an_error_and_not_short(store: Store) -> None:
    info = store.write("a", [b"0123456789"])
    for start, stop in ((5, 11), (10, 12)):
        with pytest.raises(StorageError):
            list(store.read_range("a", info.etag, start, stop))


@pytest.mark.parametrize("there", [False, True])
def test_what_is_larger_than_one_upload_part_is_written_whole(store: Store, there: bool) -> None:
    block = random.Random(1).randbytes(1 << 20)
    over = store.write("a", [b"old"]).etag if there else None
    info = store.write("a", (block for _ in range(2 * PART // len(block))), over=over)
    assert info.size == 2 * PART
    assert content(store, "a", info.etag) == block * (2 * PART // len(block))


def test_chunks_of_a_read_are_small(store: Store) -> None:
    info = store.write("a", [bytes(5 * CHUNK)])
    assert max(len(chunk) for chunk in store.read("a", info.etag)) <= 4 * CHUNK


def test_listed_is_what_head_says(store: Store) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    written = {k: store.write(k, [k.encode()]) for k in ("a", "b/c", "b/d/e")}
    listed = {info.key: info for info in store.list()}
    assert listed.keys() == written.keys()
    for key, info in listed.items():
        assert (info.etag, info.size) == (store.head(key).etag, len(key))
        assert info.modified.tzinfo is not None
        assert before <= info.modified <= datetime.now(UTC) + timedelta(seconds=2)


def test_nothing_stored_is_nothing_listed(store: Store) -> None:
    assert list(store.list()) == []
    assert list(store.list("2026/")) == []


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["2026/11/a", "2026/11/b", "2026/1x", "2026/12/c", "20z"]),
        ("2026/1", ["2026/11/a", "2026/11/b", "2026/1x", "2026/12/c"]),
        ("2026/11", ["2026/11/a", "2026/11/b"]),
        ("2026/11/", ["2026/11/a", "2026/11/b"]),
        ("2026/11/a", ["2026/11/a"]),
        ("20z", ["20z"]),
        ("20z/", []),
        ("nothing/at/all", []),
    ],
)
def test_a_prefix_is_the_start_of_a_key(store: Store, prefix: str, expected: list[str]) -> None:
    for key in ("2026/11/a", "2026/11/b", "2026/12/c", "2026/1x", "20z"):
        store.write(key, [b"x"])
    assert sorted(info.key for info in store.list(prefix)) == sorted(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_sees_only_what_is_below_its_url(kind: str, request: pytest.FixtureRequest) -> None:
    outer, inner = make(kind, request, "live/"), make(kind, request, "live/eu/")
    outer.write("us/a", [b"1"])
    outer.write("eux", [b"1"])
    inner.write("a", [b"2"])
    assert [info.key for info in inner.list()] == ["a"]
    assert content(outer, "eu/a") == b"2"


def test_what_is_not_there_is_not_found(store: Store) -> None:
    store.write("a/b", [b"x"])
    for key in ("none", "a", "a/none", "a/b/none", "none/none"):
        with pytest.raises(ObjectNotFound):
            store.head(key)
        with pytest.raises(ObjectNotFound):
            content(store, key)
        with pytest.raises(ObjectNotFound):
            content(store, key, '"0123"')
        with pytest.raises(ObjectNotFound):
            store.delete(key, "0123")


def test_a_read_is_of_the_version_that_was_asked_for(store: Store) -> None:
    old = store.write("a", [b"one"])
    new = store.write("a", [b"two"], over=old.etag)
    assert new.etag != old.etag
    with pytest.raises(ObjectChanged):
        content(store, "a", old.etag)
    assert content(store, "a", new.etag) == b"two"


def test_an_existing_object_is_not_replaced_unasked(store: Store) -> None:
    info = store.write("a", [b"one"])
    with pytest.raises(ObjectExists):
        store.write("a", [b"two"])
    assert content(store, "a", info.etag) == b"one"


def test_of_two_writers_of_a_free_key_one_wins(store: Store) -> None:
    gate = threading.Barrier(2)
    lost: list[ObjectExists] = []

    def chunks(body: bytes) -> Iterator[bytes]:
        gate.wait(20)  # Both have looked by now, and found the key free.
        yield body

    def write(body: bytes) -> None:
        try:
            store.write("a", chunks(body))
        except ObjectExists as error:
            lost.append(error)

    threads = [threading.Thread(target=write, args=(body,)) for body in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(lost) == 1
    assert content(store, "a") in (b"one", b"two")


@pytest.mark.parametrize("size", [1, PART + 1])
def test_only_the_version_that_was_seen_is_written_over(store: Store, size: int) -> None:
    old = store.write("a", [b"one"])
    new = store.write("a", [b"two"], over=old.etag)
    for key, etag in (("a", old.etag), ("none", new.etag), ("none/none", new.etag), ("b", '"0"')):
        with pytest.raises(ObjectChanged):
            store.write(key, [bytes(size)], over=etag)
    assert list(store.list()) == [new]
    info = store.write("a", [bytes(size)], over=new.etag)
    assert list(store.list()) == [info]
    assert content(store, "a", info.etag) == bytes(size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, PART + 1])
@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_of_two_writers_over_one_version_the_second_loses(
    kind: str, request: pytest.FixtureRequest, size: int, change: str
) -> None:
    if kind == "object" and size > PART:
        pytest.skip("large uploads through obstore only look first")
    store = make(kind, request)
    old = store.write("a", [b"old"])

    def chunks() -> Iterator[bytes]:
        if change == "replaced":
            store.write("a", [b"theirs"], over=old.etag)
        else:
            store.delete("a", old.etag)
        yield bytes(size)

    with pytest.raises(ObjectChanged):
        store.write("a", chunks(), over=old.etag)
    assert [content(store, info.key) for info in store.list()] == (
        [b"theirs"] if change == "replaced" else []
    )


def test_only_the_named_version_is_deleted(store: Store) -> None:
    old = store.write("a/b", [b"one"])
    new = store.write("a/b", [b"two"], over=old.etag)
    with pytest.raises(ObjectChanged):
        store.delete("a/b", old.etag)
    assert content(store, "a/b") == b"two"
    done = store.delete("a/b", new.etag)
    assert (done.versions, done.others in (0, None), done.alike) == (1, True, 0)
    assert list(store.list()) == []
    with pytest.raises(ObjectNotFound):
        store.delete("a/b", new.etag)


class SourceBroke(HashmatchError):
    message = "The source broke."


@pytest.mark.parametrize(
    "failure",
    [SourceBroke(), FileNotFoundError(2, "gone"), FileExistsError(17, "x"), ValueError("x")],
)
@pytest.mark.parametrize("size", [1, 2 * PART])
@pytest.mark.parametrize("there", [False, True])
def test_a_source_that_breaks_changes_nothing_and_says_so_itself(
    store: Store, failure: Exception, size: int, there: bool
) -> None:
    over = store.write("a", [b"old"]).etag if there else None

    def source() -> Iterator[bytes]:
        yield bytes(size)
        raise failure

    with pytest.raises(type(failure)) as raised:
        store.write("a", source(), over=over)
    assert raised.value is failure
    assert [(i.key, i.size) for i in store.list()] == ([("a", 3)] if there else [])


@pytest.mark.parametrize(
    "key",
    [
        "caf\u00e9.mp4",
        "cafe\u0301.mp4",
        "emoji \U0001f600.mp4",
        "\u202eright to left",
        "a b+c%20d%2Fe&f=g?h#i",
        "quote\" apostrophe' <tag> & $(x) `y`",
        "back\\slash\\x",
        "\\x5Cx41",
        "-rf",
        "~/a",
        "{url}{0}",
        ".hidden",
        "a" * 200,
    ],
)
def test_a_key_is_any_text(store: Store, key: str) -> None:
    store.write("aaa", [b"1"])
    info = store.write(key, [b"x"])
    assert sorted(i.key for i in store.list()) == sorted(["aaa", key])
    assert [i.key for i in store.list(key)] == [key]
    assert content(store, key, info.etag) == b"x"
    store.delete(key, info.etag)
    with pytest.raises(ObjectNotFound) as gone:
        store.head(key)
    assert repr(key) in gone.value.message


@pytest.mark.parametrize("key", ["", "\\x41", "nul\0", "\udce9"])
def test_what_is_the_key_of_no_name_is_refused(store: Store, key: str) -> None:
    for use in (
        lambda: store.head(key),
        lambda: content(store, key),
        lambda: store.write(key, [b"x"]),
        lambda: store.delete(key, "0"),
    ):
        with pytest.raises(KeyRefused):
            use()


def test_a_read_that_is_given_up_leaves_the_store_usable(store: Store) -> None:
    info = store.write("a", [bytes(4 * CHUNK)])
    for _ in range(30):
        reading = store.read("a", info.etag)
        next(reading)
        reading.close()
    assert len(content(store, "a", info.etag)) == 4 * CHUNK
