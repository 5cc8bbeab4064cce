"""What OpenSSH's configuration says of hosts, and where it says so."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import clusterops as co
import pytest
from clusterops.testing import SimulatedFleet

TEXT = """\
Host web*
  Port 2222
  ProxyJump gate
  IdentityFile ~/.ssh/web
Match user deploy
  ForwardX11 yes
"""


def test_each_value_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(TEXT)
    config = co.SshConfig.read(tmp_path / "config")
    host = config.resolve("web1", user="deploy", options=["ConnectTimeout=5"])
    assert (host.host, host.hostname, host.user, host.port, host.proxy_jump) == ("web1", "web1", "deploy", 2222, "gate")
    assert [path.name for path in host.identity_files] == ["web"]
    assert (host["Port"], host["connecttimeout"]) == ("2222", "5")
    lines = {line.keyword: line for line in host.lines}
    assert (lines["port"].file, lines["port"].line) == (tmp_path / "config", 2)
    assert (lines["connecttimeout"].file, lines["connecttimeout"].line) == (None, None)
    assert (lines["compression"].value, lines["compression"].file) == ("no", None)
    assert "port 2222\n" in str(host) and repr(lines["port"]) == f"<ConfigLine port 2222, {tmp_path / 'config'}:2>"
    assert host.unsupported == config.unsupported == [f"{tmp_path / 'config'}:6: ForwardX11 has no effect here"]
    assert config.resolve("web1").unsupported == [] and config.resolve("db1").port == 22
    with pytest.raises(KeyError, match="Prot"):
        host["Prot"]


def test_it_is_awaited_and_mistakes_are_named() -> None:
    config = co.SshConfig.parse(TEXT, "mine")

    async def ask() -> co.HostConfig:
        return await config.aresolve("web1", port=99)

    assert asyncio.run(ask()).port == 99
    with pytest.raises(co.LocalError, match="mine line 1: .*did you mean `ProxyJump`"):
        co.SshConfig.parse("ProxyJmp gate\n", "mine")
    with pytest.raises(co.LocalError, match="did you mean `ConnectTimeout`"):
        config.resolve("web1", options=["ConectTimeout=5"])


def test_sessions_use_it() -> None:
    with SimulatedFleet("web1", answers={"uname -r": "6.1.0\n"}) as simulated:
        [reached] = simulated.targets
        text = f"Host web1\n  Hostname {reached.address}\n  Port {reached.port}\n  IdentityFile {reached.identity_file}\n"
        config = co.SshConfig.parse(f"{text}  UserKnownHostsFile {reached.known_hosts}\n")
        options = co.SessionOptions(config=config, user="ops")
        with co.Session.connect("web1", options) as session:
            assert session.run("uname -r").stdout == "6.1.0\n"
        with pytest.raises(TypeError, match="SshConfig"):
            pickle.dumps(options)
