"""The fixtures that the package ships with and of our own, and a real sshd."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import clusterops as co
import pytest

pytest_plugins = ["clusterops.testing", "log_stand_in", "marathon_stand_in"]

SSHD = "/usr/sbin/sshd"
# It ends sshd when the pipe that it reads from closes, also when the tests are killed.
KEEPER = '"$@" & read -r _; kill "$!"; wait'


class Sshd:
    """OpenSSH's sshd on a port of 127.0.0.1, with keys of its own, for the user who runs the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = getpass.getuser()
        for name in ("host", "other", "identity"):
            self.make_key(name)
        (folder / "authorized_keys").write_text((folder / "identity.pub").read_text())
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._start()
        self.known_hosts = self.knowing("host")

    def make_key(self, name: str) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)

    def knowing(self, key: str) -> Path:
        """A known hosts file in which the server has this key."""
        path = self.folder / f"known_hosts_{key}"
        path.write_text(f"[127.0.0.1]:{self.port} {(self.folder / f'{key}.pub').read_text()}")
        return path

    def target(self, name: str = "web1", *, known_hosts: Path | None = None) -> co.Target:
        """A target for this server, with nothing left to the environment."""
        return co.Target(
            name,
            "127.0.0.1",
            port=self.port,
            user=self.user,
            identity_file=self.folder / "identity",
            known_hosts=known_hosts or self.known_hosts,
        )

    def log(self) -> str:
        """What sshd has said so far."""
        return (self.folder / "log").read_text()

    def close(self) -> None:
        self._keeper.communicate()

    def _start(self) -> None:
        for _ in range(20):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port: int = free.getsockname()[1]
            with (self.folder / "log").open("wb") as log:
                self._keeper = subprocess.Popen(
                    ["sh", "-c", KEEPER, "keeper", SSHD, "-D", "-e", "-f", self._configure()],
                    stdin=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                said = (self.folder / "log").read_text()
                if "Server listening on" in said:
                    return
                if "Address already in use" in said:
                    break
                time.sleep(0.01)
            self.close()
        pytest.fail(f"sshd does not start: {(self.folder / 'log').read_text()}")

    def _configure(self) -> Path:
        lines = [
            f"ListenAddress 127.0.0.1:{self.port}",
            f"HostKey {self.folder}/host",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "AuthenticationMethods publickey",
            "PermitRootLogin prohibit-password",
            # Folders of a temporary folder are writable for others.
            "StrictModes no",
            "MaxStartups 1000",
            "Subsystem sftp internal-sftp",
            "UsePAM no",
            "PidFile none",
        ]
        path = self.folder / "sshd_config"
        # OpenSSH 9.8 locks out an address after failures that tests cause on purpose; others do not know the keyword.
        path.write_text("\n".join([*lines, "PerSourcePenalties no", ""]))
        if subprocess.run([SSHD, "-t", "-f", path], capture_output=True, check=False).returncode != 0:
            path.write_text("\n".join([*lines, ""]))
        return path


@pytest.fixture(autouse=True, scope="session")
def interrupts() -> None:
    """Ctrl-C interrupts, also where a shell that runs the tests in its background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """What hangs ends with where it hangs."""

    def late(*_: object) -> None:
        raise TimeoutError("the test did not end within five minutes")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real sshd; where there is none, the test is skipped, and fails in CI."""
    if not Path(SSHD).exists():
        reason = f"{SSHD} is missing; `apt-get install openssh-server` brings it"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.close()
