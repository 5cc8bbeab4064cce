"""Against OpenSSH's sshd: runs, sessions, files, host keys, and what comes after a failure or a crash."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import clusterops as co
import pytest

# What OpenSSH's configuration of this machine says does not matter.
OPTIONS = co.SessionOptions(read_config=False, agent=False)


class Sshd(Protocol):
    """The fixture of `conftest.py`, as far as it is used here."""

    user: str

    def target(self, name: str = "web1", *, known_hosts: Path | None = None) -> co.Target: ...
    def log(self) -> str: ...
    def knowing(self, key: str) -> Path: ...


def targets(sshd: Sshd) -> list[co.Target]:
    return [sshd.target(name) for name in co.HostSet("web[1-3]")]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only its remains (proc(5))."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_line_runs_on_hosts(sshd: Sshd) -> None:
    fleet = co.Fleet(targets(sshd), session=OPTIONS)
    report = fleet.run(co.Plan("user").command("who", ["id", "-un"]))
    assert str(report.gather()) == f"web[1-3]: {sshd.user}" and report.is_success

    async def awaited() -> co.Report:
        return await fleet.arun(co.Plan("fails").shell("run", "echo no >&2; exit 3"))

    report = asyncio.run(awaited())
    assert report["web2"]["run"].exit_status == 3 and report["web2"]["run"].stderr == "no\n"


def test_a_session_runs_commands(sshd: Sshd) -> None:
    odd = ["a b", "$HOME", "'", '"', "\n", "ü", ""]
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        assert session.run(["printf", "%s.", *odd]).stdout == "".join(f"{word}." for word in odd)
        assert session.run("kill -KILL $$").exit == "ended by SIGKILL"
        assert session.run(["pwd"], current_dir="/usr").stdout == "/usr\n"
        assert session.run("test -t 0 && test -t 1", pty=True).is_success
        assert not session.run("test -t 0", pty=False).is_success
        assert session.run(["printenv", "A", "B"], env={"A": "1"}, secret_env={"B": "2"}).stdout == "1\n2\n"
        assert session.run(["wc", "-c"], stdin=bytes(300_000)).stdout.strip() == "300000"
        with session.start("cat; exit 4", stdin_streamed=True) as process:
            process.write("one\n")
            assert next(process).bytes == b"one\n"
            process.close_stdin()
            assert process.output().exit_status == 4
        with pytest.raises(co.ClusterOpsError) as raised:
            session.run("true", current_dir="/nonexistent")
        assert raised.value.host == "web1"


def test_a_script_runs_there(sshd: Sshd) -> None:
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        script = co.Script('for word; do printf "%s." "$word"; done; cat; exit 3', ["a b", "$HOME", ""])
        output = session.run(script, stdin="input")
        assert (output.stdout, output.exit_status) == ("a b.$HOME..input", 3)
        script = co.Script(b"import os, sys; print(sys.argv[1:], os.environ['A'])", ["x"], interpreter=[sys.executable])
        assert session.run(script, env={"A": "1"}).stdout == "['x'] 1\n"
        with session.start(co.Script("read line; echo got $line"), stdin_streamed=True) as process:
            process.write("this\n")
            assert process.output().stdout == "got this\n"


class Echo:
    """A server that repeats what it hears, to the end of it; each connection in a thread of its own."""

    def __init__(self, listening: socket.socket) -> None:
        self.socket = listening
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection = self.socket.accept()[0]
            with connection:
                data = connection.recv(65536)
                if data == b"END":
                    return
                while data:
                    connection.sendall(data)
                    data = connection.recv(65536)

    def close(self) -> None:
        with socket.socket(self.socket.family) as connection:
            connection.connect(self.socket.getsockname())
            connection.sendall(b"END")
        self._thread.join()
        self.socket.close()


@pytest.fixture(params=["tcp", "unix"])
def echo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Echo]:
    if request.param == "tcp":
        server = Echo(socket.create_server(("127.0.0.1", 0)))
    else:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(tmp_path / "echo"))
        listening.listen()
        server = Echo(listening)
    yield server
    server.close()


def opened(session: co.Session, echo: Echo) -> co.Stream:
    name = echo.socket.getsockname()
    return session.open_unix(name) if isinstance(name, str) else session.open_tcp(*name)


def test_a_stream_leads_beyond(sshd: Sshd, echo: Echo) -> None:
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        with opened(session, echo) as stream:
            assert repr(stream).startswith("<Stream by 'web1' to ")
            stream.write(b"hello ")
            stream.write("world")
            heard = b""
            while len(heard) < 11:
                heard += stream.read(4)
            assert heard == b"hello world"
            with pytest.raises(TimeoutError, match="web1: nothing came within 50ms"):
                stream.read(deadline=0.05)
            # More than lies on the way: whoever writes waits for whoever reads.
            content = os.urandom(3_000_000)

            def write() -> None:
                stream.write(content)
                stream.end()

            writer = threading.Thread(target=write)
            writer.start()
            heard = b""
            while piece := stream.read():
                heard += piece
            writer.join()
            assert heard == content and stream.read() == b""
        for use in (stream.read, lambda: stream.write("x")):
            with pytest.raises(co.InvalidError, match="is closed"):
                use()


def test_a_stream_is_awaited(sshd: Sshd, echo: Echo) -> None:
    async def work() -> bytes:
        async with await co.Session.aconnect(sshd.target(), OPTIONS) as session:
            name = echo.socket.getsockname()
            opening = session.aopen_unix(name) if isinstance(name, str) else session.aopen_tcp(*name)
            stream = await opening
        # It outlives the session.
        async with stream:
            heard = b""
            for number in range(50):
                reading = asyncio.ensure_future(stream.aread())
                await asyncio.sleep(0)
                await stream.awrite(f"{number}.")
                for _ in range(number % 7):
                    await asyncio.sleep(0.001)
                reading.cancel()
                try:
                    heard += await reading
                except asyncio.CancelledError:
                    pass
            await stream.aend()
            while piece := await stream.aread():
                heard += piece
            return heard

    assert asyncio.run(work()) == b"".join(b"%d." % number for number in range(50))


def test_a_stream_that_leads_nowhere(sshd: Sshd, tmp_path: Path) -> None:
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(ConnectionError, match=f"web1: .*127.0.0.1:{port}"):
            session.open_tcp("127.0.0.1", port)
        with pytest.raises(co.UnreachableError, match="web1"):
            session.open_unix(f"{tmp_path}/none")


def test_closing_a_stream_ends_who_reads(sshd: Sshd, echo: Echo) -> None:
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        stream = opened(session, echo)
        raised: list[str] = []

        def read() -> None:
            try:
                stream.read()
            except co.InvalidError as error:
                raised.append(str(error))

        reader = threading.Thread(target=read)
        reader.start()
        stream.close()
        reader.join(20)
        assert len(raised) == 1 and "is closed" in raised[0]


def test_a_connector_shares_its_jump_host(sshd: Sshd) -> None:
    gate = sshd.target("gate")
    options = co.SessionOptions(
        read_config=False,
        agent=False,
        identity_files=[gate.identity_file] if gate.identity_file else [],
        known_hosts=[gate.known_hosts] if gate.known_hosts else [],
        jump=f"{sshd.user}@127.0.0.1:{gate.port}",
    )
    connector = co.Connector(options)
    sessions = [connector.connect(sshd.target(name)) for name in ("web1", "web2", "web3")]
    line = 'set -- $SSH_CONNECTION; echo "$1 $2"'
    seen = {session.run(line).stdout for session in sessions}
    assert len(seen) == 3
    accepted = sshd.log().count("Accepted publickey")
    more = connector.connect(sshd.target("web4"))
    assert more.run("true").is_success
    # One login for the target, none for the jump host.
    assert sshd.log().count("Accepted publickey") == accepted + 1
    for session in [*sessions, more]:
        session.close()


def test_ctrl_c_ends_what_runs_there(sshd: Sshd, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid = tmp_path / "pid"
    line = f"sleep 1000 & echo $! > {tmp_path}/new && mv {tmp_path}/new {pid}; wait"
    took: list[float] = []
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        for _ in range(8):
            pressed: list[float] = []

            def interrupt(pressed: list[float] = pressed) -> None:
                wait_for(pid.exists)
                pressed.append(time.monotonic())
                os.kill(os.getpid(), signal.SIGINT)

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                session.run(line)
                time.sleep(20)
            took.append(time.monotonic() - pressed[0])
            thread.join()
            assert not is_running(int(pid.read_text()))
            pid.unlink()
    with capsys.disabled():
        spread = [f"{1000 * second:.0f}" for second in (min(took), sorted(took)[4], max(took))]
        print(f"\nCtrl-C ends a command under sshd within {' / '.join(spread)} ms (least, median, most)", end="")
    assert max(took) < 20, took


# Each runs until it is interrupted, and nobody looks at what becomes of it then.
INTERRUPTED = {
    "awaited": "await fleet.arun(plan)",
    "iterated over": """
    async for event in (run := fleet.arun(plan)):
        pass
