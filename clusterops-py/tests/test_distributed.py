"""Runs over the workers of a real Dask cluster, whose processes are killed; the hosts are simulated in another process."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import clusterops as co
import pytest
from clusterops.distributed import DistributedFleet, DistributedRun

dask: Any = pytest.importorskip("distributed")

SECRET = "correct horse battery staple"
VAULT = f"""
class Vault:
    def secret(self, target, purpose):
        return {SECRET!r} if purpose.name == "db" else None
"""
ANSWERS = {"quick": ("quick\n", 0.0), "slow": ("slow\n", 0.6), "long": ("long\n", 5.0), "endless": ("", 1000.0)}
PLAN = co.Plan("p").shell("first", "quick").shell("second", "slow")


class FleetProcess:
    """A simulated fleet in a process of its own. Answers are outputs with the seconds that they take."""

    def __init__(self, hosts: str, answers: Mapping[str, tuple[str, float]]) -> None:
        program = Path(__file__).parent / "fleet_process.py"
        command = [sys.executable, str(program), hosts, json.dumps(answers)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.targets = [co.Target.from_json(text) for text in self._read()]

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def _ask(self, **what: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._read()

    def commands(self) -> dict[str, list[str]]:
        """What each host was told to run."""
        return {host: seen["commands"] for host, seen in self._ask(what="look").items()}

    def environments(self) -> dict[str, list[dict[str, str]]]:
        """The environments of these commands."""
        return {host: seen["environments"] for host, seen in self._ask(what="look").items()}

    def processes(self) -> int:
        """How many processes run on all hosts."""
        return sum(seen["processes"] for seen in self._ask(what="look").values())

    def read(self, path: str) -> dict[str, str]:
        """A file of each host."""
        files: dict[str, str] = self._ask(what="read", path=path)
        return files

    def fault(self, host: str, fault: str | None) -> None:
        """Breaks a host, or heals it."""
        self._ask(what="fault", host=host, fault=fault)

    def close(self) -> None:
        """Ends the hosts."""
        self._process.communicate(timeout=20)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three workers, each in a process of its own; they can import `vault`."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "vault.py").write_text(VAULT)
    sys.path.insert(0, str(folder))
    # A local cluster gives a worker up for ever that is not back after 15 s, which a busy machine may need.
    patience = import_module("dask").config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"})
    with (
        patience,
        dask.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        yield cluster
    sys.path.remove(str(folder))


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with dask.Client(cluster) as client:
        client.wait_for_workers(3, timeout=200)
        yield client


@pytest.fixture
def hosts() -> Iterator[Callable[[str], FleetProcess]]:
    """Starts fleets of hosts with the same answers."""
    fleets: list[FleetProcess] = []

    def start(names: str) -> FleetProcess:
        fleets.append(FleetProcess(names, ANSWERS))
        return fleets[-1]

    yield start
    for fleet in fleets:
        fleet.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def counts(fleet: FleetProcess, line: str) -> dict[str, int]:
    return {host: commands.count(line) for host, commands in fleet.commands().items()}


def kill_worker_in_its_second_host(client: Any, fleet: FleetProcess, run: DistributedRun) -> tuple[str, set[str]]:
    """Reads events until a worker has a host behind it and is in the last stage of another, and kills it; gives who it was,
    and the hosts that had ended."""
    processes: dict[str, int] = client.run(os.getpid)
    ended: dict[str, str] = {}
    for told in run:
        if not isinstance(told.event, co.HostEvent):
            continue
        if told.event.is_final:
            ended[told.event.host] = told.worker
        elif told.event.stage == "second" and told.worker in ended.values():
            host = told.event.host
            wait_for(lambda: "slow" in fleet.commands()[host])
            os.kill(processes[told.worker], signal.SIGKILL)
            return told.worker, set(ended)
    raise AssertionError("no worker has come to a second host")


def test_a_killed_worker_costs_no_host_and_none_runs_twice(
    client: Any, hosts: Callable[[str], FleetProcess]
) -> None:
    fleet = hosts("n[1-9]")
    run = DistributedFleet(client, fleet.targets, parallelism=1, leftover="wait").start(PLAN)
    _, ended = kill_worker_in_its_second_host(client, fleet, run)
    finals = [told.event.host for told in run if isinstance(told.event, co.HostEvent) and told.event.is_final]
    assert sorted([*finals, *ended]) == sorted(f"n{number}" for number in range(1, 10)), "each end is told once"
    report = run.report()
    assert report.is_success and report.ending == "completed" and report.run_id == run.id
    assert list(report) == [f"n{number}" for number in range(1, 10)] and report.warnings == []
    assert report.gather("second").answers[0].hosts == co.HostSet("n[1-9]")
    assert counts(fleet, "quick") == dict.fromkeys(report, 1)
    # What the worker had under way was waited for, and its journal knew of all the others: only that one may be again.
    slow = counts(fleet, "slow")
    assert {slow[host] for host in ended} == {1}, (ended, slow)
    assert set(slow.values()) <= {1, 2} and list(slow.values()).count(2) <= 1, slow
    again = [host for host in report if report[host]["second"].attempt == 2]
    assert again == [host for host, times in slow.items() if times == 2]
    used = {variables["CLUSTEROPS_RUN"] for each in fleet.environments().values() for variables in each if "CLUSTEROPS_RUN" in variables}
    assert used == {run.id}
    assert not list(Path(tempfile.gettempdir()).glob(f"clusterops-{run.id}"))


def test_without_the_dead_workers_machine_what_ended_is_not_run_again(
    client: Any, hosts: Callable[[str], FleetProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = hosts("n[1-9]")
    # As if no other worker were on its machine.
    monkeypatch.setattr("clusterops.distributed._drive.holds", nobody_holds)
    run = DistributedFleet(client, fleet.targets, parallelism=1, patience=0).start(PLAN)
    killed, ended = kill_worker_in_its_second_host(client, fleet, run)
    report = run.report()
    assert report.is_success and set(report) == {f"n{number}" for number in range(1, 10)}
    (warning,) = report.warnings
    assert killed in warning and "may have run twice" in warning
    slow = counts(fleet, "slow")
    assert all(slow[host] == 1 for host in ended)
    # Only the one host that was under way.
    assert set(slow.values()) <= {1, 2} and list(slow.values()).count(2) <= 1


def nobody_holds(_journal: str) -> bool:
    return False


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that this process, which has the client and the scheduler, sends to others."""
    import distributed.comm.tcp as tcp

    sent: list[bytes] = []
    module: Any = tcp
    to_frames = module.to_frames

    async def recorded(*arguments: Any, **keywords: Any) -> Any:
        frames = await to_frames(*arguments, **keywords)
        sent.extend(bytes(frame) for frame in frames)
        return frames

    monkeypatch.setattr(module, "to_frames", recorded)
    return sent


