"""What is ready at the very moment of a cancellation or Ctrl-C comes next; nothing is lost, and all of it stays in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import clusterops as co
import pytest
from clusterops.testing import SimulatedAnswer, SimulatedFleet

HOSTS = [f"web{number}" for number in range(1, 41)]


@pytest.fixture
def simulated(simulated_fleet: Callable[..., SimulatedFleet]) -> SimulatedFleet:
    return simulated_fleet("web[1-40]", answers={"slow": SimulatedAnswer("x", delay=0.01)})


async def cancelled(asked: Callable[[], Awaitable[Any]], arrive: Callable[[], object], steps: int) -> Any:
    """Begins to wait, stops the loop while what is waited for arrives, and cancels some steps of the loop later: before it
    has the result, or before it hands that over."""

    async def wait() -> Any:
        return await asked()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    arrive()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


def test_output_is_not_lost_by_a_cancellation(simulated: SimulatedFleet) -> None:
    async def echoed(session: co.Session) -> tuple[bytes, int]:
        read, lost_races = b"", 0
        async with await session.astart("cat", stdin_streamed=True) as process:
            for number in range(200):

                def arrive(number: int = number) -> None:
                    process.write(f"{number}.")
                    # Longer or shorter than the answer takes, by turns.
                    time.sleep(number % 5 / 1000)

                chunk = await cancelled(lambda: anext(process), arrive, number // 5 % 4)
                read += chunk.bytes if chunk else b""
                lost_races += chunk is None
            await process.aclose_stdin()
            async for chunk in process:
                read += chunk.bytes
        return read, lost_races

    with co.Session.connect(simulated.targets[0]) as session:
        read, lost_races = asyncio.run(echoed(session))
    assert read == b"".join(b"%d." % number for number in range(200))
    assert lost_races > 20, "the cancellation is to come first"


def final(events: list[Any]) -> list[str]:
    return sorted(event.host for event in events if isinstance(event, co.HostEvent) and event.is_final)


def test_events_are_not_lost_by_a_cancellation(simulated: SimulatedFleet) -> None:
    plan, targets = co.Plan("p").shell("run", "slow"), simulated.targets[:4]

    async def impatient(number: int) -> bool:
        run = co.Fleet(targets).arun(plan)
        waiting: AsyncIterator[Any] = aiter(run)
        events = [await anext(waiting) for _ in range(number % 5)]
        # It cancels the run, whose hosts come to their end then.
        event = await cancelled(lambda: anext(waiting), lambda: time.sleep(0.002), number % 3)
        events += [event] if event else []
        # A generator into which that was thrown is at its end; the run has more.
        events += [event async for event in run]
        assert final(events) == ["web1", "web2", "web3", "web4"], number
        return event is None

    async def all_of_them() -> int:
        return sum([await impatient(number) for number in range(60)])

    lost_races = asyncio.run(all_of_them())
    assert lost_races > 3, lost_races


def test_a_loop_over_events_can_be_left_and_gone_on_with(simulated: SimulatedFleet) -> None:
    plan = co.Plan("p").shell("run", "slow")

    async def piecewise() -> list[Any]:
        run = co.Fleet(simulated.targets).arun(plan)
        events: list[Any] = []
        while True:
            before = len(events)
            async for event in run:
                events.append(event)
                break
            if len(events) == before:
                await run
                return events

    assert final(asyncio.run(piecewise())) == sorted(HOSTS)
