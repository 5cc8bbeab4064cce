"""Inventories, targets, and group sources that are Python objects."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import clusterops as co
import pytest

FLEET = """
defaults: {user: deploy}
hosts:
  web[1-3]: {address: "10.0.1.[1-3]", zone: a, tags: [public]}
  db1: {zone: b, port: 2222}
groups: {front: "web[1-2]"}
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    fleet = co.Inventory.load(tmp_path / "fleet.yaml")
    assert len(fleet) == 4 and list(fleet) == ["db1", "web1", "web2", "web3"] and "db1" in fleet and "x" not in fleet
    assert fleet.groups == {"front": co.HostSet("web[1-2]")} and fleet.hosts == co.HostSet("db1,web[1-3]")
    web2 = fleet.select("@front&web2")[0]
    assert (web2.name, web2.address, web2.user, web2.port) == ("web2", "10.0.1.2", "deploy", None)
    assert web2.tags == {"public"} and web2.groups == {"front"} and web2.variables == {"zone": "a"}
    assert fleet["db1"].port == 2222 and fleet.resolve("@zone:b") == co.HostSet("db1")
    assert "4 hosts" in repr(fleet) and fleet.unread == []
    with pytest.raises(KeyError):
        fleet["web9"]
    with pytest.raises(co.LocalError) as raised:
        co.Inventory.load(tmp_path / "none.yaml")
    assert isinstance(raised.value, OSError) and "none.yaml" in str(raised.value)


def test_what_is_wrong_is_named_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"fleet.yaml:3") as raised:
        co.Inventory.parse("hosts:\n  web1: {}\n  web1: {}\n", "fleet.yaml")
    assert isinstance(raised.value, co.InvalidError)
    with pytest.raises(KeyError, match="did you mean `front`") as unknown:
        co.Inventory.parse(FLEET, "fleet.yaml").select("@frnot")
    assert isinstance(unknown.value, co.NotFoundError) and unknown.value.kind == "unknown_group"


def test_targets_are_values() -> None:
    target = co.Target("web1", "10.0.0.1", port=2222, user="deploy", jump="gate", variables={"zone": "a"}, tags={"t"})
    again = pickle.loads(pickle.dumps(target))
    assert again == target and hash(again) == hash(target) and again.jump == "gate" and again.tags == {"t"}
    assert target != co.Target("web1") and target != "web1" and str(target) == "web1"
    assert co.Target.parse("ops@[2001:db8::1]:22").address == "2001:db8::1"
    assert co.Target("a", identity_file=Path("~/.ssh/id")).identity_file == Path("~/.ssh/id")
    with pytest.raises(co.InvalidError):
        co.Target.parse("web:0")
    with pytest.raises(co.InvalidError):
        co.Target.from_json("{")


def test_passwords_are_neither_shown_nor_pickled() -> None:
    inventory = co.Inventory.parse("[web]\nweb1 ansible_password=hunter2\n", "hosts.ini")
    target = inventory["web1"]
    assert "hunter2" not in repr(target) + repr(inventory) + target.to_json()
    assert b"hunter2" not in pickle.dumps(target)


class Racks:
    name = "rack"

    def map(self, group: str) -> str | None:
        return {"r1": "web[1-2]"}.get(group)

    def list(self) -> list[str]:
        return ["r1"]


class SlowRacks(Racks):
    async def map(self, group: str) -> str | None:  # type: ignore[override]  # pyright: ignore
        await asyncio.sleep(0.01)
        return Racks.map(self, group)


class BrokenRacks(Racks):
    def map(self, group: str) -> str | None:
        raise RuntimeError(f"no rack {group}")


@pytest.mark.parametrize("racks", [Racks(), SlowRacks()])
def test_python_objects_know_groups(racks: Racks) -> None:
    fleet = co.Inventory.parse(FLEET, "fleet.yaml", sources=[racks])
    assert fleet.resolve("@rack:r1!web1") == co.HostSet("web2")

    async def inside() -> co.HostSet:
        return fleet.resolve("@rack:r1")

    assert asyncio.run(inside()) == co.HostSet("web[1-2]")


def test_what_a_group_source_raises_reaches_the_caller() -> None:
    fleet = co.Inventory.parse(FLEET, "fleet.yaml", sources=[BrokenRacks()])
    with pytest.raises(RuntimeError, match="no rack r1"):
        fleet.resolve("@rack:r1")
    assert fleet.resolve("@zone:b") == co.HostSet("db1"), "the exception is raised once"