""",
    "held beside what is awaited": """
    global run
    run = fleet.arun(plan)
    await asyncio.sleep(1000)
""",
    "by a session": """
    async with await co.Session.aconnect(targets[0], options) as session:
        await asyncio.gather(*(session.arun(sys.argv[1]) for _ in range(3)))
""",
}
PROGRAM = """
import asyncio, signal, sys
import clusterops as co

signal.signal(signal.SIGINT, signal.default_int_handler)
targets = [co.Target.from_json(line) for line in sys.stdin]
options = co.SessionOptions(read_config=False, agent=False)
fleet, plan = co.Fleet(targets, session=options), co.Plan("long").shell("wait", sys.argv[1])

async def main():
    {}

asyncio.run(main())
"""


@pytest.mark.parametrize("how", INTERRUPTED)
def test_a_program_that_is_interrupted_ends_after_its_remote_work(sshd: Sshd, tmp_path: Path, how: str) -> None:
    program = PROGRAM.format(INTERRUPTED[how].strip())
    line = f'echo > "{tmp_path}/$$"; exec sleep 1000'
    with subprocess.Popen(
        [sys.executable, "-c", program, line], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        child.stdin.write("".join(f"{target.to_json()}\n" for target in targets(sshd)))
        child.stdin.close()
        child.stdin = None
        wait_for(lambda: len(list(tmp_path.iterdir())) == 3 or child.poll() is not None)
        interrupted = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
        took = time.monotonic() - interrupted
        assert "KeyboardInterrupt" in said, said
    pids = [int(path.name) for path in tmp_path.iterdir()]
    # It waits for no longer than 10 s.
    assert len(pids) == 3 and (took > 10 or not any(is_running(pid) for pid in pids))
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_the_end_of_a_command_is_seen_to(sshd: Sshd, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    line = f"sleep 1000 & echo $! > {tmp_path}/new && mv {tmp_path}/new {pid}; wait"
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        with pytest.raises(co.DeadlineError, match="all remote processes ended"):
            session.run(line, deadline=1)
        assert not is_running(int(pid.read_text()))
        pid.unlink()

        async def cancelled() -> None:
            call = asyncio.ensure_future(session.arun(line))
            await asyncio.to_thread(wait_for, pid.exists)
            assert is_running(int(pid.read_text()))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        asyncio.run(cancelled())
        wait_for(lambda: not is_running(int(pid.read_text())))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("sudo"), reason="only root can use sudo without a password")
def test_a_command_runs_as_somebody_else(sshd: Sshd) -> None:
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        assert session.run(["id", "-un"], run_as=co.RunAs("nobody")).stdout == "nobody\n"


def test_files_travel(sshd: Sshd, tmp_path: Path) -> None:
    content, tree = tmp_path / "content", tmp_path / "tree"
    content.write_bytes(os.urandom(3_000_000))
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").write_text("text")
    (tree / "link").symlink_to("below/file")
    told: list[tuple[int, int]] = []
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        done = session.upload(
            content, f"{tmp_path}/sent", mode=0o600, progress=lambda done, total: told.append((done, total))
        )
        assert done.bytes == 3_000_000 and told[-1] == (3_000_000, 3_000_000)
        assert (tmp_path / "sent").read_bytes() == content.read_bytes()
        assert (tmp_path / "sent").stat().st_mode & 0o777 == 0o600
        assert session.download(f"{tmp_path}/sent", tmp_path / "fetched").bytes == 3_000_000
        assert (tmp_path / "fetched").read_bytes() == content.read_bytes()
        done = session.upload_tree(tree, f"{tmp_path}/there")
        assert (done.files, done.folders, done.links) == (1, 1, 1)
        assert session.download_tree(f"{tmp_path}/there", tmp_path / "here").files == 1
    assert (tmp_path / "here" / "link").read_text() == "text"


def test_a_transfer_that_is_stopped_leaves_nothing(sshd: Sshd, tmp_path: Path) -> None:
    content, there = tmp_path / "content", tmp_path / "there"
    content.write_bytes(bytes(1_000_000))
    there.mkdir()
    with co.Session.connect(sshd.target(), OPTIONS) as session:
        with pytest.raises(co.DeadlineError, match="all remote processes ended"):
            session.upload(content, f"{there}/content", bandwidth=200_000, deadline=0.5)
        assert list(there.iterdir()) == []

        async def cancelled() -> None:
            call = asyncio.ensure_future(session.aupload(content, f"{there}/content", bandwidth=200_000))
            await asyncio.to_thread(wait_for, lambda: any(there.iterdir()))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        asyncio.run(cancelled())
        wait_for(lambda: not any(there.iterdir()))


class Vault:
    """Knows the passphrase of the key, or raises."""

    def __init__(self, passphrase: str | None) -> None:
        self.passphrase = passphrase
        self.asked: list[tuple[str, str]] = []

    async def secret(self, target: co.Target, purpose: co.Purpose) -> str:
        self.asked.append((target.name, purpose.kind))
        if self.passphrase is None:
            raise LookupError(f"no {purpose.kind}")
        return self.passphrase


def test_a_passphrase_is_asked_for(sshd: Sshd, tmp_path: Path) -> None:
    plain, locked = sshd.target(), tmp_path / "locked"
    assert plain.identity_file and plain.known_hosts
    shutil.copy(plain.identity_file, locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "hunter2", "-f", locked], check=True)
    target = co.Target(
        "web1", plain.address, port=plain.port, user=plain.user, identity_file=locked, known_hosts=plain.known_hosts
    )
    vault = Vault("hunter2")
    with co.Session.connect(target, OPTIONS, credentials=vault) as session:
        assert session.run("true").is_success and vault.asked == [("web1", "passphrase")]
        assert "hunter2" not in repr(session) + repr(target) + target.to_json()

    async def awaited() -> None:
        await co.Session.aconnect(target, OPTIONS, credentials=Vault(None))

    with pytest.raises(LookupError, match="no passphrase"):
        asyncio.run(awaited())


def test_another_host_key_is_refused(sshd: Sshd) -> None:
    target = sshd.target(known_hosts=sshd.knowing("other"))
    with pytest.raises(PermissionError) as raised:
        co.Session.connect(target, OPTIONS)
    assert isinstance(raised.value, co.DeniedError)
    assert (raised.value.kind, raised.value.host, raised.value.retryable) == ("host_key", "web1", False)
    report = co.Fleet([target, sshd.target("web2")], session=OPTIONS).run(co.Plan("id").command("id", ["id"]))
    assert isinstance(report["web1"].failure, co.DeniedError) and report.succeeded == co.HostSet("web2")


def test_a_retry_goes_on_where_hosts_failed(sshd: Sshd, tmp_path: Path) -> None:
    fleet = co.Fleet([sshd.target(name) for name in ("web1", "web2")], session=OPTIONS)
    plan = (
        co.Plan("two")
        .shell("first", f'echo "$CLUSTEROPS_HOST" >> {tmp_path}/first')
        .shell("second", f"mkdir {tmp_path}/only-one")
    )
    report = fleet.run(plan)
    assert len(report.failed) == 1 and not report.is_success
    (tmp_path / "only-one").rmdir()
    again = fleet.retry(plan, report).report()
    assert again.is_success and again[next(iter(report.failed))]["second"].attempt == 2
    assert len((tmp_path / "first").read_text().splitlines()) == 2


CONTROLLER = """
import sys
import clusterops as co

