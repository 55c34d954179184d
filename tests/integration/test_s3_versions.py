"""Deleting where a bucket keeps versions: the bytes go, all of them, and nothing else does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fault_server import ETAG, Answer, FaultServer, by_method, forward, give, page, refuse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_history import History
from s3_server import Bucket, S3Server

from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import (
    Deletion,
    ObjectChanged,
    ObjectDenied,
    ObjectNotFound,
    StorageUnavailable,
    Store,
    VersionsRemain,
)


@pytest.fixture(scope="module")
def the_server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.stop()


@pytest.fixture
def server(the_server: FaultServer) -> FaultServer:
    the_server.forget()
    return the_server


@pytest.fixture
def versioned(s3: Bucket) -> Bucket:
    s3.keep_versions()
    return s3


def make(bucket: Bucket, server: FaultServer | None = None) -> Store:
    """The bucket as a store, through that server if one is given."""
    reached = replace(bucket, endpoint=server.endpoint) if server else bucket
    return open_store(reached.storage(), Path())


def through(server: FaultServer, bucket: Bucket, refusing: Callable[[str, str], Answer | None]):
    """The bucket's store, behind a server that refuses some requests, told by method and query."""
    behind = forward(bucket.endpoint)

    def answer(request: BaseHTTPRequestHandler) -> None:
        query = request.path.partition("?")[2]
        (refusing(request.command, query) or behind)(request)

    server.answer = answer
    return make(bucket, server)


def etags(bucket: Bucket | History, key: str = "a") -> list[str | None]:
    return [one.etag for one in bucket.history(key)]


def shown(store: Store, key: str) -> str | None:
    try:
        return store.head(key).etag
    except ObjectNotFound:
        return None


def test_the_bytes_go_and_not_only_the_name(versioned: Bucket) -> None:
    bad = versioned.put("a", b"bad")
    assert make(versioned).delete("a", bad) == Deletion(versions=1, others=0)
    assert versioned.history("a") == []


def test_what_is_older_than_the_versioning_goes_too(s3: Bucket) -> None:
    bad = s3.put("a", b"bad")
    s3.keep_versions()
    s3.put("a", b"bad")
    assert make(s3).delete("a", bad) == Deletion(versions=2, others=0)
    assert s3.history("a") == []


def test_older_versions_with_other_bytes_stay_and_are_not_laid_bare(versioned: Bucket) -> None:
    for body in (b"oth", b"bad", b"another", b"bad", b"bad"):
        bad = versioned.put("a", body)
    store = make(versioned)
    assert store.delete("a", bad) == Deletion(versions=3, others=2, alike=1)
    assert sorted(filter(None, etags(versioned))) == sorted(
        [versioned.put("b", b"oth"), versioned.put("c", b"another")]
    )
    assert shown(store, "a") is None


def test_a_deleted_clip_can_be_put_back_at_its_old_key(versioned: Bucket) -> None:
    versioned.put("a", b"older")
    store = make(versioned)
    bad = versioned.put("a", b"bad")
    store.delete("a", bad)
    info = store.write("a", [b"bad"])
    assert info.etag == bad
    assert b"".join(store.read("a", bad)) == b"bad"


def test_what_the_platform_deleted_is_found_beneath_its_marker(versioned: Bucket) -> None:
    bad = versioned.put("a", b"bad")
    versioned.client.delete_object(Bucket=versioned.name, Key="a")
    store = make(versioned)
    assert store.delete("a", bad) == Deletion(versions=1, others=0)
    assert versioned.history("a") == []
    with pytest.raises(ObjectNotFound):
        store.delete("a", bad)


def test_versions_beneath_another_one_go_and_the_other_stays(versioned: Bucket) -> None:
    bad = versioned.put("a", b"bad")
    new = versioned.put("a", b"new")
    for _ in range(2):
        with pytest.raises(ObjectChanged):
            make(versioned).delete("a", bad)
        assert etags(versioned) == [new]


@pytest.mark.parametrize("key", ["a+b c%2B%20", "caf\u00e9/\U0001f600", "a//b", "x&y=z?"])
def test_a_key_is_told_from_those_that_begin_with_it(versioned: Bucket, key: str) -> None:
    others = [f"{key}{more}" for more in ("+", "/", "/b", " ", "\u00e9")] + [key[:-1]]
    for name in (key, *others, key):
        bad = versioned.put(name, b"bad")
    assert make(versioned).delete(key, bad).versions == 2
    assert versioned.history(key) == []
    assert all(etags(versioned, name) == [bad] for name in others)


