"""Ctrl-C while files are read: seen at once, whatever the disk does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import clusterops as co
import pytest


def is_open(path: Path, times: int) -> bool:
    """Whether this process has a file open so often."""
    links: list[str] = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except FileNotFoundError:
            continue
    return links.count(str(path)) == times


def interrupted(call: Callable[[], object], has_begun: Callable[[], bool]) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not has_begun() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call()
        # Where it comes too late.
        time.sleep(60)
    thread.join()


@pytest.mark.parametrize("read", [co.Inventory.load, co.Groups.load, co.SshConfig.read])
def test_a_file_that_does_not_come(read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "file"
    os.mkfifo(path)
    # Somebody could write, and does not.
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        interrupted(lambda: read(path), lambda: is_open(path, 2))
    finally:
        os.close(writer)


def test_files_that_are_too_large_to_wait_for(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        # Nothing is on the disk, and all of it is read.
        file.truncate(1 << 40)
    plan = co.Plan("p").upload("send", path, "/tmp/image")
    try:
        interrupted(lambda: co.Fleet("web1").local_files(plan), lambda: is_open(path, 1))
    finally:
        # Who reads it still is at its end.
        os.truncate(path, 0)