targets = [co.Target.from_json(line) for line in sys.stdin]
options = co.SessionOptions(read_config=False, agent=False)
co.Fleet(targets, session=options, journal=sys.argv[1]).run(co.Plan.from_json(sys.argv[2]))
"""


@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_run_goes_on_after_its_controller_was_killed(sshd: Sshd, tmp_path: Path, is_awaited: bool) -> None:
    plan = (
        co.Plan("long")
        .shell("begin", f"echo begun >> {tmp_path}/begun")
        .shell("wait", f"echo > {tmp_path}/waits-$$; until test -e {tmp_path}/go; do sleep 0.1; done")
        .shell("end", "echo well")
    )
    journal, hosts = tmp_path / "journal", targets(sshd)
    child = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, journal, plan.to_json()], stdin=subprocess.PIPE, text=True
    )
    assert child.stdin
    child.stdin.write("".join(f"{target.to_json()}\n" for target in hosts))
    child.stdin.close()
    wait_for(lambda: len(list(tmp_path.glob("waits-*"))) == len(hosts))
    child.kill()
    assert child.wait() == -signal.SIGKILL
    (tmp_path / "go").touch()
    fleet = co.Fleet(hosts, session=OPTIONS)

    async def awaited() -> co.Report:
        return await fleet.aresume(plan, journal)

    report = asyncio.run(awaited()) if is_awaited else fleet.resume(plan, journal).report()
    assert report.is_success, str(report)
    assert str(report.gather("end")) == "web[1-3]: well"
    assert (tmp_path / "begun").read_text().splitlines() == ["begun"] * 3