def test_all_pages_of_versions_are_looked_at(
    versioned: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for n in range(10):
        bad = versioned.put("a", b"bad")
        versioned.put("a", b"other %d" % n)
        versioned.put(f"a{n}", b"bad")
    with pytest.raises(ObjectChanged):
        make(versioned).delete("a", bad)
    monkeypatch.delenv("MOTO_S3_DEFAULT_MAX_KEYS")
    assert len(etags(versioned)) == 10
    assert bad not in etags(versioned)
    assert all(etags(versioned, f"a{n}") == [bad] for n in range(10))


def test_the_same_bytes_in_other_parts_are_told_of(versioned: Bucket) -> None:
    body = bytes(6 << 20)
    whole = versioned.put("a", body)
    target = {"Bucket": versioned.name, "Key": "a"}
    upload = versioned.client.create_multipart_upload(**target)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": versioned.client.upload_part(
                PartNumber=number, Body=part, UploadId=upload, **target
            )["ETag"],
        }
        for number, part in ((1, body[: 5 << 20]), (2, body[5 << 20 :]))
    ]
    bad = versioned.client.complete_multipart_upload(
        UploadId=upload, MultipartUpload={"Parts": parts}, **target
    )["ETag"]
    assert bad != whole
    assert make(versioned).delete("a", bad) == Deletion(versions=1, others=1, alike=1)
    assert whole in etags(versioned)


LISTING_REFUSED = [(403, "AccessDenied"), (501, "NotImplemented"), (405, "MethodNotAllowed")]


def no_listing(refusal: Answer, *, may_ask: bool) -> Callable[[str, str], Answer | None]:
    """Refuses ListObjectVersions and, unless one may ask, GetBucketVersioning."""

    def refusing(method: str, query: str) -> Answer | None:
        listing = "versions" in query.split("&") or (not may_ask and "versioning" in query)
        return refusal if listing else None

    return refusing


@pytest.mark.parametrize(("status", "code"), LISTING_REFUSED)
@pytest.mark.parametrize("may_ask", [True, False])
def test_versions_that_cannot_be_listed_are_not_taken_for_none(
    server: FaultServer, versioned: Bucket, status: int, code: str, may_ask: bool
) -> None:
    for body in (b"bad", b"other", b"bad"):
        bad = versioned.put("somebody", body)
    refusing = no_listing(refuse(status, code), may_ask=may_ask)
    store = through(server, versioned, refusing)
    for _ in range(2):
        with pytest.raises(VersionsRemain, match=f"cannot be listed .HTTP {status}") as raised:
            store.delete("somebody", bad)
        assert "s3:ListBucketVersions" in raised.value.remedy
        assert "somebody" not in raised.value.details["problem"]
        assert shown(store, "somebody") != bad
        assert etags(versioned, "somebody").count(bad) == 1
    store = make(versioned)
    if may_ask:
        assert store.delete("somebody", bad) == Deletion(versions=1, others=1)
    else:
        # Whether a plain DELETE takes other bytes was not known, so the key was not hidden.
        with pytest.raises(ObjectChanged):
            store.delete("somebody", bad)
    assert etags(versioned, "somebody").count(bad) == 0


@pytest.mark.parametrize(("status", "code"), LISTING_REFUSED)
@pytest.mark.parametrize("may_ask", [True, False])
def test_a_bucket_that_never_kept_versions_needs_no_more_permissions(
    server: FaultServer, s3: Bucket, status: int, code: str, may_ask: bool
) -> None:
    bad = s3.put("a", b"bad")
    s3.put("ab", b"bad")

    store = through(server, s3, no_listing(refuse(status, code), may_ask=may_ask))
    assert store.delete("a", bad) == Deletion(versions=1, others=0)
    assert s3.keys() == ["ab"]
    with pytest.raises(ObjectNotFound):
        store.delete("a", bad)
    new = s3.put("a", b"new")
    with pytest.raises(ObjectChanged):
        store.delete("a", bad)
    assert s3.objects()["a"] == b"new"
    assert store.delete("a", new).versions == 1


