"""A bucket that keeps versions, by Amazon's documentation, for what moto has not: suspended versioning.

    history = History()
    history.status = "Suspended"
    server.answer = history.answer

It answers what deleting asks: HEAD, DELETE with and without versionId and If-Match, ListObjectVersions
in pages of two, GetBucketVersioning.
Source: Amazon S3 User Guide, "Deleting objects from versioning-suspended buckets".
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote, unquote, urlsplit

from fault_server import page
from s3_server import Version

PAGE = 2


@dataclass
class History:
    """status: '' (never versioned), Enabled or Suspended. keys: each one's entries, newest first."""

    status: str = ""
    keys: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    ids: itertools.count = field(default_factory=lambda: itertools.count(1))

    def put(self, key: str, body: bytes) -> str:
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        self._add(key, etag)
        return etag

    def delete(self, key: str) -> str | None:
        """What a plain DELETE does; the marker's id, if it leaves one."""
        if self.status:
            return self._add(key, None)
        self.keys.pop(key, None)
        return None

    def history(self, key: str) -> list[Version]:
        entries = self.keys.get(key, [])
        return [Version(name, etag, n == 0) for n, (name, etag) in enumerate(entries)]

    def _add(self, key: str, etag: str | None) -> str:
        name = f"v{next(self.ids)}" if self.status == "Enabled" else "null"
        rest = [one for one in self.keys.get(key, []) if one[0] != name]
        self.keys[key] = [(name, etag), *rest]
        return name

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        key = unquote(address.path).removeprefix("/").partition("/")[2]
        query = parse_qs(address.query, keep_blank_values=True)
        if request.command == "GET":
            text = self._versions(query) if "versions" in query else self._versioning()
            page(text)(request)
        elif request.command == "HEAD":
            self._head(request, key)
        elif "versionId" in query:
            rest = [one for one in self.keys.get(key, []) if one[0] != query["versionId"][0]]
            self.keys[key] = rest
            say(request, 204)
        else:
            shown = self.keys.get(key) or [("", None)]
            if request.headers["If-Match"] not in (None, shown[0][1]):
                say(request, 412 if shown[0][1] else 404)
                return
            marker = self.delete(key)
            headers = {"x-amz-version-id": marker, "x-amz-delete-marker": "true"} if marker else {}
            say(request, 204, **headers)

    def _head(self, request: BaseHTTPRequestHandler, key: str) -> None:
        entries = self.keys.get(key)
        if not entries:
            say(request, 404)
            return
        name, etag = entries[0]
        about = {"x-amz-version-id": name} if self.status else {}
        if etag is None:
            say(request, 404, **about, **{"x-amz-delete-marker": "true"})
        else:
            about |= {"ETag": etag, "Last-Modified": "Sun, 22 Nov 2026 21:04:05 GMT"}
            say(request, 200, **about)

    def _versions(self, query: dict[str, list[str]]) -> str:
        entries = [
            (key, name, etag, n == 0)
            for key in sorted(self.keys)
            for n, (name, etag) in enumerate(self.keys[key])
            if key.startswith(query["prefix"][0])
        ]
        if "key-marker" in query:
            after = (query["key-marker"][0], query["version-id-marker"][0])
            entries = entries[[one[:2] for one in entries].index(after) + 1 :]
        shown, more = entries[:PAGE], len(entries) > PAGE
        lines = []
        for key, name, etag, latest in shown:
            kind = "DeleteMarker" if etag is None else "Version"
            tag = "" if etag is None else f"<ETag>{etag}</ETag><Size>1</Size>"
            lines.append(
                f"<{kind}><Key>{quote(key)}</Key><VersionId>{name}</VersionId>{tag}"
                f"<IsLatest>{str(latest).lower()}</IsLatest></{kind}>"
            )
        if more:
            key, name = shown[-1][:2]
            lines.append(f"<NextKeyMarker>{quote(key)}</NextKeyMarker>")
            lines.append(f"<NextVersionIdMarker>{name}</NextVersionIdMarker>")
        return (
            "<ListVersionsResult><Name>clips</Name><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{''.join(lines)}</ListVersionsResult>"
        )

    def _versioning(self) -> str:
        status = f"<Status>{self.status}</Status>" if self.status else ""
        return f"<VersioningConfiguration>{status}</VersioningConfiguration>"


def say(request: BaseHTTPRequestHandler, status: int, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    if status != 204:
        request.send_header("Content-Length", "1" if status == 200 else "0")
    request.end_headers()
