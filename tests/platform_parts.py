"""A platform for tests: cases in a real database, and a real HTTP server that answers as it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from hashmatch.custody.notify import outbox
from hashmatch.custody.notify.platform import Clock
from hashmatch.db.schema import CaseRow, ClipRow, LeafRow, OutboxRow, RunRow
from hashmatch.db.session import Database

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "2026/11/somebody's \\xE9 clip.mp4"
ETAG = "9e107d9d372bb6826bd81d3542a419d6"
SHA256 = "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592"
AT = datetime(2026, 11, 22, 21, 4, 5, 678901, tzinfo=UTC)

Answering = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Asked:
    """A request as it came. genuine: a verifier that others wrote accepts its signature."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    genuine: bool

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Gives `answers` one after the other, the last one from then on, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Answering] = [say(200)]
        self.stopping = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                asked = Asked(self.command, self.path, headers, body, genuine(headers, body))
                outer.asked.append(asked)
                answers = outer.answers
                (answers.pop(0) if len(answers) > 1 else answers[0])(self)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                """Clients hang up here as often as servers do."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/clips?of=us"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def hang(self) -> Answering:
        def answer(request: BaseHTTPRequestHandler) -> None:
            self.stopping.wait(30)
            request.close_connection = True

        return answer


def genuine(headers: dict[str, str], body: bytes) -> bool:
    try:
        Verifier(SECRET).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def say(code: int, said: Any = None, **headers: str) -> Answering:
    """An answer with JSON, or with text or bytes as they are; `_` in headers' names is `-`."""
    content = said if isinstance(said, bytes) else b"" if said is None else str(said).encode()
    if isinstance(said, dict | list):
        content = json.dumps(said).encode()
        headers.setdefault("content_type", "application/json")

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        if code != 204:
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def cut(sent: bytes = b"") -> Answering:
    """The connection is cut after some bytes of the answer, or before any."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(sent)
        request.wfile.flush()
        request.connection.shutdown(socket.SHUT_RDWR)
        request.close_connection = True

    return answer


@dataclass
class Slept:
    """A clock that is set by hand; sleeping on it takes no time."""

    wall: datetime = AT
    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.go_on(seconds)

    def go_on(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.seconds, self.sleep)


class Cases:
    """Cases of a database, as far as the outbox knows them."""

    def __init__(self, db: Database) -> None:
        self.db = db
        with db.write() as session:
            session.add(
                RunRow(
                    id="run-1",
                    kind="scan",
                    selection={},
                    status="running",
                    started_at=AT,
                    software="hashmatch 0",
                    recipes={},
                    lists={},
                )
            )

    def open(self, name: str = "case-a", etag: str = ETAG, key: str = KEY) -> str:
        with self.db.write() as session:
            clip = session.scalar(select(ClipRow).where(ClipRow.key == key))
            if clip is None:
                clip = ClipRow(key=key, etag=etag, size=7, modified=AT, platform_id="c-1234")
                session.add(clip)
                session.flush()
            session.add(
                CaseRow(
                    id=name,
                    clip_id=clip.id,
                    run_id="run-1",
                    clip_key=key,
                    etag=etag,
                    size=7,
                    sha256=SHA256,
                    state="verified",
                    detected_at=AT,
                    vault_key=f"aa/{name}.age",
                )
            )
        return name

    def put(self, case: str, kind: str = outbox.Kind.WITHDRAW, at: datetime = AT) -> str:
        with self.db.write() as session:
            row = session.get_one(CaseRow, case)
            return outbox.put(session, kind, row, session.get_one(ClipRow, row.clip_id), at)

    def reopen(self, case: str, **changes: Any) -> None:
        with self.db.write() as session:
            row = session.get_one(CaseRow, case)
            for name, value in changes.items():
                setattr(row, name, value)

    def row(self, message: str) -> OutboxRow:
        with self.db.read() as session:
            return session.get_one(OutboxRow, message)

    def leaves(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The bodies of the leaves of a kind; without one, whole leaves."""
        with self.db.read() as session:
            rows = session.scalars(select(LeafRow).order_by(LeafRow.seq))
            leaves = [json.loads(row.body) for row in rows]
        return leaves if kind is None else [one["body"] for one in leaves if one["kind"] == kind]

    def log(self) -> str:
        return json.dumps(self.leaves())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture
def cases(db: Database) -> Cases:
    return Cases(db)


@pytest.fixture
def sqlite_cases(sqlite_db: Database) -> Cases:
    return Cases(sqlite_db)
