"""Plans: how files are transferred, remote paths of any kind, and what undoes a stage."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

import clusterops as co
import pytest
from clusterops.testing import SimulatedFleet


def test_stages_take_the_options_of_transfers(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("hello")
    os.utime(tmp_path / "site" / "index.html", (1_000_000_000, 1_000_000_000))
    (tmp_path / "site" / "index.html").chmod(0o600)
    plan = (
        co.Plan("site")
        .upload_tree("send", tmp_path / "site", PurePosixPath("/srv/site"), modes=False, times=True, verify=False)
        .fetch("back", PurePosixPath("/srv/site/index.html"), tmp_path / "back", times=True, sync=False)
    )
    send, back = (stage["step"] for stage in json.loads(plan.to_json())["stages"])
    assert send["upload_tree"]["options"] == {"modes": False, "times": True, "verify": False, "resume": True, "sync": True}
    assert back["fetch"]["options"] == {"modes": True, "times": True, "verify": True, "resume": True, "sync": False}
    with SimulatedFleet("web1") as simulated:
        co.Fleet(simulated.targets).run(plan).raise_for_failure()
        # Without its mode a file gets the usual one.
        assert simulated["web1"].mode(PurePosixPath("/srv/site/index.html")) == 0o644
    assert (tmp_path / "back" / "web1" / "index.html").stat().st_mtime == 1_000_000_000


def test_options_that_do_not_go_with_a_stage_are_named() -> None:
    with pytest.raises(co.InvalidError, match="stage `x`: transfer options go with an upload or a fetch"):
        co.Plan("p").shell("x", "true", verify=False).validate()
    with pytest.raises(TypeError, match="a stage has no option 'bandwidth'"):
        co.Plan("p").upload("x", "a", "/a", bandwidth=1)  # type: ignore[call-arg]  # pyright: ignore
    with pytest.raises(TypeError, match="times: "):
        co.Plan("p").upload("x", "a", "/a", times="no")  # type: ignore[arg-type]  # pyright: ignore


def test_steps_are_all_that_stages_are(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "app").write_text("old")
    (tmp_path / "undo.py").write_text("pass")
    steps = {
        "tree": co.Step.upload_tree(tmp_path / "old", PurePosixPath("/opt"), times=True),
        "file": co.Step.upload(tmp_path / "old" / "app", PurePosixPath("/opt/app"), mode=0o755),
        "back": co.Step.fetch("/opt/app", tmp_path / "failed"),
        "script": co.Step.script(tmp_path / "undo.py", interpreter=["python3", "-I"], arguments=["now"]),
    }
    with SimulatedFleet("web1", answers={"true": ""}, scripts="") as simulated:
        host = simulated["web1"]
        for name, step in steps.items():
            plan = co.Plan("app").shell(name, "true", rollback=step).shell("fail", "false")
            assert not co.Fleet(simulated.targets).run(plan).is_success
        assert host.read_file("/opt/app") == b"old" and host.mode("/opt/app") == 0o755
        assert (tmp_path / "failed" / "web1" / "app").read_text() == "old"
        assert "python3 -I now" in host.commands
    assert steps["tree"] == co.Step.upload_tree(str(tmp_path / "old"), "/opt", times=True) != steps["file"]
    with pytest.raises(TypeError, match="a transfer has no option 'deadline'"):
        co.Step.upload("a", "/a", deadline=1)  # type: ignore[call-arg]  # pyright: ignore


def test_paths_of_hosts_are_paths_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("content")
    with SimulatedFleet("web1", answers={"pwd": lambda command: f"{command.current_dir}\n"}) as simulated:
        with co.Session.connect(simulated.targets[0]) as session:
            session.upload(tmp_path / "app", PurePosixPath("/tmp/app"))
            session.download(PurePosixPath("/tmp/app"), tmp_path / "back")
            assert (tmp_path / "back").read_text() == "content"
            assert session.run("pwd", current_dir=PurePosixPath("/tmp")).stdout == "/tmp\n"
            with pytest.raises(TypeError, match="str"):
                session.upload(tmp_path / "app", b"/tmp/app")  # type: ignore[arg-type]  # pyright: ignore
    plan = co.Plan("p").shell("x", "true", current_dir=PurePosixPath("/tmp"), creates=PurePosixPath("/tmp/done"))
    assert plan == co.Plan("p").shell("x", "true", current_dir="/tmp", creates="/tmp/done")


def test_pauses_between_tries_of_a_connection() -> None:
    plan = co.Plan("kernel").shell("run", "uname -r")
    with SimulatedFleet("web1", answers={"uname -r": "6.1.0\n"}) as simulated:
        simulated["web1"].fault("drop_first", count=9)
        # With the usual pauses this would take a minute.
        fleet = co.Fleet(
            simulated.targets,
            connection_attempts=10,
            connection_pause=0.001,
            longest_connection_pause=0.002,
            host_deadline=20,
        )
        assert fleet.run(plan)["web1"].connection_attempts == 10
