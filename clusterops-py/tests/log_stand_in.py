"""A small server that stands in for a cluster of logs."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Answering(ThreadingHTTPServer):
    """Answers every search with the next of these, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, Any]] = []
        self.authorization: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Answering)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers["Content-Type"] == "application/x-ndjson":
            server.asked.append((self.path, [json.loads(line) for line in body.splitlines()]))
        else:
            server.asked.append((self.path, json.loads(body) if body else None))
        server.authorization = self.headers["Authorization"]
        status, answer = server.answers.pop(0)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def standing_in() -> Generator[Answering, None, None]:
    """A server that runs meanwhile."""
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def answering() -> Iterator[Answering]:
    with standing_in() as server:
        yield server