def test_versions_that_may_not_be_removed_are_hidden_and_counted(
    server: FaultServer, versioned: Bucket
) -> None:
    for body in (b"bad", b"other", b"bad"):
        bad = versioned.put("a", body)
    denied = refuse(403, "AccessDenied")
    rules = [lambda method, query: denied if method == "DELETE" and query else None]
    store = through(server, versioned, lambda method, query: rules[0](method, query))
    for _ in range(2):
        with pytest.raises(VersionsRemain) as raised:
            store.delete("a", bad)
        assert raised.value.details["count"] == 2
        assert raised.value.details["problem"] == "HTTP 403 AccessDenied"
        assert "s3:DeleteObjectVersion" in raised.value.remedy
        assert shown(store, "a") is None
    assert etags(versioned).count(None) == 1
    rules[0] = lambda method, query: None
    assert store.delete("a", bad) == Deletion(versions=2, others=1)


def test_a_key_that_may_not_be_hidden_is_denied(server: FaultServer, versioned: Bucket) -> None:
    bad = versioned.put("a", b"bad")
    denied = refuse(403, "AccessDenied")
    store = through(server, versioned, lambda method, query: denied if method == "DELETE" else None)
    with pytest.raises(ObjectDenied):
        store.delete("a", bad)
    assert etags(versioned) == [bad]


def test_a_storage_that_fails_anywhere_is_asked_again_and_ends_the_same(
    server: FaultServer, s3_server: S3Server
) -> None:
    for failing in itertools.count(1):
        bucket = s3_server.bucket()
        other = bucket.put("a", b"other")
        bucket.keep_versions()
        for body in (b"bad", b"bad"):
            bad = bucket.put("a", body)
        count = itertools.count(1)
        store = through(
            server,
            bucket,
            lambda *_, count=count, failing=failing: (
                refuse(500) if next(count) == failing else None
            ),
        )
        try:
            store.delete("a", bad)
        except StorageUnavailable:
            # If all was done, and only that could not be seen, nothing is there any more.
            with suppress(ObjectNotFound):
                store.delete("a", bad)
        else:
            break
        assert sorted(etags(bucket), key=str) == [other, None]
    assert failing > 5


def test_a_version_that_stays_is_not_deleted(server: FaultServer, versioned: Bucket) -> None:
    bad = versioned.put("a", b"bad")
    lies = refuse(204)
    store = through(server, versioned, lambda method, query: lies if method == "DELETE" else None)
    with pytest.raises(StorageUnavailable, match="still there"):
        store.delete("a", bad)


def test_a_list_of_versions_that_lacks_the_newest_is_not_believed(
    server: FaultServer, versioned: Bucket
) -> None:
    bad = versioned.put("a", b"bad")
    none = page(
        "<ListBucketResult><Name>x</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
    )
    store = through(server, versioned, lambda method, query: none if "versions" in query else None)
    with pytest.raises(VersionsRemain, match="lacks"):
        store.delete("a", bad)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("marker", ["", "<NextKeyMarker>a</NextKeyMarker>"])
def test_pages_of_versions_that_lead_nowhere_are_not_all(
    server: FaultServer, versioned: Bucket, marker: str
) -> None:
    bad = versioned.put("a", b"bad")
    text = f"<ListVersionsResult><Name>x</Name><IsTruncated>true</IsTruncated>{marker}"
    one = page(text + "</ListVersionsResult>")
    store = through(server, versioned, lambda method, query: one if "versions" in query else None)
    with pytest.raises(VersionsRemain, match="no address"):
        store.delete("a", bad)


def test_a_server_without_conditional_deletes_is_asked_without(
    server: FaultServer, s3: Bucket
) -> None:
    bad = s3.put("a", b"bad")
    behind = forward(s3.endpoint)

    def answer(request: BaseHTTPRequestHandler) -> None:
        (refuse(501) if "If-Match" in request.headers else behind)(request)

    server.answer = answer
    assert make(s3, server).delete("a", bad).versions == 1
    assert s3.keys() == []
    assert "if-match" in next(headers for method, _, headers in server.asked if method == "DELETE")


def test_an_object_that_stays_is_not_deleted(server: FaultServer, s3: Bucket) -> None:
    server.answer = by_method(HEAD=give(), GET=refuse(403), DELETE=refuse(204))
    with pytest.raises(StorageUnavailable, match="still there"):
        make(s3, server).delete("a", ETAG)


BODIES = [b"x", b"y"]
KEYS = ["a", "a/b"]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.sampled_from(BODIES)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS)),
        st.tuples(st.just("versioning"), st.sampled_from(["Enabled", "Suspended"])),
    ),
    min_size=1,
    max_size=9,
)