def test_no_secret_and_no_key_is_on_the_wire(
    client: Any, hosts: Callable[[str], FleetProcess], wire: list[bytes], tmp_path: Path
) -> None:
    fleet = hosts("n[1-3]")
    (tmp_path / "app").write_bytes(b"what travels")
    plan = co.Plan("secret").upload("send", tmp_path / "app", "/tmp/app").shell("start", "quick", secret_env={"PASSWORD": "db"})
    with pytest.raises(co.NotFoundError, match="db"):
        DistributedFleet(client, fleet.targets).start(plan)
    report = DistributedFleet(client, fleet.targets, credentials="vault:Vault").run(plan)
    assert report.is_success, str(report)
    for environments in fleet.environments().values():
        assert SECRET in {variables.get("PASSWORD") for variables in environments}
    key = fleet.targets[0].identity_file
    assert key is not None
    lines = [line for line in key.read_bytes().splitlines() if not line.startswith(b"-----")]
    assert len(lines) > 2
    everything = b"\0".join(wire)
    # What is to travel is seen, so what is not seen did not travel.
    for seen in (b"what travels", b"PASSWORD", b"vault:Vault", os.fsencode(key), b"n3"):
        assert seen in everything
    for hidden in (SECRET.encode(), b"PRIVATE KEY", *lines):
        assert hidden not in everything
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(co.Fleet(fleet.targets, credentials=Vault()))


class Vault:
    def secret(self, target: co.Target, purpose: co.Purpose) -> str | None:
        return SECRET


