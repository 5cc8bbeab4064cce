"""Nothing is left of runs that are over, whoever makes them: memory, files and threads stay as they are.

There are 10,000 runs, blocking and awaited beside each other, which take a minute or two; `CLUSTEROPS_LEAK_RUNS` in the
environment is another number.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import clusterops as co
import pytest

RUNS = int(os.environ.get("CLUSTEROPS_LEAK_RUNS", "10000"))
# How often the memory is looked at.
SAMPLES = 30
# However slow the machine is, in seconds.
PATIENCE = 3600
# What the runs after the first third may add to the resident memory. Allocators keep a little of everything; 1 KiB that is
# lost with each run adds up to 6.5 MiB in 10,000 runs.
MARGIN = 4 << 20

# Simulated hosts keep what reached them, so they are in a process of their own.
SIMULATOR = """
import sys
from clusterops.testing import SimulatedFleet

with SimulatedFleet("web1", answers={"uname -r": "6.1.0\\n"}) as simulated:
    for target in simulated.targets:
        print(target.to_json())
    print(flush=True)
    sys.stdin.read()
"""

PLAN = co.Plan("kernel").shell("run", "uname -r", env={"A": "b" * 1000})


@pytest.fixture
def targets() -> Iterator[list[co.Target]]:
    with subprocess.Popen(
        [sys.executable, "-c", SIMULATOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield [co.Target.from_json(line) for line in iter(process.stdout.readline, "\n")]
        process.communicate()


def resident() -> int:
    """The memory of this process that is there, in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def held() -> tuple[int, int]:
    """How many files are open, and how many threads there are."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def repeat(work: Callable[[], int]) -> tuple[int, list[int]]:
    """Does it until there were enough runs; gives their number, and the memory that there was on the way."""
    signal.alarm(PATIENCE)
    runs, samples = 0, list[int]()
    while runs < RUNS:
        runs += work()
        # Not each time: what other tests have left in this process is looked through for garbage.
        if runs * SAMPLES >= (len(samples) + 1) * RUNS:
            samples.append(resident())
    return runs, samples


def test_runs_leave_nothing(targets: list[co.Target]) -> None:
    fleet = co.Fleet(targets)

    def blocking() -> None:
        run = fleet.start(PLAN)
        assert sum(isinstance(event, co.HostEvent) and event.is_final for event in run) == len(targets)
        assert run.report().is_success and run.report().records()
        assert fleet.run(PLAN).is_success

    async def awaited() -> None:
        first, second = await asyncio.gather(fleet.arun(PLAN), fleet.arun(PLAN))
        assert first.is_success and second.is_success
        cancelled = asyncio.ensure_future(fleet.arun(PLAN))  # pyright: ignore
        await asyncio.sleep(0)
        cancelled.cancel()

    async def sessions() -> None:
        async with await co.Session.aconnect(targets[0]) as session:
            assert (await session.arun("uname -r")).stdout == "6.1.0\n"
            async with await session.astart("cat", stdin_streamed=True):
                pass

    def work() -> int:
        # Threads that block beside a loop that awaits.
        threads = [threading.Thread(target=blocking) for _ in range(2)]
        for thread in threads:
            thread.start()

        async def both() -> None:
            await asyncio.gather(awaited(), sessions())

        asyncio.run(both())
        for thread in threads:
            thread.join()
        return 8

    runs, samples = repeat(work)
    warm = samples[len(samples) // 3]
    files, tasks = held()
    grown = samples[-1] - warm
    print(f"{runs} runs; {warm >> 10} KiB after a third of them, then {grown >> 10} KiB more")
    assert grown < MARGIN, [sample >> 10 for sample in samples]
    assert files < 60 and tasks < 60, (files, tasks)