def check_deletion(bucket: Bucket | History, store: Store, key: str, bad: str) -> None:
    """Delete, and compare all that is stored before and after, under both keys."""
    before = {name: bucket.history(name) for name in KEYS}
    mine = [one for one in before[key] if one.etag == bad]
    others = [one for one in before[key] if one.etag not in (bad, None)]
    current = shown(store, key)
    try:
        done: Deletion | None = store.delete(key, bad)
    except ObjectNotFound:
        done = None
        assert not mine
    except ObjectChanged:
        done = None
        assert current not in (bad, None)
    else:
        assert (done.versions, done.others) == (len(mine), len(others))
        assert mine
        assert current in (bad, None)
    for name in KEYS:
        wanted = {one.id: one.etag for one in before[name] if one.etag is not None}
        if name == key:
            wanted = {name: etag for name, etag in wanted.items() if etag != bad}
        found = {one.id: one.etag for one in bucket.history(name) if one.etag is not None}
        assert found == wanted
    if current in (bad, None):
        taken = any(one.id == "null" for one in others)
        assert shown(store, key) is None or (current == bad and taken)
    else:
        assert shown(store, key) == current
    with pytest.raises((ObjectNotFound, ObjectChanged)):
        store.delete(key, bad)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(before=steps, key=st.sampled_from(KEYS), body=st.sampled_from(BODIES))
def test_whatever_happened_to_a_key_its_bytes_go_and_no_others(
    s3_server: S3Server, before: list[tuple], key: str, body: bytes
) -> None:
    bucket = s3_server.bucket()
    bad = bucket.put("elsewhere", body)
    for step in before:
        match step:
            case ("put", name, some):
                bucket.put(name, some)
            case ("delete", name):
                bucket.client.delete_object(Bucket=bucket.name, Key=name)
            case ("versioning", "Enabled"):
                bucket.keep_versions()
    check_deletion(bucket, make(bucket), key, bad)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(before=steps, key=st.sampled_from(KEYS), body=st.sampled_from(BODIES))
def test_so_they_do_when_versioning_was_suspended(
    server: FaultServer, before: list[tuple], key: str, body: bytes
) -> None:
    history = History()
    server.answer = history.answer
    bad = history.put("elsewhere", body)
    for step in before:
        match step:
            case ("put", name, some):
                history.put(name, some)
            case ("delete", name):
                history.delete(name)
            case ("versioning", status):
                history.status = status
    check_deletion(history, over_history(server), key, bad)


@cache
def over_history(server: FaultServer) -> Store:
    return make(Bucket("clips", server.endpoint, None))


def test_unlisted_versions_with_other_bytes_are_not_laid_bare(server: FaultServer) -> None:
    history = History(status="Enabled")
    older = history.put("a", b"older")
    history.status = "Suspended"
    bad = history.put("a", b"bad")
    answer = history.answer
    server.answer = by_method(HEAD=answer, GET=refuse(403, "AccessDenied"), DELETE=answer)
    with pytest.raises(VersionsRemain):
        over_history(server).delete("a", bad)
    assert etags(history) == [None, older]


def test_a_page_that_ends_with_another_key_is_the_last(server: FaultServer) -> None:
    """Though its version has the same id as the one that the page before ended with: null."""
    history = History(status="Enabled")
    server.answer = history.answer
    history.put("a", b"bad")
    history.status = "Suspended"
    bad = history.put("a", b"bad")
    history.status = "Enabled"
    history.put("a", b"new")
    history.status = "Suspended"
    for more in ("1", "2", "3"):
        history.put(f"a{more}", b"bad")
    with pytest.raises(ObjectChanged):
        over_history(server).delete("a", bad)
    assert bad not in etags(history)


def test_with_suspended_versioning_no_other_bytes_are_overwritten(server: FaultServer) -> None:
    history = History()
    server.answer = history.answer
    other = history.put("a", b"other")
    history.status = "Enabled"
    bad = history.put("a", b"bad")
    history.status = "Suspended"
    assert over_history(server).delete("a", bad) == Deletion(versions=1, others=1, alike=1)
    assert etags(history) == [other]


@pytest.mark.parametrize("status", ["", "Enabled", "Suspended"])
def test_unlisted_versions_are_finished_only_where_there_never_were_any(
    server: FaultServer, status: str
) -> None:
    history = History()
    history.put("a", b"older")
    history.status = status
    bad = history.put("a", b"bad")

    answer = history.answer
    server.answer = by_method(HEAD=answer, GET=refuse(403, "AccessDenied"), DELETE=answer)
    if status:
        with pytest.raises(VersionsRemain):
            over_history(server).delete("a", bad)
    else:
        assert over_history(server).delete("a", bad) == Deletion(versions=1, others=0)
    assert bad not in etags(history)
