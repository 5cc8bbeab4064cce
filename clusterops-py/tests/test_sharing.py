"""What processes need that share a run: values that can be pickled, and reports that make one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clusterops as co
import pytest
from clusterops.testing import SimulatedFleet

Simulated = Callable[..., SimulatedFleet]
PLAN = co.Plan("p").shell("first", "uname -r")


def test_events_survive_pickling(simulated_fleet: Simulated, tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(b"app")
    simulated = simulated_fleet("n[1-2]", answers={"uname -r": "6.1.0\n"})
    simulated["n2"].fault("refuse")
    plan = PLAN.upload("second", tmp_path / "app", "/tmp/app")
    seen: set[type[Any]] = set()
    run = co.Fleet(simulated.targets, connection_attempts=1).start(plan)
    for event in run:
        again: Any = pickle.loads(pickle.dumps(event))
        assert repr(again) == repr(event)
        seen.add(type(event))
        if isinstance(event, co.HostEvent):
            assert isinstance(again, co.HostEvent) and (again.stage, again.is_final) == (event.stage, event.is_final)
            assert type(again.failure) is type(event.failure) and str(again.failure) == str(event.failure)
        if isinstance(event, co.OutputEvent):
            assert isinstance(again, co.OutputEvent) and again.skipped == event.skipped
    assert run.report()["n1"].is_success, run.report()
    assert seen == {co.RunEvent, co.HostEvent, co.OutputEvent, co.TransferEvent}


def test_fleets_and_rollouts_survive_pickling(simulated_fleet: Simulated, tmp_path: Path) -> None:
    simulated = simulated_fleet("n[1-4]", answers={"uname -r": "6.1.0\n"})
    rollout = co.Rollout(canaries="n1", batches=[1, "50%"], failure_budget="10%", when_exceeded="pause")
    assert pickle.loads(pickle.dumps(rollout)).to_dict() == rollout.to_dict()
    fleet = co.Fleet(
        simulated.targets,
        parallelism=2,
        session=co.SessionOptions(connect_deadline=5),
        rollout=rollout,
        run_deadline=60,
        journal=tmp_path / "journal",
        leftover="end",
    )
    again: co.Fleet = pickle.loads(pickle.dumps(fleet))
    assert again.targets == fleet.targets and again.dry_run(PLAN) == fleet.dry_run(PLAN)
    told: dict[str, Any] = again.__reduce__()[0].keywords
    assert told["session"].__reduce__()[0].keywords["connect_deadline"].total_seconds() == 5
    assert (told["run_deadline"].total_seconds(), told["leftover"], told["parallelism"]) == (60, "end", 2)
    assert again.run(PLAN).is_success and (tmp_path / "journal").exists()

    class Vault:
        def secret(self, target: co.Target, purpose: co.Purpose) -> str:
            return "hunter2"

    with pytest.raises(TypeError, match="a fleet with credentials is not pickled"):
        pickle.dumps(co.Fleet("web1", credentials=Vault()))


def test_session_options_survive_pickling() -> None:
    told: dict[str, Any] = {
        "user": "a",
        "identity_files": [Path("/key")],
        "agent": False,
        "known_hosts": [Path("/known")],
        "read_config": False,
        "connect_deadline": 3,
        "handshake_deadline": 4,
        "authentication_deadline": 5,
        "command_deadline": 6.5,
    }
    keys: list[dict[str, Any]] = [{}, {"accept_new_host_keys": True}, {"danger_accept_any_host_key": True}]
    for accepted in keys:
        make, _ = co.SessionOptions(**told, **accepted).__reduce__()
        again, _ = pickle.loads(pickle.dumps(co.SessionOptions(**told, **accepted))).__reduce__()
        assert again.keywords == make.keywords
        kept = {name: make.keywords[name] for name in told if not name.endswith("deadline")}
        assert kept == {name: value for name, value in told.items() if not name.endswith("deadline")}
        assert make.keywords["command_deadline"].total_seconds() == 6.5
        assert [make.keywords.get(name) for name in accepted] == [True] * len(accepted)


def test_reports_make_one(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-3]", answers={"uname -r": "6.1.0\n"})
    first, second, third = (co.Fleet([target]).run(PLAN) for target in simulated.targets)
    whole = co.Report.merge([third, first, second], ["n1", "n2", "n3"])
    assert list(whole) == ["n1", "n2", "n3"] and whole.is_success and whole.run_id == third.run_id
    assert (whole.started, whole.finished) == (first.started, third.finished)
    assert list(co.Report.merge([third, first])) == ["n3", "n1"]
    assert list(co.Report.merge([third, first], ["n1"])) == ["n1", "n3"]
    assert whole.only(["n2"])["n2"]["first"].stdout == "6.1.0\n" and list(whole.only("n[2-9]")) == ["n2", "n3"]
    for parts in ([], [first, first], [first, co.Fleet(simulated.targets[1:2]).run(PLAN.shell("more", "uname -r"))]):
        with pytest.raises(co.InvalidError):
            co.Report.merge(parts)


def test_local_files_have_digests(tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(b"abc")
    plan = co.Plan("p").upload("send", tmp_path / "app", "/x").shell("start", "x", secret_env={"PASSWORD": "db"})
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(co.NotFoundError):
        co.Fleet("n1").local_files(plan)
    assert co.Fleet("n1", credentials=Nobody()).local_files(plan) == {str(tmp_path / "app"): abc}
    (tmp_path / "app").unlink()
    with pytest.raises(co.LocalError):
        co.Fleet("n1", credentials=Nobody()).local_files(plan)


class Nobody:
    def secret(self, target: co.Target, purpose: co.Purpose) -> str | None:
        raise AssertionError("nothing is asked")
