"""What is logged comes to Python's `logging`: of which loggers, at which levels, and no secret in it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import clusterops as co
import pytest
from clusterops.logs import Client
from clusterops.testing import SimulatedAnswer, SimulatedCommand, SimulatedFleet

Simulated = Callable[..., SimulatedFleet]
ANSWERS: dict[str, str | SimulatedAnswer] = {"app migrate": "the output\n", "false": SimulatedAnswer(status=1)}


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "clusterops")


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[tuple[str, str]]:
    return [(record.name, record.getMessage()) for record in caplog.records if record.levelno == level]


class Vault:
    def secret(self, target: co.Target, purpose: co.Purpose) -> str:
        return "hunter2"


def test_a_run_is_told_without_its_commands_and_secrets(
    simulated_fleet: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
    simulated = simulated_fleet("web[1-2]", answers=ANSWERS)
    plan = co.Plan("migrate").shell("migrate", "app migrate", secret_env={"PASSWORD": "db"}, env={"MODE": "careful"})
    run = co.Fleet(simulated.targets, credentials=Vault()).start(plan)
    assert run.report().is_success
    # All of it is there when the call that waited for it is over.
    assert told(caplog, logging.INFO) == [
        ("clusterops.ssh", f"run {run.id} of plan `migrate` on 2 hosts begins"),
        ("clusterops.ssh", f"run {run.id} is over: migrate: 2 of 2 hosts succeeded"),
    ]
    steps = told(caplog, logging.DEBUG)
    assert {name for name, _ in steps} == {"clusterops.ssh"}
    for host in ("web1", "web2"):
        of_host = [text for _, text in steps if text.startswith(f"{host}: ")]
        assert of_host[0].endswith(": accepted") and "connected to 127." in of_host[1], of_host
        assert of_host[-1] == f"{host}: the connection is closed"
    everything = "\n".join(text for _, text in [*told(caplog, logging.INFO), *steps])
    for hidden in ("hunter2", "app migrate", "the output", "careful"):
        assert hidden not in everything
    record = caplog.records[0]
    assert record.filename.endswith(".rs") and record.lineno > 0


def test_what_is_tried_again_and_what_is_to_be_known(
    simulated_fleet: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
    simulated = simulated_fleet("web[1-2]", answers=ANSWERS)
    simulated["web2"].fault("refuse")
    fleet = co.Fleet(simulated.targets, connection_attempts=2, rollout=co.Rollout(canaries="web2"))
    report = fleet.run(co.Plan("p").shell("run", "false"))
    assert told(caplog, logging.WARNING) == [
        ("clusterops.ssh", f"run {report.run_id}: {warning}") for warning in report.warnings
    ]
    assert report.warnings == ["the canary web2 failed"]
    [again] = [text for _, text in told(caplog, logging.DEBUG) if "attempt 1 to connect failed" in text]
    assert again.startswith("web2: ")


def test_an_awaited_call_is_told_before_it_is_over(
    simulated_fleet: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncio

    target = simulated_fleet("web1", answers=ANSWERS).targets[0]

    async def connect() -> list[tuple[str, str]]:
        async with await co.Session.aconnect(target):
            return told(caplog, logging.DEBUG)

    assert any("web1: connected to" in text for _, text in asyncio.run(connect()))


@pytest.mark.parametrize(
    ("loggers", "levels"),
    [
        ({"clusterops": logging.WARNING}, set[str]()),
        ({"clusterops": logging.INFO}, {"INFO"}),
        ({"clusterops": logging.WARNING, "clusterops.ssh": logging.DEBUG}, {"INFO", "DEBUG"}),
        ({"clusterops": logging.DEBUG, "clusterops.ssh": logging.INFO}, {"INFO"}),
    ],
)
def test_the_levels_of_loggers_count(
    simulated_fleet: Simulated, caplog: pytest.LogCaptureFixture, loggers: dict[str, int], levels: set[str]
) -> None:
    for name, level in loggers.items():
        caplog.set_level(level, name)
    assert co.run(simulated_fleet("web1", answers=ANSWERS).targets, "app migrate").is_success
    assert {record.levelname for record in caplog.records} == levels


def test_no_record_is_lost_among_threads(simulated_fleet: Simulated, caplog: pytest.LogCaptureFixture) -> None:
    simulated = simulated_fleet("web[1-4]", answers=ANSWERS)

    def work() -> None:
        for _ in range(10):
            assert co.run(simulated.targets, "app migrate").is_success

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = {what: sum(what in record.getMessage() for record in caplog.records) for what in ("begins", "is over")}
    assert counts == {"begins": 40, "is over": 40}
    assert sum("connected to" in record.getMessage() for record in caplog.records) == 160


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    statuses: list[int]

    def do_GET(self) -> None:
        answer = json.dumps({"version": {"distribution": "opensearch", "number": "2.19.1"}}).encode()
        self.send_response(self.statuses.pop(0))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.statuses = [503, 200]
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_client_of_logs_is_told_without_its_credentials(url: str, caplog: pytest.LogCaptureFixture) -> None:
    assert str(Client(url, authorization=("ApiKey", "sesame")).server()) == "OpenSearch 2.19.1"
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    first, pause, second, server = told(caplog, logging.DEBUG)
    assert first == ("clusterops.http", f"GET {url}/: 503") and second == ("clusterops.http", f"GET {url}/: 200")
    assert pause[0] == "clusterops.http" and pause[1].startswith(f"GET {url}/: again in ")
    assert server[0] == "clusterops.logs" and server[1].endswith(": OpenSearch 2.19.1")
    assert "sesame" not in caplog.text


# No call before this one has looked at the levels, nor does another until the run has come to its command.
FIRST = """
import asyncio, logging, pathlib, signal, sys, time
import clusterops as co

