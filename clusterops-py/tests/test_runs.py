"""Runs on simulated hosts: blocking, as events, and awaited."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import clusterops as co
import pytest
from clusterops.secrets import Secret
from clusterops.testing import SimulatedAnswer, SimulatedFleet

NEVER = SimulatedAnswer(never_exits=True)
ANSWERS: dict[str, str | SimulatedAnswer] = {
    "uname -r": "6.1.0\n",
    "test -d /opt": SimulatedAnswer(),
    "sleep 1000": NEVER,
    "false": SimulatedAnswer(stderr="no\n", status=1),
}

Simulated = Callable[..., SimulatedFleet]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


def test_one_line_on_some_hosts(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("web[1-50]", answers=ANSWERS)
    with pytest.raises(ValueError, match="there are refuse, silent"):
        simulated["web49"].fault("refused")
    simulated["web49"].fault("refuse")
    fleet = co.Fleet(simulated.targets, connection_attempts=1)
    report = fleet.run(co.Plan("kernel").shell("run", "uname -r"))
    lines = str(report.gather()).splitlines()
    assert lines[0] == "web[1-48,50]: 6.1.0" and lines[1].startswith("web49: refused")
    assert report.failed == co.HostSet("web49") and len(report.succeeded) == 49 and not report.is_success
    failure = report["web49"].failure
    assert isinstance(failure, ConnectionError) and isinstance(failure, co.ClusterOpsError)
    assert (failure.host, failure.kind, failure.retryable) == ("web49", "refused", True)
    with pytest.raises(co.UnreachableError):
        report.raise_for_failure()
    with pytest.raises(KeyError):
        report.gather("none")
    simulated["web49"].heal()
    assert fleet.retry(co.Plan("kernel").shell("run", "uname -r"), report).report().is_success


def test_a_report_is_a_mapping_and_data(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-2]", answers=ANSWERS)
    plan = co.Plan("two").shell("kernel", "uname -r").shell("bad", "false")
    report = co.Fleet(simulated.targets).run(plan)
    assert isinstance(report, Mapping) and list(report) == ["n1", "n2"] == report.keys() and "n1" in report
    assert report.get("n9") is None and report.get("n9", 3) == 3
    with pytest.raises(KeyError):
        report["n9"]
    stage = report["n1"]["kernel"]
    assert (stage.status, stage.exit_status, stage.stdout, stage.stdout_bytes) == ("done", 0, "6.1.0\n", b"6.1.0\n")
    assert report["n1"]["bad"].stderr == "no\n" and report["n1"]["bad"].exit_status == 1
    assert stage.duration >= datetime.timedelta() and report.started <= report.finished
    records = report.records()
    assert [(record["host"], record["stage"]) for record in records][:2] == [("n1", "kernel"), ("n1", "bad")]
    assert co.Report.from_json(report.to_json()) == report == pickle.loads(pickle.dumps(report))
    assert report.to_dict() == json.loads(report.to_json())
    for part in (report["n1"], report["n1"]["bad"], report.gather("kernel"), report.gather("kernel").answers[0]):
        assert pickle.loads(pickle.dumps(part)) == part, repr(part)
    assert report["n1"] == report["n1"] != report["n2"] and report["n1"]["bad"] != report["n1"]["kernel"]
    assert "2" in repr(report) and "<pre>" in report._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_events_are_iterated(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-3]", answers=ANSWERS)
    run = co.Fleet(simulated.targets).start(co.Plan("kernel").shell("run", "uname -r"))
    events = list(run)
    ended = {event.host for event in events if isinstance(event, co.HostEvent) and event.is_final}
    # What a late reader has missed of the output is counted.
    told = [event for event in events if isinstance(event, co.OutputEvent)]
    output = {event.host: (event.bytes, event.skipped) for event in told}
    assert ended == {"n1", "n2", "n3"} and output.keys() == ended
    assert set(output.values()) <= {(b"6.1.0\n", 0), (b"", 6)}
    assert run.report().is_success and run.report().run_id == run.id


def test_runs_are_awaited_and_iterated(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-3]", answers=ANSWERS)
    fleet, plan = co.Fleet(simulated.targets), co.Plan("kernel").shell("run", "uname -r")

    async def both() -> tuple[int, co.Report, co.Report]:
        ended = 0
        async for event in (run := fleet.arun(plan)):
            ended += isinstance(event, co.HostEvent) and event.is_final
        return ended, await run, await co.arun(simulated.targets, "uname -r")

    ended, first, second = asyncio.run(both())
    assert ended == 3 and first.is_success and second.is_success


def test_a_cancelled_task_ends_the_remote_work(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-3]", answers=ANSWERS)

    async def impatient() -> None:
        await asyncio.wait_for(co.arun(simulated.targets, "sleep 1000"), 1)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    wait_for(lambda: sum(simulated[name].process_count for name in simulated.hosts) == 0)


@pytest.mark.parametrize("waits_elsewhere", [False, True])
def test_cancelling_who_iterates_ends_the_remote_work(simulated_fleet: Simulated, waits_elsewhere: bool) -> None:
    simulated = simulated_fleet("n[1-3]", answers=ANSWERS)

    async def looked_at() -> co.Report:
        run = co.Fleet(simulated.targets).arun(co.Plan("long").shell("wait", "sleep 1000"))

        async def look() -> None:
            async for _ in run:
                if waits_elsewhere:
                    await asyncio.sleep(1000)

        task = asyncio.create_task(look())
        await asyncio.to_thread(wait_for, lambda: running(simulated) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # What is left to be told is told.
        ends = {event.host async for event in run if isinstance(event, co.HostEvent) and event.is_final}
        assert ends == {"n1", "n2", "n3"}
        return await run

    assert asyncio.run(looked_at()).ending == "cancelled" and running(simulated) == 0


def running(simulated: SimulatedFleet) -> int:
    return sum(simulated[name].process_count for name in simulated.hosts)


def test_ctrl_c_ends_the_remote_work(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-3]", answers=ANSWERS)

    def interrupt() -> None:
        wait_for(lambda: sum(simulated[name].process_count for name in simulated.hosts) == 3)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        co.run(simulated.targets, "sleep 1000")
    thread.join()
    assert sum(simulated[name].process_count for name in simulated.hosts) == 0


def test_a_run_is_steered(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-3]", answers=ANSWERS)
    run = co.Fleet(simulated.targets).start(co.Plan("long").shell("wait", "sleep 1000"))
    wait_for(lambda: sum(simulated[name].process_count for name in simulated.hosts) == 3)
    run.cancel()
    report = run.report()
    assert report.ending == "cancelled" and report["n1"].failure is not None
    assert isinstance(report["n1"].failure, co.CancelledError)


class Vault:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None]] = []

    def secret(self, target: co.Target, purpose: co.Purpose) -> str | None:
        self.asked.append((target.name, purpose.kind, purpose.name))
        return "hunter2"


class SlowVault(Vault):
    async def secret(self, target: co.Target, purpose: co.Purpose) -> str | None:  # type: ignore[override]  # pyright: ignore
        await asyncio.sleep(0.01)
        return Vault.secret(self, target, purpose)


class CarefulVault(Vault):
    def secret(self, target: co.Target, purpose: co.Purpose) -> Secret | None:  # type: ignore[override]  # pyright: ignore
        return Secret(Vault.secret(self, target, purpose) or "")


class BrokenVault(Vault):
    def secret(self, target: co.Target, purpose: co.Purpose) -> str | None:
        raise LookupError(f"no secret for {target.name}")


SECRET = co.Plan("app").shell("start", "uname -r", secret_env={"PASSWORD": "db"})


@pytest.mark.parametrize("vault", [Vault(), SlowVault(), CarefulVault()])
def test_python_objects_know_secrets(simulated_fleet: Simulated, vault: Vault) -> None:
    simulated = simulated_fleet("n1", answers=ANSWERS)
    fleet = co.Fleet(simulated.targets, credentials=vault)
    report = fleet.run(SECRET)
    assert report.is_success and ("n1", "environment", "db") in vault.asked
    assert simulated["n1"].calls[-1].environment["PASSWORD"] == "hunter2"
    assert "hunter2" not in report.to_json() + repr(fleet) + repr(SECRET) + SECRET.to_json()

    async def awaited() -> co.Report:
        return await fleet.arun(SECRET)

    assert asyncio.run(awaited()).is_success


def test_what_credentials_raise_reaches_the_caller(simulated_fleet: Simulated) -> None:
    fleet = co.Fleet(simulated_fleet("n1", answers=ANSWERS).targets, credentials=BrokenVault())
    with pytest.raises(LookupError, match="no secret for n1"):
        fleet.run(SECRET)


def test_plans_are_values(tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(b"tar")
    plan = (
        co.Plan("deploy")
        .command("preflight", ["test", "-d", "/opt"], barrier=True, deadline=datetime.timedelta(seconds=30))
        .upload("unpack", tmp_path / "app.tar", "/opt/app.tar", mode=0o640)
        .shell("start", "app start", rollback=["app", "stop"], run_as=co.RunAs("app"))
    )
    assert plan.stages == ["preflight", "unpack", "start"] and hash(plan) == hash(pickle.loads(pickle.dumps(plan)))
    assert co.Plan.from_json(plan.to_json()) == plan and plan.digest == co.Plan.from_json(plan.to_json()).digest
    with pytest.raises(TypeError, match="no option 'deadlin'"):
        plan.shell("x", "true", deadlin=None)  # type: ignore[call-arg]  # pyright: ignore
    with pytest.raises(TypeError, match="list of strings"):
        plan.command("x", "uname -r")
    with pytest.raises(co.InvalidError):
        co.Plan("twice").shell("a", "true").shell("a", "true").validate()
    with pytest.raises(co.InvalidError):
        co.Plan.from_json("{}")
    with pytest.raises(ValueError, match="rollback_when"):
        co.Plan("x", rollback_when="never")


@pytest.mark.parametrize("name", co.StageOptions.__annotations__)
def test_options_of_stages_are_checked_by_name(name: str) -> None:
    shell: Callable[..., co.Plan] = co.Plan("x").shell
    with pytest.raises(TypeError, match=f"^{name}: "):
        shell("a", "true", **{name: object()})


def test_files_travel(simulated_fleet: Simulated, tmp_path: Path) -> None:
    simulated = simulated_fleet("n[1-2]", answers=ANSWERS)
    (tmp_path / "app.tar").write_bytes(b"content")
    plan = (
        co.Plan("files")
        .upload("send", tmp_path / "app.tar", "/tmp/app.tar")
        .fetch("back", "/tmp/app.tar", tmp_path / "fetched")
    )
    report = co.Fleet(simulated.targets).run(plan)
    assert report.is_success, str(report)
    assert simulated["n2"].read_file("/tmp/app.tar") == b"content"
    assert sorted(path.read_bytes() for path in (tmp_path / "fetched").rglob("app.tar")) == [b"content"] * 2


def test_a_journal_is_resumed(simulated_fleet: Simulated, tmp_path: Path) -> None:
    simulated = simulated_fleet("n[1-3]", answers=ANSWERS)
    simulated["n2"].fault("refuse")
    plan = co.Plan("kernel").shell("run", "uname -r")
    with pytest.raises(co.ClusterOpsError):
        co.Fleet(simulated.targets).resume(plan, tmp_path / "none")
    fleet = co.Fleet(simulated.targets, journal=tmp_path / "journal", connection_attempts=1)
    assert fleet.run(plan).failed == co.HostSet("n2")
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600

    async def look() -> co.Journal:
        return await co.Journal.aopen(tmp_path / "journal")

    for journal in (co.Journal.open(tmp_path / "journal"), asyncio.run(look())):
        assert (journal.is_finished, journal.ended, journal.plan, journal.path) == (True, 3, plan, tmp_path / "journal")
        assert [target.name for target in journal.targets] == ["n1", "n2", "n3"] and journal.run_id in repr(journal)
        assert journal.report().failed == co.HostSet("n2")
    with pytest.raises(co.ClusterOpsError, match="none"):
        co.Journal.open(tmp_path / "none")


def test_a_rollout_stops_within_its_budget(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-10]", answers=ANSWERS)
    rollout = co.Rollout(batches=[1, "50%"], failure_budget=0)
    report = co.Fleet(simulated.targets, rollout=rollout).run(co.Plan("bad").shell("run", "false"))
    assert report.ending == "stopped" and len(simulated["n10"].commands) == 0
    with pytest.raises(ValueError, match="share"):
        co.Rollout(batches=["half"])


def test_what_is_wrong_with_a_fleet_is_said_at_once() -> None:
    with pytest.raises(co.InvalidError):
        co.Fleet("web[1-2]").run(co.Plan("nothing"))
    with pytest.raises(ValueError, match="leftover"):
        co.Fleet("web1", leftover="keep")
    with pytest.raises(TypeError, match="span of time"):
        co.Fleet("web1", run_deadline="5s")  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(ValueError, match="-1"):
        co.Fleet("web1", run_deadline=-1)


def test_after_a_fork_calls_work(simulated_fleet: Simulated) -> None:
    assert co.run(simulated_fleet("n1", answers=ANSWERS).targets, "uname -r").is_success
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # A failure here is seen as its status.
        status = 1
        try:
            signal.alarm(30)
            with SimulatedFleet("c1", answers={"uname -r": "6.1.0\n"}) as simulated:
                report = co.run(simulated.targets, "uname -r")
            os.write(write, b"well" if report.is_success else b"failed")
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    said = os.read(read, 10)
    os.close(read)
    assert os.waitpid(child, 0)[1] == 0 and said == b"well"


def test_threads_share_the_runtime(simulated_fleet: Simulated) -> None:
    simulated = simulated_fleet("n[1-5]", answers=ANSWERS)
    outcomes: list[bool] = []

    def work() -> None:
        for _ in range(5):
            outcomes.append(co.run(simulated.targets, "uname -r").is_success)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 20
