"""An HTTP server that answers what a test wants of it: refusals, bodies that break off, silence.

server = FaultServer()
server.answer = refuse(503, "SlowDown")
server.answer = forward("http://127.0.0.1:5000")     # a real S3 server behind it
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, unescape

from s3_server import SECRET

QUOTE = {"&quot;": '"', "&#34;": '"'}
BODY = bytes(range(256)) * 8192
ETAG = '"0123456789abcdef"'
Answer = Callable[[BaseHTTPRequestHandler], None]


class FaultServer:
    """Answers every request with `answer`, and keeps what was asked."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.forget()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Or each answer waits 40 ms for its header to be acknowledged.
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append((self.command, self.path, headers))
                self.rfile.read(int(headers.get("content-length", 0)))
                outer.answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                """Clients hang up here as often as servers do."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def forget(self) -> None:
        """As new; requests that hang are let go."""
        self.stopping.set()
        self.stopping = threading.Event()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.answer: Answer = refuse(500)

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


def refuse(status: int, code: str = "") -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        text = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>"
        body = b"" if status in (204, 304) else text.encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/xml")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    return answer


def by_method(**answers: Answer) -> Answer:
    """Each method's own answer: by_method(HEAD=give(), PUT=refuse(412))."""
    return lambda request: answers[request.command](request)


def give(
    body: bytes = BODY, *, send: int | None = None, etag: str = ETAG, start: int = 0
) -> Answer:
    """An object, of whose body only `send` bytes come before the connection is cut."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(206 if start else 200)
        request.send_header("ETag", etag)
        request.send_header("Last-Modified", "Sun, 22 Nov 2026 21:04:05 GMT")
        request.send_header("Content-Length", str(len(body) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.end_headers()
        if request.command == "HEAD":
            return
        request.wfile.write(body[start : len(body) if send is None else start + send])
        if send is not None:
            hang_up(request)

    return answer


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.wfile.flush()
    request.connection.shutdown(socket.SHUT_RDWR)
    request.close_connection = True


def page(text: str, kind: str = "application/xml") -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(text.encode())

    return answer


def hang(server: FaultServer) -> Answer:
    stopping = server.stopping

    def answer(request: BaseHTTPRequestHandler) -> None:
        stopping.wait(30)
        request.close_connection = True

    return answer


Rename = Callable[[str], str]


def forward(
    endpoint: str, *, send: int | None = None, listed: Rename = str, given: Rename = str
) -> Answer:
    """What the server behind says, of whose bodies only `send` bytes come.

    listed, given: what becomes of the ETags in listings, and in the headers of other answers. A weak
    one satisfies no If-Match.
    """
    address = urlsplit(endpoint)
    assert address.hostname is not None

    def answer(request: BaseHTTPRequestHandler) -> None:
        condition = request.headers.get("If-Match")
        if condition is not None and given('""').startswith("W/"):
            refuse(412, "PreconditionFailed")(request)
            return
        behind = HTTPConnection(str(address.hostname), address.port, timeout=30)
        try:
            behind.request(request.command, request.path, headers=dict(request.headers))
            said = behind.getresponse()
            body = said.read()
        finally:
            behind.close()
        if b"<ListBucketResult" in body[:300]:
            body = re.sub(
                rb"(?<=<ETag>)[^<]*",
                lambda found: escape(listed(unescape(found[0].decode(), QUOTE))).encode(),
                body,
            )
        request.send_response(said.status)
        for name, value in said.getheaders():
            if name.lower() == "etag":
                value = given(value)
            elif name.lower() == "content-length" and request.command != "HEAD":
                value = str(len(body))
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body[:send])
        if send is not None and request.command != "HEAD":
            hang_up(request)

    return answer