signal.alarm(60)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(message)s")
targets = [co.Target.from_json(line) for line in sys.stdin]
fleet, plan = co.Fleet(targets), co.Plan("first").shell("run", "app migrate")

def begun(run):
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.01)
    return run

async def awaited():
    return await begun(fleet.arun(plan))

report = {}
assert report.is_success
"""


@pytest.mark.parametrize("call", ["begun(fleet.start(plan)).report()", "asyncio.run(awaited())"])
def test_the_first_run_of_a_program_is_told_from_its_beginning(
    simulated_fleet: Simulated, tmp_path: Path, call: str
) -> None:
    begun = tmp_path / "begun"

    def migrate(_: SimulatedCommand) -> str:
        begun.touch()
        return ""

    simulated = simulated_fleet("web1", answers={"app migrate": migrate})
    done = subprocess.run(
        [sys.executable, "-c", FIRST.replace("{}", call), str(begun)],
        input="".join(f"{target.to_json()}\n" for target in simulated.targets),
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert "of plan `first` on 1 hosts begins" in first and "is over: " in last


# Its handlers are called by a thread of its own runtime, whatever its parent's were doing.
FORKED = """
import logging, os, signal, sys
import clusterops as co

signal.alarm(60)
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(process)d %(name)s %(levelname)s %(message)s")
targets = [co.Target.from_json(line) for line in sys.stdin]
run = co.Fleet(targets).start(co.Plan("slow").shell("run", "slow"))
child = os.fork()
if child == 0:
    signal.alarm(60)
    assert co.run(targets, "app migrate").is_success
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert run.report().is_success
print(f"the child was {child}")
"""


def test_both_sides_of_a_fork_are_told(simulated_fleet: Simulated) -> None:
    # It takes longer than what the child does meanwhile.
    simulated = simulated_fleet("web1", answers={**ANSWERS, "slow": SimulatedAnswer(delay=1)})
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED],
        input="".join(f"{target.to_json()}\n" for target in simulated.targets),
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    child = done.stdout.split()[-1]
    ends = [line for line in done.stdout.splitlines() if "is over: " in line]
    assert len(ends) == 2 and all("clusterops.ssh INFO run " in line for line in ends)
    assert sum(line.startswith(f"{child} ") for line in ends) == 1
