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


def test_groups_of_clustershell_are_read(tmp_path: Path) -> None:
    (tmp_path / "groups.d").mkdir()
    (tmp_path / "groups.d" / "racks.yaml").write_text("rack:\n  r1: 'web[1-2],db1'\n  r2: 'web3'\n")
    conf = "[Main]\ndefault: rack\nautodir: $CFGDIR/groups.d\n[zone]\nmap: echo db$GROUP\nlist: echo 1\n"
    (tmp_path / "groups.conf").write_text(conf)
    groups = co.Groups.load(tmp_path / "groups.conf")
    assert (sorted(groups.names), groups.default) == (["rack", "zone"], "rack")
    assert groups.parse("@r1!@zone:1") == co.HostSet("web[1-2]") and groups.groups_of("web3") == ["r2"]
    assert groups.parse("web*", known="web[1-9]", limit=9) == co.HostSet("web[1-9]")
    with pytest.raises(co.NotFoundError, match="web7"):
        groups.parse("web7", known="web[1-3]", only_known=True)
    with pytest.raises(ValueError, match="no source is called 'racks'; there are: "):
        groups.groups_of("web3", "racks")
    with pytest.raises(co.InvalidError):
        groups.parse("@r1", limit=2)
    fleet = co.Inventory.parse(FLEET, "fleet.yaml", sources=[groups])
    assert fleet.resolve("@rack:r1") == co.HostSet("db1,web[1-2]")


def test_groups_of_python_objects() -> None:
    class Broken(Racks):
        name = "broken"

        def map(self, group: str) -> str | None:
            raise LookupError("the rack server is down")

    groups = co.Groups([SlowRacks(), Broken()], default="rack")
    fleet = co.Inventory.parse(FLEET, "fleet.yaml", sources=(source for source in [groups]))

    async def ask() -> tuple[co.HostSet, list[str], list[co.Target], co.HostSet]:
        targets = await fleet.aselect("@rack:r1!web2")
        return await groups.aparse("@r1"), await groups.agroups_of("web1", "rack"), targets, await fleet.aresolve("@front")

    parsed, names, [target], front = asyncio.run(ask())
    assert parsed == front == co.HostSet("web[1-2]") and names == ["r1"] and target.name == "web1"
    for ask_for in (groups.parse, fleet.resolve):
        with pytest.raises(LookupError, match="the rack server is down"):
            ask_for("@broken:r1")
    # What was raised is raised once.
    assert groups.parse("@r1") == fleet.resolve("@rack:r1") == front


def test_an_inventory_is_read_while_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)

    async def read() -> co.Inventory:
        return await co.Inventory.aload(tmp_path / "fleet.yaml", sources=[Racks()])

    assert asyncio.run(read()).resolve("@rack:r1") == co.HostSet("web[1-2]")
