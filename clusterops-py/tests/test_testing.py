"""Simulated hosts: functions as answers, files, faults with details, and what is told of commands."""

from __future__ import annotations

import os
import re
import threading
from types import MappingProxyType

import clusterops as co
import pytest
from clusterops.testing import SimulatedAnswer, SimulatedCommand, SimulatedFleet


def test_functions_answer() -> None:
    def deploy(command: SimulatedCommand) -> str | SimulatedAnswer:
        if command.host == "web2":
            return SimulatedAnswer(stderr="no space\n", status=3)
        return f"{command.user} {command.environment.get('ZONE')} {command.current_dir}\n"

    plan = co.Plan("app").shell("deploy", "deploy", env=MappingProxyType({"ZONE": "a"}), current_dir="/opt")
    with SimulatedFleet("web[1-2]", answers=MappingProxyType({"deploy": deploy}), user="ops") as simulated:
        report = co.Fleet(simulated.targets).run(plan)
        call = simulated["web1"].calls[-1]
    assert report["web1"]["deploy"].stdout == "ops a /opt\n"
    assert report["web2"]["deploy"].exit_status == 3
    assert (call.host, call.user, call.line, call.script, call.current_dir) == ("web1", "ops", "deploy", None, "/opt")
    assert call.environment["ZONE"] == "a" and repr(call) == "<SimulatedCommand 'web1': 'deploy'>"


def test_what_a_function_raises_is_raised_by_the_fleet() -> None:
    def broken(command: SimulatedCommand) -> str:
        raise LookupError(f"nothing is known of {command.line}")

    def run() -> None:
        with SimulatedFleet("web1", answers={"deploy": broken}) as simulated:
            report = co.run(simulated.targets, "deploy")
            assert not report.is_success and "LookupError" in report["web1"]["run"].stderr

    with pytest.raises(LookupError, match="nothing is known of deploy"):
        run()
    with SimulatedFleet("web1", answers={"deploy": broken}) as closed:
        co.run(closed.targets, "deploy")
        with pytest.raises(LookupError, match="nothing is known of deploy"):
            closed.close()


def test_functions_wait_for_each_other_and_use_the_library() -> None:
    # More than the runtime has workers.
    number = (os.cpu_count() or 1) + 1
    together = threading.Barrier(number)

    def deploy(_: SimulatedCommand) -> str:
        together.wait(60)
        return co.run(database.targets, "ask")["db1"]["run"].stdout

    with (
        SimulatedFleet("db1", answers={"ask": "ready\n"}) as database,
        SimulatedFleet(f"web[1-{number}]", answers={"deploy": deploy}) as simulated,
    ):
        plan = co.Plan("app").shell("deploy", "deploy")
        report = co.Fleet(simulated.targets, parallelism=number).run(plan)
    assert report.is_success and report.gather("deploy").answers[0].hosts == co.HostSet(f"web[1-{number}]")


def test_scripts_files_and_stdin() -> None:
    answers = {"cp": SimulatedAnswer(files={"/tmp/copy": b"\0x"}), "cat": SimulatedAnswer(echoes_stdin=True)}
    with SimulatedFleet("db1", answers=answers, scripts="migrated\n", files={"/etc/app.conf": "port=1\n"}) as simulated:
        host = simulated["db1"]
        with co.Session.connect(simulated.targets[0]) as session:
            assert session.run(co.Script("migrate --all\n")).stdout == "migrated\n"
            assert host.calls[-1].script == b"migrate --all\n"
            assert session.run("cat", stdin="told").stdout == "told"
            session.run("cp")
        assert host.read_file("/tmp/copy") == b"\0x" and host.mode("/etc/app.conf") == 0o644
        assert host.read_file("/etc/app.conf") == b"port=1\n" and host.connection_count == 1


def test_faults_have_details() -> None:
    with SimulatedFleet("web1", answers={"uname -r": "6.1.0\n"}) as simulated:
        host = simulated["web1"]
        host.fault("drop_first", count=2)
        report = co.Fleet(simulated.targets, connection_attempts=4).run(co.Plan("kernel").shell("run", "uname -r"))
        assert report.is_success and report["web1"].connection_attempts == 3
        host.heal()
        host.fault("exit_by_signal", signal="KILL")
        assert "KILL" in (co.run(simulated.targets, "uname -r")["web1"]["run"].exit or "")
        host.heal()
        host.fault("flood", count=1000)
        assert len(co.run(simulated.targets, "uname -r")["web1"]["run"].stdout) == 1006
        for name, count in (("drop_first", None), ("refuse", 1), ("explode", None)):
            with pytest.raises(ValueError, match=re.escape(f"no fault '{name}' with these details")):
                host.fault(name, count=count)


def test_connections_can_be_cut() -> None:
    with SimulatedFleet("web1", answers={"sleep": SimulatedAnswer(never_exits=True)}) as simulated:
        host = simulated["web1"]
        with co.Session.connect(simulated.targets[0]) as session, session.start("sleep") as process:
            host.cut_connections()
            with pytest.raises(co.UnreachableError):
                process.output()
