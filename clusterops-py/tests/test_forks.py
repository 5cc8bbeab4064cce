"""Processes that come of a fork use the library as their parent does, whenever they were made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from clusterops.testing import SimulatedAnswer, SimulatedFleet

# Each is given the targets on its standard input, and says `well` for each process that is.
START = """
import multiprocessing, os, signal, sys
import clusterops as co

signal.alarm(60)
targets = [co.Target.from_json(line) for line in sys.stdin]

def work(number=0):
    signal.alarm(60)
    assert co.run(targets, "uname -r").is_success
    with co.Session.connect(targets[0]) as session:
        assert session.run("uname -r").is_success
    os.write(1, b"well\\n")
    return number
"""
PROGRAMS = {
    # Nothing has run in the parent yet.
    "after the import": """
child = os.fork()
work()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
    # Its runtime's threads are busy meanwhile.
    "during a run": """
run = co.Fleet(targets).start(co.Plan("slow").shell("run", "slow"))
child = os.fork()
if child == 0:
    work()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert run.report().is_success
os.write(1, b"well\\n")
""",
    "in a pool": """
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert sorted(pool.map(work, range(2), chunksize=1)) == [0, 1]
""",
}

# What the parent made is of no use in a child, which is told so whatever it asks of it, and can let go of it.
INHERITED = """
import asyncio, gc
from clusterops.deploy import Deploy, Marathon
from clusterops.logs import Client, Export, ExportMerge, Look, Query, Tail, TailMerge
from clusterops.secrets import SealedFile
from clusterops.testing import SimulatedFleet

plan, url, everything = co.Plan("slow").shell("run", "slow"), "http://127.0.0.1:1", Query.match_all()
run, awaited = co.Fleet(targets).start(plan), co.Fleet(targets).arun(plan)
connector, session = co.Connector(), co.Session.connect(targets[0])
process = session.start("cat", stdin_streamed=True)
client, marathon, simulated = Client(url), Marathon(url), SimulatedFleet("web1")
tail, export, look = (kind(client, "logs", everything) for kind in (Tail, Export, Look))
merge, exports = TailMerge({"a": Tail(client, "logs", everything)}), ExportMerge({})
host = simulated["web1"]
file = SealedFile.read(sys.argv[1])

async def wait():
    await awaited

async def iterate():
    async for _ in awaited:
        pass

USES = {
    f"the run {run.id}": [run.report, lambda: next(run), run.cancel, run.pause],
    f"the run {awaited.id}": [lambda: asyncio.run(wait()), lambda: asyncio.run(iterate()), awaited.abort],
    "the connector": [lambda: connector.connect("web1"), lambda: connector.warnings],
    "the session with web1": [lambda: session.run("uname -r"), lambda: session.start("cat")],
    "the command on web1": [lambda: next(process), lambda: process.write("x"), process.terminate],
    f"the client of {url}": [client.server, lambda: client.count("logs", everything), lambda: Tail(client, "a", everything)],
    "the tail of logs": [lambda: next(tail), lambda: TailMerge({"a": tail})],
    "the merge of the tails a": [lambda: next(merge)],
    "the merge of the exports ": [lambda: next(exports)],
    "the export of logs": [export.pages, lambda: export.to_file("never")],
    "the look at logs": [look.count, look.histogram],
    f"the Marathon {url}": [lambda: Deploy(reviewed="sha256:" + 64 * "0").run(file, [], [marathon])],
    "the simulated fleet": [lambda: simulated.targets],
    "the simulated host web1": [lambda: host.calls, host.heal, lambda: host.read_file("/etc/hosts")],
}
child = os.fork()
if child == 0:
    signal.alarm(60)
    for what, uses in USES.items():
        for use in uses:
            try:
                use()
            except co.InvalidError as error:
                assert str(error).startswith(f"{what} was made by the parent of this process"), error
            else:
                raise AssertionError(what)
    del run, awaited, connector, session, process, client, marathon, simulated, tail, export, look, merge, exports, host
    del USES, uses, use
    gc.collect()
    work()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert run.report().is_success
os.write(1, b"well\\n")
"""

# It takes longer than what the child does meanwhile.
SLOW = SimulatedAnswer(delay=1)


@pytest.mark.parametrize("when", PROGRAMS)
def test_both_sides_of_a_fork_run(simulated_fleet: Callable[..., SimulatedFleet], when: str) -> None:
    run(simulated_fleet, PROGRAMS[when])


def test_what_the_parent_made_is_not_used_by_a_child(
    simulated_fleet: Callable[..., SimulatedFleet], tmp_path: Path
) -> None:
    document = tmp_path / "web.json"
    document.write_text('{"id": "/web"}')
    run(simulated_fleet, INHERITED, str(document))


def run(simulated_fleet: Callable[..., SimulatedFleet], program: str, *arguments: str) -> None:
    simulated = simulated_fleet("web[1-2]", answers={"uname -r": "6.1.0\n", "slow": SLOW})
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", START + program, *arguments],
        input="".join(f"{target.to_json()}\n" for target in simulated.targets),
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "well\n" * 2), done.stderr
