"""One host: its commands and its files, blocking and awaited, against simulated hosts."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import clusterops as co
import pytest
from clusterops.secrets import Secret
from clusterops.testing import SimulatedAnswer, SimulatedFleet, SimulatedHost

ANSWERS: dict[str, str | SimulatedAnswer] = {
    "uname -r": "6.1.0\n",
    "both": SimulatedAnswer(stdout="out\n", stderr="err\n"),
    "false": SimulatedAnswer(stderr="no\n", status=3),
    "sleep 1000": SimulatedAnswer(never_exits=True),
}


@pytest.fixture
def simulated(simulated_fleet: Callable[..., SimulatedFleet]) -> SimulatedFleet:
    return simulated_fleet("web1", answers=ANSWERS)


@pytest.fixture
def host(simulated: SimulatedFleet) -> SimulatedHost:
    return simulated["web1"]


@pytest.fixture
def session(simulated: SimulatedFleet) -> Iterator[co.Session]:
    with co.Session.connect(simulated.targets[0]) as session:
        yield session


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


def test_a_command_gives_its_output(session: co.Session) -> None:
    output = session.run(["uname", "-r"])
    assert (output.host, output.exit_status, output.is_success) == ("web1", 0, True)
    assert (output.stdout, output.stdout_bytes, output.stderr) == ("6.1.0\n", b"6.1.0\n", "")
    assert output == session.run("uname -r") == pickle.loads(pickle.dumps(output))
    assert co.Output.from_json(output.to_json()) == output and output.to_dict()["stdout"] == "6.1.0\n"
    assert repr(output) == r"<Output 'web1': exit status 0, stdout='6.1.0\n'>"
    output.raise_for_failure()


def test_a_command_that_fails_is_no_error_until_it_is_asked_to_be(session: co.Session) -> None:
    output = session.run("false")
    assert (output.exit_status, output.is_success, output.stderr_bytes) == (3, False, b"no\n")
    with pytest.raises(co.CommandError, match="exit status 3: no") as raised:
        output.raise_for_failure()
    assert (raised.value.host, raised.value.kind) == ("web1", "command")


def test_what_a_command_is_told_reaches_it(session: co.Session, host: SimulatedHost) -> None:
    session.run("uname -r", env={"A": "b"}, secret_env={"PASSWORD": "hunter2"}, deadline=datetime.timedelta(minutes=1))
    assert (environment := host.calls[-1].environment)["A"] == "b" and environment["PASSWORD"] == "hunter2"
    session.run("uname -r", secret_env={"PASSWORD": Secret("sesame")})
    assert host.calls[-1].environment["PASSWORD"] == "sesame"
    assert session.run(["cat"], stdin="input").stdout == session.run("cat", stdin=b"input").stdout == "input"
    with pytest.raises(co.InvalidError, match="A B"):
        session.run("uname -r", env={"A B": ""})


@pytest.mark.parametrize("name", co.CommandOptions.__annotations__)
def test_options_of_commands_are_checked_by_name(session: co.Session, name: str) -> None:
    run: Callable[..., co.Output] = session.run
    with pytest.raises(TypeError, match=f"^{name}: "):
        run("uname -r", **{name: object()})


@pytest.mark.parametrize("name", co.TransferOptions.__annotations__)
def test_options_of_transfers_are_checked_by_name(session: co.Session, name: str) -> None:
    upload: Callable[..., co.Transferred] = session.upload
    with pytest.raises(TypeError, match=f"^{name}: "):
        upload("a", "b", **{name: object()})


def test_options_that_there_are_not_are_refused(session: co.Session) -> None:
    with pytest.raises(TypeError, match="no option 'deadlin'"):
        session.run("true", deadlin=1)  # type: ignore[call-arg]  # pyright: ignore
    with pytest.raises(TypeError, match="no option 'mod'"):
        session.upload("a", "b", mod=0o600)  # type: ignore[call-arg]  # pyright: ignore
    with pytest.raises(TypeError, match="as stdin too"):
        session.start("cat", stdin_streamed=True, stdin="")
    with pytest.raises(TypeError, match="list of strings"):
        session.run(7)  # type: ignore[arg-type]  # pyright: ignore


def test_a_script_has_an_interpreter_and_arguments(simulated_fleet: Callable[..., SimulatedFleet]) -> None:
    script = co.Script("set -e\necho secret words\n", ["a b"], interpreter=["/bin/bash", "-u"])
    assert repr(script) == "<Script for /bin/bash -u, 25 bytes>"
    assert repr(co.Script(b"")) == "<Script for /bin/sh, 0 bytes>"
    with pytest.raises(TypeError, match="bytes or a text"):
        co.Script(7)  # type: ignore[arg-type]  # pyright: ignore


def test_a_connector_serves_many_hosts(simulated_fleet: Callable[..., SimulatedFleet]) -> None:
    simulated = simulated_fleet("web[1-3]", answers=ANSWERS)
    connector = co.Connector(co.SessionOptions(connect_deadline=5))
    assert repr(connector) == "<Connector>" and connector.warnings == []
    for target in simulated.targets:
        with connector.connect(target) as session:
            assert session.host == target.name and session.run("uname -r").is_success

    async def side_by_side() -> list[str]:
        sessions = await asyncio.gather(*(connector.aconnect(target) for target in simulated.targets))
        outputs = await asyncio.gather(*(session.arun("uname -r") for session in sessions))
        await asyncio.gather(*(session.aclose() for session in sessions))
        return [output.stdout for output in outputs]

    assert asyncio.run(side_by_side()) == ["6.1.0\n"] * 3
    simulated["web2"].fault("refuse")
    with pytest.raises(ConnectionError, match="web2"):
        connector.connect(simulated.targets[1])


@pytest.mark.parametrize(
    "options",
    [
        co.SessionOptions(jump="ana@gate:2222,second", keepalive_interval=5, keepalive_max=2, identities_only=True),
        co.SessionOptions(proxy_command="nc %h %p", agent_socket="/run/agent", certificate_files=["a-cert.pub"]),
        co.SessionOptions(revoked_host_keys=["revoked"], hash_known_hosts=True, update_host_keys=False),
    ],
)
def test_options_of_sessions_travel(options: co.SessionOptions) -> None:
    assert pickle.loads(pickle.dumps(options)).__reduce__()[0].keywords == options.__reduce__()[0].keywords


def test_hosts_are_reached_in_one_way() -> None:
    with pytest.raises(co.InvalidError, match="not by both"):
        co.SessionOptions(jump="gate", proxy_command="nc %h %p")


def test_deadlines_end_the_remote_work(session: co.Session, host: SimulatedHost) -> None:
    with pytest.raises(TimeoutError, match="web1") as raised:
        session.run("sleep 1000", deadline=0.1)
    assert isinstance(raised.value, co.DeadlineError) and raised.value.host == "web1" and host.process_count == 0
    with pytest.raises(co.DeadlineError):
        list(session.start("sleep 1000", deadline=0.1))
    assert host.process_count == 0


def test_deadlines_keep_what_was_written(session: co.Session) -> None:
    line = "echo begun; sleep 1000"

    def late(deadline: float) -> list[co.ClusterOpsError]:
        errors: list[co.ClusterOpsError] = []
        runs: list[Callable[[], co.Output]] = [
            lambda: session.run(line, deadline=deadline),
            lambda: session.start(line, deadline=deadline).output(),
        ]
        for run in runs:
            with pytest.raises(co.DeadlineError) as raised:
                run()
            errors += [raised.value, pickle.loads(pickle.dumps(raised.value))]
        return errors

    # A slow machine may have nothing to show for its time.
    for deadline in (0.2, 1, 5, 20):
        outputs = [error.output for error in late(deadline)]
        if all(output and output.stdout for output in outputs):
            break
    assert [output.stdout for output in outputs if output] == ["begun\n"] * 4


@contextmanager
def interrupted(condition: Callable[[], bool]) -> Generator[None]:
    """Presses Ctrl-C once the condition holds; it must be raised in here."""

    def interrupt() -> None:
        wait_for(condition)
        # What is to be interrupted may have to begin yet.
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        yield
        time.sleep(20)
    thread.join()


def test_ctrl_c_ends_the_remote_work(session: co.Session, host: SimulatedHost, tmp_path: Path) -> None:
    with interrupted(lambda: host.process_count == 1):
        session.run("sleep 1000")
    assert host.process_count == 0
    process = session.start("sleep 1000")
    with interrupted(lambda: host.process_count == 1):
        next(process)
    assert host.process_count == 0
    content = tmp_path / "content"
    content.write_bytes(bytes(1_000_000))
    begun = threading.Event()
    with interrupted(begun.is_set):
        session.upload(content, "/tmp/content", bandwidth=100_000, progress=lambda done, total: begun.set())


def test_ctrl_c_is_obeyed_at_once(
    session: co.Session,
    simulated: SimulatedFleet,
    host: SimulatedHost,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fleet, plan = co.Fleet(simulated.targets), co.Plan("p").shell("wait", "sleep 1000")
    calls: dict[str, Callable[[], object]] = {
        "Session.run": lambda: session.run("sleep 1000"),
        "Process": lambda: next(session.start("sleep 1000")),
        "Fleet.run": lambda: fleet.run(plan),
        "Run": lambda: list(fleet.start(plan)),
    }
    took: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        for _ in range(8):
            pressed: list[float] = []

            def interrupt(pressed: list[float] = pressed) -> None:
                wait_for(lambda: host.process_count == 1)
                pressed.append(time.monotonic())
                os.kill(os.getpid(), signal.SIGINT)

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                call()
                time.sleep(20)
            took[name].append(time.monotonic() - pressed[0])
            thread.join()
            # A command that had just been started, and was not known here yet, ends a moment later.
            wait_for(lambda: host.process_count == 0)
    with capsys.disabled():
        for name, seconds in took.items():
            spread = [f"{1000 * second:.0f}" for second in (min(seconds), sorted(seconds)[4], max(seconds))]
            print(f"\nCtrl-C ends {name} within {' / '.join(spread)} ms (least, median, most)", end="")
    # The machine may be busy with something else for a while, and hardly for all of them.
    assert all(min(seconds) < 0.1 and max(seconds) < 20 for seconds in took.values()), took


def test_an_interrupt_is_not_lost_where_logging_is_asked(session: co.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_logger: logging.Logger) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(logging.Logger, "hasHandlers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run("uname -r")
    assert session.run("uname -r").is_success


def test_a_cancelled_task_ends_the_remote_work(session: co.Session, host: SimulatedHost) -> None:
    async def impatient() -> None:
        await asyncio.wait_for(session.arun("sleep 1000"), 0.5)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    wait_for(lambda: host.process_count == 0)
    assert session.run("uname -r").is_success


def test_output_comes_as_it_is_written(session: co.Session) -> None:
    process = session.start("both")
    chunks = list(process)
    assert {chunk.stream: chunk.bytes for chunk in chunks} == {"stdout": b"out\n", "stderr": b"err\n"}
    assert (process.exit_status, process.exit, process.host) == (0, "exit status 0", "web1")
    assert repr(process) == "<Process on 'web1': exit status 0>" and repr(chunks[0]).startswith("<Chunk std")


def test_input_is_streamed(session: co.Session) -> None:
    with session.start(["cat"], stdin_streamed=True) as process:
        process.write("one\n")
        first = next(process)
        assert (first.stream, first.bytes) == ("stdout", b"one\n") and process.exit is None
        process.write(b"two\n")
        process.close_stdin()
        with pytest.raises(co.InvalidError, match="it was closed"):
            process.write(b"three")
        assert process.output().stdout == "two\n"


def test_a_process_is_ended_by_whoever_started_it(session: co.Session, host: SimulatedHost) -> None:
    with session.start("sleep 1000"):
        wait_for(lambda: host.process_count == 1)
    assert host.process_count == 0
    process = session.start("sleep 1000")
    wait_for(lambda: host.process_count == 1)
    assert process.terminate(grace=1) == "all remote processes ended" == process.terminate()
    assert host.process_count == 0 and list(process) == []
    process = session.start("sleep 1000")
    wait_for(lambda: host.process_count == 1)
    del process
    wait_for(lambda: host.process_count == 0)


def test_a_reader_of_another_thread_sees_the_end(session: co.Session) -> None:
    process = session.start("sleep 1000")
    read: list[list[co.Chunk]] = []
    reader = threading.Thread(target=lambda: read.append(list(process)))
    reader.start()
    process.terminate()
    reader.join(20)
    assert read == [[]]


def test_everything_can_be_awaited(simulated: SimulatedFleet, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("a")

    async def work() -> None:
        async with await co.Session.aconnect(simulated.targets[0]) as session:
            outputs = await asyncio.gather(session.arun("uname -r"), session.arun(["false"]))
            assert [output.exit_status for output in outputs] == [0, 3]
            async with await session.astart("cat", stdin_streamed=True) as process:
                await process.awrite("one\n")
                await process.aclose_stdin()
                assert b"".join([chunk.bytes async for chunk in process]) == b"one\n"
            async with await session.astart("sleep 1000") as process:
                assert await process.aterminate() == "all remote processes ended"
                assert not (await process.aoutput()).is_success
            await session.aupload(tmp_path / "tree" / "a", "/tmp/a")
            await session.adownload("/tmp/a", tmp_path / "b")
            assert (await session.aupload_tree(tmp_path / "tree", "/tmp/tree")).files == 1
            assert (await session.adownload_tree("/tmp/tree", tmp_path / "back")).files == 1
        assert session.is_closed

    asyncio.run(work())
    assert (tmp_path / "b").read_text() == (tmp_path / "back" / "a").read_text() == "a"


def test_files_travel(session: co.Session, host: SimulatedHost, tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(b"content")
    done = session.upload(tmp_path / "app.tar", "/tmp/app.tar", mode=0o640, verify=False, bandwidth=10_000_000)
    assert pickle.loads(pickle.dumps(done)) == done
    assert (done.bytes, done.files, done.resumed) == (7, 1, 0) and host.read_file("/tmp/app.tar") == b"content"
    assert repr(done) == "<Transferred 1 files, 7 bytes>" and done.to_dict() == {"bytes": 7, "files": 1}
    assert session.download("/tmp/app.tar", str(tmp_path / "back")).bytes == 7
    assert (tmp_path / "back").read_bytes() == b"content"
    tree = tmp_path / "tree" / "below"
    tree.mkdir(parents=True)
    (tree / "file").write_text("text")
    (tree / "out").symlink_to("/etc/passwd")
    done = session.upload_tree(tmp_path / "tree", "/tmp/tree")
    assert (done.files, done.folders, done.skipped, done.skipped_count) == (1, 1, [("below/out", "leads_out")], 1)
    assert repr(done) == f"<Transferred 1 files, {done.bytes} bytes, 1 skipped>"
    assert session.download_tree("/tmp/tree", tmp_path / "again") == session.download_tree("/tmp/tree", tmp_path / "3")
    assert (tmp_path / "again" / "below" / "file").read_text() == "text"
    with pytest.raises(ValueError, match="bandwidth of 0"):
        session.upload(tmp_path / "app.tar", "/tmp/app.tar", bandwidth=0)
    with pytest.raises(co.TransferError, match="web1") as raised:
        session.download("/tmp/none", tmp_path / "none")
    assert raised.value.host == "web1"
    with pytest.raises(co.LocalError):
        session.upload(tmp_path / "none", "/tmp/none")


def test_progress_is_told(session: co.Session, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(3_000_000))
    told: list[tuple[int, int]] = []
    session.upload(content, "/tmp/content", progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and told[-1] == (3_000_000, 3_000_000)

    async def note(done: int, total: int) -> None:
        told.append((done, total))

    del told[:]

    async def fetch() -> co.Transferred:
        return await session.adownload("/tmp/content", tmp_path / "back", progress=note)

    assert asyncio.run(fetch()).bytes == 3_000_000 and told[-1] == (3_000_000, 3_000_000)


def test_what_a_progress_hook_raises_is_raised(session: co.Session, host: SimulatedHost, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(3_000_000))

    def refuse(done: int, total: int) -> None:
        raise LookupError(f"{done} of {total}")

    with pytest.raises(LookupError, match="of 3000000"):
        session.upload(content, "/tmp/content", progress=refuse, bandwidth=2_000_000)
    with pytest.raises(FileNotFoundError):
        host.read_file("/tmp/content")


def test_a_transfer_ends_with_its_deadline_or_its_task(session: co.Session, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(bytes(1_000_000))
    with pytest.raises(co.DeadlineError, match="web1: the transfer did not end within"):
        session.upload(content, "/tmp/content", bandwidth=100_000, deadline=0.2)

    async def impatient() -> None:
        await asyncio.wait_for(session.aupload(content, "/tmp/content", bandwidth=100_000), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())


def test_a_session_that_is_closed_says_so(simulated: SimulatedFleet) -> None:
    session = co.Session.connect(simulated.targets[0], co.SessionOptions(connect_deadline=5))
    assert repr(session) == "<Session 'web1'>" and session.host == "web1" and session.warnings == []
    assert not session.is_closed
    session.close()
    session.close()
    assert session.is_closed and repr(session) == "<Session 'web1', closed>"
    with pytest.raises(co.InvalidError, match="web1 is closed"):
        session.run("uname -r")


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("refuse", ConnectionError, "refused"),
        ("wrong_host_key", PermissionError, "host_key"),
        ("reject_authentication", co.DeniedError, "authentication"),
    ],
)
def test_what_keeps_from_connecting(
    simulated: SimulatedFleet, host: SimulatedHost, fault: str, error: type[Exception], kind: str
) -> None:
    host.fault(fault)
    with pytest.raises(error) as raised:
        co.Session.connect(simulated.targets[0])
    assert isinstance(raised.value, co.ClusterOpsError)
    assert (raised.value.host, raised.value.kind) == ("web1", kind)


def test_a_session_does_not_go_along_with_a_fork(session: co.Session) -> None:
    process = session.start("sleep 1000")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(30)
            uses: list[Callable[[], object]] = [lambda: session.run("uname -r"), process.output]
            for use in uses:
                try:
                    use()
                except co.InvalidError as error:
                    os.write(write, str(error).encode() + b"\n")
            session.close()
            del process
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as told:
        said = told.read()
    assert os.waitpid(child, 0)[1] == 0 and said.count("parent of this process") == 2, said
    assert session.run("uname -r").is_success and process.exit is None
    process.terminate()
