"""A small S3 server on loopback: objects in memory, exclusive creation, failures on request.

What Fairy's records need of S3, and no more: PUT (also `If-None-Match: *`), GET, HEAD, LIST and
DELETE.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Bucket(ThreadingHTTPServer):
    """The server.

    Attributes:
        objects: content and time of each object, by "bucket/key".
        num_failures: so many of the next requests that write are answered with 503.
        num_lost: the same, but what they ask for is done.
        listed: the prefix of each LIST request so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.num_failures = self.num_lost = 0
        self.listed: list[str] = []
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Bucket

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""

    @property
    def _name(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str, **more: str) -> None:
        entries = {"Code": code, "Message": code} | more
        body = "".join(f"<{name}>{value}</{name}>" for name, value in entries.items())
        self._answer(status, f"<Error>{body}</Error>".encode())

    def do_PUT(self) -> None:
        body = self._body()
        with self.server.guard:
            if self.server.num_failures > 0:
                self.server.num_failures -= 1
                self._error(503, "SlowDown")
                return
            if self.headers.get("If-None-Match") == "*" and self._name in self.server.objects:
                self._error(412, "PreconditionFailed", Condition="If-None-Match")
                return
            self.server.objects[self._name] = body, datetime.now(timezone.utc)
            if self.server.num_lost > 0:
                self.server.num_lost -= 1
                self._error(503, "SlowDown")
                return
        self._answer(200, ETag=f'"{_etag(body)}"')

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while length := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return body
        content = b""
        while body:
            size, _, rest = body.partition(b"\r\n")
            length = int(size.split(b";")[0], 16)
            content, body = content + rest[:length], rest[length + 2 :] if length else b""
        return content

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list-type" in query:
            self._list(query)
        elif self._name in self.server.objects:
            self._object()
        else:
            self._error(404, "NoSuchKey")

    def do_HEAD(self) -> None:
        if self._name in self.server.objects:
            self._object()
        elif "/" not in self._name.rstrip("/"):
            self._answer(200)
        else:
            self._answer(404)

    def _object(self) -> None:
        body, when = self.server.objects[self._name]
        headers = {"Last_Modified": format_datetime(when, usegmt=True), "ETag": f'"{_etag(body)}"'}
        self._answer(200, body, Content_Length=str(len(body)), **headers)

    def _list(self, query: dict[str, list[str]]) -> None:
        bucket = self._name.rstrip("/")
        prefix = query.get("prefix", [""])[0]
        self.server.listed.append(prefix)
        delimiter = query.get("delimiter", [""])[0]
        folders, files = set(), []
        with self.server.guard:
            found = sorted(self.server.objects.items())
        for name, (body, when) in found:
            key = name.removeprefix(f"{bucket}/")
            if name == key or not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                files.append(
                    f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size><ETag>{_etag(body)}</ETag>"
                    f"<LastModified>{when.isoformat()}</LastModified></Contents>"
                )
        prefixes = (
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>"
            for one in sorted(folders)
        )
        body = (
            f"<ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>"
            f"<KeyCount>{len(files) + len(folders)}</KeyCount>{''.join(files)}{''.join(prefixes)}"
            "</ListBucketResult>"
        )
        self._answer(200, body.encode(), Content_Type="application/xml")

    def do_DELETE(self) -> None:
        with self.server.guard:
            self.server.objects.pop(self._name, None)
        self._answer(204)

    def do_POST(self) -> None:
        """Delete several objects."""
        body = self._body().decode()
        with self.server.guard:
            for part in body.split("<Key>")[1:]:
                self.server.objects.pop(f"{self._name.rstrip('/')}/{part.partition('<')[0]}", None)
        self._answer(200, b"<DeleteResult></DeleteResult>", Content_Type="application/xml")


def _etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


@contextmanager
def running() -> Iterator[Bucket]:
    """Run a server until the block ends."""
    with Bucket() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
