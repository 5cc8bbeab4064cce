"""A Marathon with one app at most, which answers as Marathon 1.x documents it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

BEFORE = "2015-09-30T09:00:00.000Z"
AFTER = "2015-09-30T09:09:17.614Z"
DEPLOYMENT = "97c136bf-5a28-4821-9d94-480d9fbb01c8"
OTHER = "44c4ed48-ee53-4e0f-82dc-4df8b2a69057"


class StandInMarathon(ThreadingHTTPServer):
    """Listens on loopback; deployments are over when they are looked at."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.app: dict[str, Any] | None = None
        self.is_locked = False
        self.posted: list[bytes] = []
        self.authorizations: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, app: str, body: bytes) -> tuple[int, Any]:
        if self.is_locked:
            message = "App is locked by one or more deployments. Override with the option '?force=true'."
            return 409, {"message": message, "deployments": [{"id": OTHER}]}
        self.posted.append(body)
        definition = json.loads(body)
        running = definition.get("instances", 1)
        deployments: list[str] = []
        state = {"version": AFTER, "deployments": deployments, "executor": "", "instances": running}
        tasks = {"tasksRunning": running, "tasksStaged": 0, "tasksHealthy": 0, "tasksUnhealthy": 0}
        status = 200 if self.app else 201
        self.app = {**definition, "id": app, **state, **tasks}
        return status, {"version": AFTER, "deploymentId": DEPLOYMENT}


class Handler(BaseHTTPRequestHandler):
    @property
    def marathon(self) -> StandInMarathon:
        assert isinstance(self.server, StandInMarathon)
        return self.server

    def do_GET(self) -> None:
        app, path = self.marathon.app, self.path.split("?")[0]
        if path == "/v2/deployments":
            self.answer(200, [])
        elif app and path == f"/v2/apps{app['id']}":
            self.answer(200, {"app": app})
        else:
            self.answer(404, {"message": "App does not exist"})

    def do_PUT(self) -> None:
        app = self.path.split("?")[0].removeprefix("/v2/apps")
        self.answer(*self.marathon.put(app, self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, status: int, body: Any) -> None:
        self.marathon.authorizations.add(self.headers["Authorization"])
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def stand_in_marathon() -> Iterator[StandInMarathon]:
    with StandInMarathon() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
