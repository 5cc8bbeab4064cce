"""Objects of the caller's that are asked during a call: in which event loop, and who sees what they raise."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clusterops as co
import pytest
from clusterops.testing import SimulatedFleet

Simulated = Callable[..., SimulatedFleet]
SECRET = co.Plan("app").shell("start", "uname -r", secret_env={"PASSWORD": "db"})


@pytest.fixture
def simulated(simulated_fleet: Simulated) -> SimulatedFleet:
    return simulated_fleet("n[1-2]", answers={"uname -r": "6.1.0\n"})


class Vault:
    """Notes in which loop it was asked."""

    def __init__(self) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []

    async def secret(self, target: co.Target, purpose: co.Purpose) -> str | None:
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return "hunter2"


class BrokenVault:
    def secret(self, target: co.Target, purpose: co.Purpose) -> str | None:
        raise LookupError(f"no secret for {target.name}")


def test_calls_that_block_a_loop_need_not_have_it(simulated: SimulatedFleet, tmp_path: Path) -> None:
    vault, journal = Vault(), tmp_path / "journal"
    fleet = co.Fleet(simulated.targets, credentials=vault)

    async def blocked() -> None:
        report = fleet.run(SECRET)
        assert report.is_success and fleet.start(SECRET).report().is_success
        assert fleet.retry(SECRET, report).report().is_success
        kept = co.Fleet(simulated.targets, credentials=vault, journal=journal)
        assert kept.run(SECRET).is_success and kept.resume(SECRET, journal).report().is_success
        assert asyncio.get_running_loop() not in vault.loops

    asyncio.run(blocked())
    assert vault.loops


def test_a_transfer_that_blocks_a_loop_need_not_have_it(simulated: SimulatedFleet, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(bytes(100_000))
    told: list[int] = []

    async def note(done: int, total: int) -> None:
        await asyncio.sleep(0)
        told.append(done)

    async def blocked() -> None:
        with co.Session.connect(simulated.targets[0]) as session:
            session.upload(tmp_path / "content", "/tmp/content", progress=note)

    asyncio.run(blocked())
    assert told[-1] == 100_000


def with_passphrase(target: co.Target, folder: Path) -> co.Target:
    """The same target, whose key is to be opened first."""
    assert target.identity_file is not None
    key = folder / f"key-{target.name}"
    key.write_bytes(Path(target.identity_file).read_bytes())
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "hunter2", "-f", key], check=True)
    return co.Target(
        target.name,
        target.address,
        port=target.port,
        user=target.user,
        identity_file=key,
        known_hosts=target.known_hosts,
    )


OPTIONS = co.SessionOptions(read_config=False, agent=False)


def test_a_connector_asks_in_the_loop_of_who_awaits(simulated: SimulatedFleet, tmp_path: Path) -> None:
    first, second = (with_passphrase(target, tmp_path) for target in simulated.targets)
    vault = Vault()
    # Made where there is no loop.
    connector = co.Connector(OPTIONS, credentials=vault)

    async def awaited() -> None:
        async with await connector.aconnect(first) as session:
            assert (await session.arun("uname -r")).stdout == "6.1.0\n"
        assert vault.loops == [asyncio.get_running_loop()]
        with connector.connect(second):
            assert vault.loops[-1] is not asyncio.get_running_loop()

    asyncio.run(awaited())
    assert len(vault.loops) == 2


def test_what_credentials_raise_goes_to_the_call_that_asked(simulated: SimulatedFleet, tmp_path: Path) -> None:
    targets = [with_passphrase(target, tmp_path) for target in simulated.targets]
    asked: set[str] = set()

    class Together:
        async def secret(self, target: co.Target, purpose: co.Purpose) -> str:
            asked.add(target.name)
            while len(asked) < len(targets):
                await asyncio.sleep(0.01)
            # The first that was asked raises last.
            await asyncio.sleep(0.05 if target.name == "n1" else 0)
            raise LookupError(target.name)

    async def both() -> list[Any]:
        connector = co.Connector(OPTIONS, credentials=Together())
        return await asyncio.gather(*(connector.aconnect(target) for target in targets), return_exceptions=True)

    raised = asyncio.run(both())
    assert [(type(error), str(error)) for error in raised] == [(LookupError, "n1"), (LookupError, "n2")]


def test_what_group_sources_raise_goes_to_the_call_that_asked() -> None:
    class Racks:
        name = "rack"

        def map(self, group: str) -> str | None:
            raise LookupError(group)

        def list(self) -> list[str]:
            return []

    inventory = co.Inventory.parse("hosts: {web1: {}}", "fleet.yaml", sources=[Racks()])
    for group in ("r1", "r2"):
        with pytest.raises(LookupError, match=group):
            inventory.resolve(f"@rack:{group}")


def test_group_sources_are_asked_in_the_loop_of_who_awaits() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    class Racks:
        name = "rack"

        async def map(self, group: str) -> str | None:
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(0)
            return "web1"

        def list(self) -> list[str]:
            return []

    groups = co.Groups([Racks()], default="rack")
    inventory = co.Inventory.parse("hosts: {web1: {}}", "fleet.yaml", sources=[groups])

    async def awaited() -> None:
        here = asyncio.get_running_loop()
        assert await inventory.aresolve("@rack:r1") == await groups.aparse("@r1") == co.HostSet("web1")
        assert loops == [here, here]
        # They stand still where the loop does.
        assert inventory.resolve("@rack:r1") == groups.parse("@r1") == co.HostSet("web1")
        assert len(loops) == 4 and here not in loops[2:]

    asyncio.run(awaited())


def test_what_awaited_group_sources_raise_goes_to_the_call_that_asked() -> None:
    asked: set[str] = set()

    class Racks:
        name = "rack"

        async def map(self, group: str) -> str | None:
            asked.add(group)
            while len(asked) < 2:
                await asyncio.sleep(0.01)
            # The first that was asked raises last.
            await asyncio.sleep(0.05 if group == "r1" else 0)
            raise LookupError(group)

        def list(self) -> list[str]:
            return []

    groups = co.Groups([Racks()], default="rack")

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(groups.aparse("@r1"), groups.aparse("@r2"), return_exceptions=True)

    assert [(type(error), str(error)) for error in asyncio.run(both())] == [(LookupError, "r1"), (LookupError, "r2")]


def test_what_credentials_raise_ends_a_loop_over_events(simulated: SimulatedFleet) -> None:
    fleet = co.Fleet(simulated.targets, credentials=BrokenVault())
    run = fleet.start(SECRET)
    with pytest.raises(LookupError, match="no secret for n"):
        for _ in run:
            pass
    for _ in range(2):
        with pytest.raises(LookupError, match="no secret for n"):
            run.report()

    async def awaited() -> None:
        run = fleet.arun(SECRET)
        with pytest.raises(LookupError, match="no secret for n"):
            async for _ in run:
                pass
        for _ in range(2):
            with pytest.raises(LookupError, match="no secret for n"):
                await run

    asyncio.run(awaited())