def test_passwords_of_an_inventory_stay_here(client: Any, tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text(f"[all]\nweb1 ansible_password='{SECRET}'\nweb2\n")
    targets = co.Inventory.load(tmp_path / "hosts.ini").targets
    assert [target.has_passwords for target in targets] == [True, False]
    with pytest.raises(co.InvalidError, match="web1 came with passwords"):
        DistributedFleet(client, targets)
    assert SECRET.encode() not in pickle.dumps(targets)
    DistributedFleet(client, targets, credentials="vault:Vault")


def test_files_are_sent_once_and_looked_at_there(
    client: Any, hosts: Callable[[str], FleetProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from clusterops.distributed import _cluster, _files

    called: list[str] = []
    call = _cluster.Cluster.call

    def counted(self: Any, worker: str, function: Callable[..., Any], *arguments: Any) -> Any:
        called.append(function.__name__)
        return call(self, worker, function, *arguments)

    monkeypatch.setattr(_cluster.Cluster, "call", counted)
    monkeypatch.setattr(_files, "PIECE", 1000)
    fleet = hosts("n[1-6]")
    content = "0123456789" * 250
    (tmp_path / "app.sh").write_text(content)
    (tmp_path / "tree" / "empty").mkdir(parents=True)
    (tmp_path / "tree" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "tree" / "run").chmod(0o751)
    monkeypatch.chdir(tmp_path)
    plan = co.Plan("files").upload("send", "app.sh", "/tmp/app.sh").upload_tree("tree", "tree", "/tmp/tree")
    report = DistributedFleet(client, fleet.targets).run(plan)
    assert report.is_success, str(report)
    assert set(fleet.read("/tmp/app.sh").values()) == {content}
    assert set(fleet.read("/tmp/tree/run").values()) == {"#!/bin/sh\n"}
    # Three pieces of the file, and the archive's: once for all three workers, which are on one machine.
    archive = sum(1 for item in _files.items(report.to_dict()["files"]) if item.is_folder for _ in _files.pieces(item))
    assert called.count("receive") == 3 + archive and called.count("missing") == 3
    # The report is as one of this machine alone, which goes on from it.
    alone = co.Fleet(fleet.targets)
    assert report.to_dict()["files"] == alone.local_files(plan)
    assert alone.retry(plan, report).report().is_success


def test_failed_hosts_are_retried(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    fleet = hosts("n[1-6]")
    fleet.fault("n2", "reject_authentication")
    distributed_fleet = DistributedFleet(client, fleet.targets, connection_attempts=1)
    plan = co.Plan("p").shell("first", "quick")
    report = distributed_fleet.run(plan)
    assert report.failed == co.HostSet("n2") and isinstance(report["n2"].failure, PermissionError)
    fleet.fault("n2", None)
    again = distributed_fleet.retry(plan, report).report()
    assert again.is_success and list(again) == [f"n{number}" for number in range(1, 7)]
    assert counts(fleet, "quick") == dict.fromkeys(again, 1)


def test_what_ended_is_known_before_the_run_is_over(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    fleet = hosts("n[1-6]")
    plan = co.Plan("p").shell("first", "quick").shell("second", "slow")
    distributed_fleet = DistributedFleet(client, fleet.targets, parallelism=1)
    run = distributed_fleet.start(plan)
    with pytest.raises(co.InvalidError, match="no host has ended"):
        run.ended()
    for told in run:
        if isinstance(told.event, co.HostEvent) and told.event.is_final:
            assert run.ended()[told.event.host]["second"].stdout == "slow\n"
            break
    known = run.ended()
    run.cancel()
    assert known.is_success and set(known.succeeded) <= set(run.report().succeeded)
    # What is not known begins anew, and what is known is left alone.
    again = distributed_fleet.retry(plan, known).report()
    assert again.is_success and list(again) == [f"n{number}" for number in range(1, 7)]
    assert all(counts(fleet, "slow")[host] == 1 for host in known.succeeded)


def test_hosts_behind_a_jump_host_share_one_connection_to_it(
    client: Any, sshd: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gates = [type(sshd)(tmp_path_factory.mktemp(name)) for name in ("gate1", "gate2")]
    try:
        targets: list[co.Target] = []
        for number in range(1, 7):
            there, gate = sshd.target(f"web{number}"), gates[number % 2].target()
            targets.append(
                co.Target(
                    there.name,
                    there.address,
                    port=there.port,
                    user=there.user,
                    identity_file=there.identity_file,
                    known_hosts=there.known_hosts,
                    jump=f"{gate.user}@{gate.address}:{gate.port}",
                )
            )
        # The jump hosts' keys: a worker reads them from its own disk.
        options = co.SessionOptions(
            read_config=False,
            agent=False,
            identity_files=[gate.folder / "identity" for gate in gates],
            known_hosts=[gate.known_hosts for gate in gates],
        )
        line = 'set -- $SSH_CONNECTION; echo "$1"'
        run = DistributedFleet(client, targets, session=options).start(co.Plan("p").shell("who", line))
        workers: dict[str, set[str]] = {target.name: set() for target in targets}
        for told in run:
            if isinstance(told.event, co.HostEvent):
                workers[told.event.host].add(told.worker)
        report = run.report()
        assert report.is_success, str(report)
        assert {host: report[host]["who"].stdout for host in workers} == {host: "127.0.0.1\n" for host in workers}
        behind: list[set[str]] = [set(), set()]
        for number in range(1, 7):
            behind[number % 2] |= workers[f"web{number}"]
        assert len(behind[0]) == len(behind[1]) == 1 and behind[0] != behind[1], "who is behind one gate goes to one worker"
        for gate in gates:
            assert gate.log().count("Accepted publickey") == 1, gate.log()
    finally:
        for gate in gates:
            gate.close()


def test_workers_that_are_lost_with_the_same_hosts_are_an_error(
    client: Any, hosts: Callable[[str], FleetProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusterops.distributed._drive.MOST_LOST", 1)
    fleet = hosts("n[1-6]")
    run = DistributedFleet(client, fleet.targets, parallelism=1).start(PLAN)
    _, ended = kill_worker_in_its_second_host(client, fleet, run)
    with pytest.raises(co.UnreachableError, match="1 workers were lost"):
        run.report()
    assert ended <= set(run.ended())


def test_runs_are_awaited_and_iterated(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    fleet = DistributedFleet(client, hosts("n[1-6]").targets)

    async def both() -> tuple[dict[str, str], co.Report]:
        output: dict[str, str] = {}
        async for told in (run := fleet.arun(co.Plan("p").shell("first", "quick"))):
            if isinstance(told.event, co.OutputEvent):
                output[told.event.host] = told.worker
        return output, await run

    output, report = asyncio.run(both())
    assert report.is_success and set(output) == set(report) and len(set(output.values())) == 3


def test_a_cancelled_run_ends_everywhere(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    fleet = hosts("n[1-6]")
    plan = co.Plan("p").shell("first", "endless")
    run = DistributedFleet(client, fleet.targets).start(plan)
    wait_for(lambda: fleet.processes() == 6)
    run.cancel()
    report = run.report()
    assert report.ending == "cancelled" and isinstance(report["n1"].failure, co.CancelledError)
    assert fleet.processes() == 0

    # Nobody holds it any more.
    run = DistributedFleet(client, fleet.targets).start(plan)
    wait_for(lambda: fleet.processes() == 6)
    del run
    wait_for(lambda: fleet.processes() == 0)

    async def impatient() -> None:
        task = asyncio.ensure_future(DistributedFleet(client, fleet.targets).arun(plan)._report())  # pyright: ignore[reportPrivateUsage]
        while fleet.processes() != 6:
            await asyncio.sleep(0.02)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(impatient())
    wait_for(lambda: fleet.processes() == 0)


def test_cancelling_who_iterates_ends_the_run(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    fleet = hosts("n[1-3]")
    run = DistributedFleet(client, fleet.targets).arun(co.Plan("p").shell("first", "endless"))

    async def look() -> None:
        async for _ in run:
            pass

    async def impatient() -> None:
        task = asyncio.create_task(look())
        await asyncio.to_thread(wait_for, lambda: fleet.processes() == 3)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(impatient())

    async def left() -> co.Report:
        assert {told.event.host async for told in run if isinstance(told.event, co.HostEvent)} == set("n1 n2 n3".split())
        return await run

    assert asyncio.run(left()).ending == "cancelled" and fleet.processes() == 0


INTERRUPTED = """
import asyncio, signal, sys
import clusterops as co
from clusterops.distributed import DistributedFleet
from distributed import Client

async def main(client):
    targets = [co.Target.from_json(line) for line in sys.stdin]
    async for _ in (run := DistributedFleet(client, targets).arun(co.Plan("p").shell("first", "endless"))):
        pass

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    client = Client(sys.argv[1])
    asyncio.run(main(client))
"""


def test_a_program_that_is_interrupted_ends_after_its_remote_work(
    cluster: Any, client: Any, hosts: Callable[[str], FleetProcess]
) -> None:
    fleet = hosts("n[1-3]")
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, cluster.scheduler_address],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin
        child.stdin.write("".join(f"{target.to_json()}\n" for target in fleet.targets))
        child.stdin.close()
        child.stdin = None
        wait_for(lambda: fleet.processes() == 3 or child.poll() is not None)
        interrupted = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
        took = time.monotonic() - interrupted
        assert "KeyboardInterrupt" in said, said
    # It waits for no longer than 10 s.
    assert took > 10 or fleet.processes() == 0
    wait_for(lambda: fleet.processes() == 0)


FORKED = """
import asyncio, os, signal, sys
import clusterops as co
from clusterops.distributed import DistributedFleet
from clusterops.distributed._drive import _end_with_the_program
from distributed import Client

async def wait(awaited):
    await awaited

async def iterate(awaited):
    async for _ in awaited:
        pass

if __name__ == "__main__":
    signal.alarm(120)
    client = Client(sys.argv[1])
    fleet = DistributedFleet(client, [co.Target.from_json(line) for line in sys.stdin])
    plan = co.Plan("p").shell("first", "slow")
    run, awaited = fleet.start(plan), fleet.arun(plan)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        inherited = (lambda: asyncio.run(wait(awaited)), lambda: asyncio.run(iterate(awaited)))
        for use in (run.report, lambda: next(run), run.cancel, run.pause, run.ended, *inherited):
            try:
                use()
            except co.InvalidError as error:
                assert "was made by the parent of this process" in str(error), error
            else:
                raise AssertionError("it was used")
        # They are not waited for at the end of a child.
        _end_with_the_program()
        assert not run._drive._is_let_go
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert run.report().is_success and asyncio.run(awaited._report()).is_success
"""


def test_what_was_started_before_a_fork_is_its_parents(
    cluster: Any, client: Any, hosts: Callable[[str], FleetProcess]
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, cluster.scheduler_address],
        input="".join(f"{target.to_json()}\n" for target in hosts("n[1-3]").targets),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_ctrl_c_ends_the_remote_work(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    fleet = hosts("n[1-3]")

    def interrupt() -> None:
        wait_for(lambda: fleet.processes() == 3)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        DistributedFleet(client, fleet.targets).run(co.Plan("p").shell("first", "endless"))
    thread.join()
    assert fleet.processes() == 0


def test_what_several_workers_cannot_keep_is_refused(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    targets = hosts("n[1-2]").targets
    with pytest.raises(co.InvalidError, match="rollout"):
        DistributedFleet(client, targets, rollout=co.Rollout(batches=[1]))
    with pytest.raises(co.InvalidError, match="module:name"):
        DistributedFleet(client, targets, credentials="vault")
    with pytest.raises(TypeError, match="journal"):
        DistributedFleet(client, targets, journal="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fleet = DistributedFleet(client, targets)
    for plan, what in [
        (co.Plan("p").shell("first", "quick", barrier=True), "`first` is barrier"),
        (co.Plan("p").shell("first", "quick", run_once=True), "`first` is run once"),
        (co.Plan("p").fetch("back", "/etc/hosts", "here"), "absolute path"),
        (co.Plan("p"), "no stages"),
    ]:
        with pytest.raises(co.InvalidError, match=what):
            fleet.start(plan)
    with pytest.raises(co.UnreachableError, match="no worker"):
        DistributedFleet(client, targets, workers=["tcp://127.0.0.1:1"], patience=0).run(PLAN)
    with pytest.raises(co.InvalidError, match="not to be had on the worker"):
        DistributedFleet(client, targets, credentials="nowhere:Vault").run(PLAN)


def test_an_asynchronous_client_is_refused(cluster: Any) -> None:
    async def asynchronous() -> None:
        async with dask.Client(cluster.scheduler_address, asynchronous=True) as client:
            with pytest.raises(co.InvalidError, match="asynchronous"):
                DistributedFleet(client, "web1")

    asyncio.run(asynchronous())


# The last: the cluster makes no other worker for it.
def test_a_worker_that_is_retired_hands_its_hosts_on(client: Any, hosts: Callable[[str], FleetProcess]) -> None:
    fleet = hosts("n[1-6]")
    run = DistributedFleet(client, fleet.targets, parallelism=1).start(co.Plan("p").shell("first", "quick").shell("second", "long"))
    worker, host = next(
        (told.worker, told.event.host) for told in run if isinstance(told.event, co.HostEvent) and told.event.stage == "second"
    )
    wait_for(lambda: "long" in fleet.commands()[host])
    # It ends in good order, in the middle of the stage: nobody has cancelled that.
    client.retire_workers([worker])
    report = run.report()
    assert report.is_success and report.ending == "completed" and len(report) == 6, str(report)
    long = list(counts(fleet, "long").values())
    assert set(long) <= {1, 2} and long.count(2) <= 1, long
