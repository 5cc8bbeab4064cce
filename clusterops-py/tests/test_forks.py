"""Processes that come of a fork use the library as their parent does, whenever they were made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

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

# It takes longer than what the child does meanwhile.
SLOW = SimulatedAnswer(delay=1)


@pytest.mark.parametrize("when", PROGRAMS)
def test_both_sides_of_a_fork_run(simulated_fleet: Callable[..., SimulatedFleet], when: str) -> None:
    simulated = simulated_fleet("web[1-2]", answers={"uname -r": "6.1.0\n", "slow": SLOW})
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", START + PROGRAMS[when]],
        input="".join(f"{target.to_json()}\n" for target in simulated.targets),
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "well\n" * 2), done.stderr
