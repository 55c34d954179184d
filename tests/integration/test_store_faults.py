"""A storage that fails: every way of it is an error of its own, soon, and never an empty answer."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fault_server import BODY, ETAG, Answer, FaultServer, by_method, give, hang, page, refuse
from s3_server import SECRET
from stores import over_obstore

from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import (
    KeyRefused,
    ObjectArchived,
    ObjectChanged,
    ObjectDenied,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
    Store,
)
from hashmatch.config import Storage
from hashmatch.errors import StorageError


@pytest.fixture(scope="module")
def the_server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.stop()


@pytest.fixture
def server(the_server: FaultServer) -> FaultServer:
    the_server.forget()
    return the_server


def hang_in_the_body(server: FaultServer) -> Answer:
    stopping = server.stopping

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("ETag", ETAG)
        request.send_header("Last-Modified", "Sun, 22 Nov 2026 21:04:05 GMT")
        request.send_header("Content-Length", str(len(BODY)))
        request.end_headers()
        request.wfile.write(BODY[:1000])
        stopping.wait(30)
        request.close_connection = True

    return answer


@cache
def make(kind: str, endpoint: str, **settings: object) -> Store:
    storage = Storage(
        url="s3://clips/",
        endpoint=endpoint,
        region="us-east-1",
        access_key_id="AKIAEXAMPLE",
        secret_access_key=SECRET,
        **{"timeout_seconds": 1, "retries": 0, **settings},
    )
    return open_store(storage, Path()) if kind == "s3" else over_obstore(storage)


@pytest.fixture(params=["s3", "object"])
def store(request: pytest.FixtureRequest, server: FaultServer) -> Store:
    return make(request.param, server.endpoint)


USES: dict[str, Callable[[Store], object]] = {
    "list": lambda store: list(store.list()),
    "head": lambda store: store.head("a"),
    "read": lambda store: list(store.read("a", ETAG)),
    "write": lambda store: store.write("a", [b"x"]),
    "delete": lambda store: store.delete("a", ETAG),
}


def check_silence(error: StorageError) -> None:
    said = f"{error.message} {error.remedy} {error.details} {error.__cause__}"
    assert not re.search(rf"{SECRET}|AKIA|Signature|Authorization", said)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "Unauthorized", ObjectDenied),
        (403, "AccessDenied", ObjectDenied),
        (403, "InvalidAccessKeyId", ObjectDenied),
        (500, "InternalError", StorageUnavailable),
        (502, "", StorageUnavailable),
        (503, "SlowDown", StorageUnavailable),
        (504, "", StorageUnavailable),
    ],
)
def test_a_refusal_is_told_for_what_it_is(
    server: FaultServer,
    store: Store,
    use: str,
    status: int,
    code: str,
    expected: type[StorageError],
) -> None:
    server.answer = refuse(status, code)
    with pytest.raises(expected) as raised:
        USES[use](store)
    check_silence(raised.value)


@pytest.mark.parametrize(
    ("use", "status", "expected"),
    [
        ("head", 404, ObjectNotFound),
        ("read", 404, ObjectNotFound),
        ("delete", 404, ObjectNotFound),
        ("read", 412, ObjectChanged),
        ("read", 304, ObjectChanged),
    ],
)
def test_an_object_that_went_or_changed_is_told(
    server: FaultServer, store: Store, use: str, status: int, expected: type[StorageError]
) -> None:
    server.answer = refuse(status)
    with pytest.raises(expected):
        USES[use](store)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ExpiredToken", ObjectDenied),
        (507, "XMinioStorageFull", StorageFull),
        (403, "QuotaExceeded", StorageFull),
        (412, "PreconditionFailed", ObjectExists),
        (409, "ConditionalRequestConflict", StorageUnavailable),
        (501, "NotImplemented", StorageError),
        (400, "MalformedXML", StorageError),
    ],
)
def test_s3_refuses_a_write(
    server: FaultServer, status: int, code: str, expected: type[StorageError]
) -> None:
    server.answer = by_method(HEAD=refuse(404), PUT=refuse(status, code))
    with pytest.raises(expected) as raised:
        make("s3", server.endpoint).write("a", [b"x"])
    assert type(raised.value) is expected
    check_silence(raised.value)
    assert server.asked[-1][2]["if-none-match"] == "*"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (412, "PreconditionFailed", ObjectChanged),
        (404, "NoSuchKey", ObjectChanged),
        (409, "ConditionalRequestConflict", StorageUnavailable),
        (501, "NotImplemented", StorageError),
    ],
)
def test_s3_refuses_a_write_over_a_version(
    server: FaultServer, status: int, code: str, expected: type[StorageError]
) -> None:
    server.answer = by_method(HEAD=give(), PUT=refuse(status, code))
    with pytest.raises(expected) as raised:
        make("s3", server.endpoint).write("a", [b"x"], over=ETAG)
    assert type(raised.value) is expected
    assert server.asked[-1][2]["if-match"] == ETAG
    assert "if-none-match" not in server.asked[-1][2]


def test_an_archived_object_is_told(server: FaultServer) -> None:
    server.answer = refuse(403, "InvalidObjectState")
    with pytest.raises(ObjectArchived, match="archived"):
        list(make("s3", server.endpoint).read("a"))


@pytest.mark.parametrize("use", USES)
@pytest.mark.timeout(20)
def test_a_storage_that_does_not_answer_is_given_up(
    server: FaultServer, store: Store, use: str
) -> None:
    server.answer = hang(server)
    with pytest.raises(StorageUnavailable):
        USES[use](store)


@pytest.mark.parametrize("kind", ["s3", "object"])
@pytest.mark.parametrize("use", USES)
def test_a_storage_that_is_down_is_told(kind: str, use: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        endpoint = f"http://127.0.0.1:{once.getsockname()[1]}"
    with pytest.raises(StorageUnavailable) as raised:
        USES[use](make(kind, endpoint))
    check_silence(raised.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("send", [0, 1, 1_500_000])
def test_a_body_that_breaks_off_is_no_body(server: FaultServer, store: Store, send: int) -> None:
    server.answer = give(send=send)
    with pytest.raises(StorageUnavailable):
        list(store.read("a", ETAG))


@pytest.mark.timeout(20)
def test_a_body_that_stops_coming_is_given_up(server: FaultServer, store: Store) -> None:
    server.answer = hang_in_the_body(server)
    with pytest.raises(StorageUnavailable):
        list(store.read("a", ETAG))


def test_a_slow_but_steady_body_is_read_whole(server: FaultServer, store: Store) -> None:
    def slowly(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("ETag", ETAG)
        request.send_header("Last-Modified", "Sun, 22 Nov 2026 21:04:05 GMT")
        request.send_header("Content-Length", "16")
        request.end_headers()
        for n in range(16):
            request.wfile.write(bytes([n]))
            request.wfile.flush()
            time.sleep(0.1)

    server.answer = slowly
    assert b"".join(store.read("a", ETAG)) == bytes(range(16))


def test_a_server_that_ignores_the_condition_gives_no_other_version(
    server: FaultServer, store: Store
) -> None:
    server.answer = give(etag='"another"')
    with pytest.raises(ObjectChanged):
        list(store.read("a", ETAG))
    assert server.asked[-1][2]["if-match"] == ETAG


@pytest.mark.parametrize("kind", ["s3", "object"])
@pytest.mark.parametrize("pin", [True, False])
def test_a_body_that_breaks_off_is_taken_up_where_it_broke(
    server: FaultServer, kind: str, pin: bool
) -> None:
    def broken_twice(request: BaseHTTPRequestHandler) -> None:
        asked = re.match(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        give(send=None if len(server.asked) == 3 else 800_000, start=start)(request)

    server.answer = broken_twice
    store = make(kind, server.endpoint, retries=3)
    assert b"".join(store.read("a", ETAG if pin else None)) == BODY
    assert len(server.asked) == 3
    assert all(headers.get("if-match") == ETAG for _, _, headers in server.asked[1:])


def test_what_changed_between_two_parts_of_a_read_is_told(server: FaultServer) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        first = len(server.asked) == 1
        (give(send=800_000) if first else refuse(412))(request)

    server.answer = answer
    with pytest.raises(ObjectChanged):
        list(make("s3", server.endpoint, retries=3).read("a", ETAG))


@pytest.mark.parametrize("start", [0, 5])
def test_a_part_that_was_not_asked_for_is_not_joined(server: FaultServer, start: int) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        first = len(server.asked) == 1
        (give(send=800_000) if first else give(start=start))(request)

    server.answer = answer
    with pytest.raises(StorageUnavailable, match="part"):
        list(make("s3", server.endpoint, retries=3).read("a", ETAG))


def test_a_passing_fault_is_tried_again(server: FaultServer) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        (refuse(503, "SlowDown") if len(server.asked) < 3 else give())(request)

    server.answer = answer
    assert make("s3", server.endpoint, retries=3).head("a").size == len(BODY)


def test_without_retries_nothing_is_tried_again(server: FaultServer, store: Store) -> None:
    server.answer = refuse(503)
    with pytest.raises(StorageUnavailable):
        store.head("a")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        page("<html><body>Welcome to the hotel</body></html>", "text/html"),
        page("<?xml version='1.0'?><Other/>"),
        page(""),
        page("{}", "application/json"),
        page("<ListBucketResult><Name>clips</Name><IsTruncated>false</IsTruncated><Conte"),
    ],
    ids=["html", "xml", "empty", "json", "cut"],
)
def test_what_is_no_listing_is_not_an_empty_one(server: FaultServer, answer: Answer) -> None:
    server.answer = answer
    with pytest.raises(StorageUnavailable):
        list(make("s3", server.endpoint).list())


@pytest.mark.parametrize("use", ["head", "read", "delete"])
def test_an_answer_without_a_version_is_not_taken(server: FaultServer, use: str) -> None:
    server.answer = page("Welcome to the hotel", "text/html")
    with pytest.raises(StorageUnavailable, match="not S3"):
        USES[use](make("s3", server.endpoint))


LISTING = (
    "<ListBucketResult><Name>clips</Name><IsTruncated>true</IsTruncated>{token}"
    "<Contents><Key>a</Key><ETag>&quot;1&quot;</ETag><Size>1</Size>"
    "<LastModified>2026-11-22T21:04:05.000Z</LastModified></Contents></ListBucketResult>"
)


def test_a_listed_name_that_is_not_utf8_is_told_when_it_is_read(server: FaultServer) -> None:
    text = LISTING.replace("<Key>a<", "<Key>caf%E9+%2B<").replace("true<", "false<")
    server.answer = page(text.format(token="<EncodingType>url</EncodingType>"))
    store = make("s3", server.endpoint)
    (found,) = store.list()
    assert found.key == "caf\\xE9 +"
    with pytest.raises(KeyRefused, match="UTF-8"):
        list(store.read(found.key))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("token", ["", "<NextContinuationToken>x</NextContinuationToken>"])
def test_a_listing_that_leads_nowhere_is_not_whole(server: FaultServer, token: str) -> None:
    server.answer = page(LISTING.format(token=token))
    with pytest.raises(StorageError, match="page"):
        list(make("s3", server.endpoint).list())


def test_a_failure_on_the_second_page_is_told(server: FaultServer) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        token = "<NextContinuationToken>x</NextContinuationToken>"
        first = len(server.asked) == 1
        (page(LISTING.format(token=token)) if first else refuse(500))(request)

    server.answer = answer
    seen = []
    with pytest.raises(StorageUnavailable):
        seen.extend(info.key for info in make("s3", server.endpoint).list())
    assert seen == ["a"]


def test_a_write_that_another_one_overtook_is_told(server: FaultServer) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        give(b"", etag='"mine"' if request.command == "PUT" else '"theirs"')(request)

    server.answer = answer
    with pytest.raises(ObjectChanged):
        make("s3", server.endpoint).write("a", [b""], over='"theirs"')
