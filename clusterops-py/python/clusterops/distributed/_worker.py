"""What is done in the processes of the workers."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .._clusterops import Fleet, Plan, Report, RunControl, Target, _Shard, _start_shard
from ..errors import InvalidError, LocalError, UnreachableError
from ..protocols import Credentials
from ._cluster import dask

__all__ = ["Elsewhere", "Hello", "Share", "hello", "holds", "load", "steer", "tidy", "work"]

# How long a process that had a journal before may still hold it, and how often that is looked at, in seconds.
HELD = 60
AGAIN = 0.2
# How long nobody may take a message, in seconds, before it is given up.
DEAF = 60


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker says of itself.

    Attributes
    ----------
    id : str
        Another one for each process that has its address in turn.
    version : str
        The version of this package there.
    folder : str
        Where the run has its files on that machine.
    """

    id: str
    version: str
    folder: str


@dataclass(frozen=True, slots=True)
class Share:
    """A worker's share of a run: all of it is plain data without secrets.

    Attributes
    ----------
    number, attempt : int
        Which share, and the how many-th time it is worked on.
    run_id, queue : str
        The run, and where its messages go.
    worker : str
        The id of the worker for which this is meant.
    places : mapping
        Where the worker has the plan's files.
    journal : str
        The file for its journal.
    is_resumed : bool
        Whether the journal is one to go on from.
    earlier : Report or None
        What is known of hosts that failed in an earlier run.
    credentials : str or None
        What makes the object that knows secrets: ``module:name``.
    """

    number: int
    attempt: int
    run_id: str
    queue: str
    worker: str
    plan: Plan
    targets: list[Target]
    terms: Mapping[str, Any]
    places: Mapping[str, str]
    journal: str
    is_resumed: bool
    earlier: Report | None
    credentials: str | None


class Elsewhere(UnreachableError):
    """The worker for which something was meant is not there any more."""


def hello(run_id: str, dask_worker: Any = None) -> Hello:
    """Makes the run's folder on this machine."""
    folder = Path(tempfile.gettempdir()) / f"clusterops-{run_id}"
    for path in (folder, folder / "files", folder / "journals"):
        path.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise LocalError(f"`{folder}` is not ours alone: somebody else has made it")
    return Hello(str(dask_worker.id), version("clusterops"), str(folder))


def holds(journal: str) -> bool:
    """Whether a journal lies on this machine."""
    return Path(journal).is_file()


def tidy(run_id: str) -> None:
    """Forgets a run, and removes its folder."""
    with _lock:
        _asked.pop(run_id, None)
    shutil.rmtree(Path(tempfile.gettempdir()) / f"clusterops-{run_id}", ignore_errors=True)


_lock = threading.Lock()
# The shares that this process works on, and what was asked of runs last.
_running: dict[str, set[RunControl]] = {}
_asked: dict[str, str] = {}


def steer(run_id: str, what: str) -> None:
    """Asks something of a run's shares here, those that begin later included."""
    with _lock:
        _asked[run_id] = what
        running = list(_running.get(run_id, ()))
    for run in running:
        getattr(run, what)()


def load(name: str) -> Credentials:
    """Makes the object that knows secrets."""
    module, _, attribute = name.partition(":")
    try:
        make = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidError(f"credentials='{name}' is not to be had on the worker: {error}") from error
    return make()  # type: ignore[no-any-return]


def work(share: Share) -> None:
    """The task of a share: tells what happens, and at last what is left to be told."""
    if dask.get_worker().id != share.worker:
        raise Elsewhere(f"the worker that had share {share.number} of the run is gone")
    messages = dask.Queue(share.queue, client=dask.get_client())
    # It waits for most of the time: the worker's threads are for others.
    dask.secede()
    run = _start(share)
    with _lock:
        _running.setdefault(share.run_id, set()).add(run)
        asked = _asked.get(share.run_id)
    try:
        if asked is not None:
            getattr(run, asked)()
        _tell_all(share, run, messages)
    finally:
        with _lock:
            _running[share.run_id].discard(run)
            if not _running[share.run_id]:
                del _running[share.run_id]


def _start(share: Share) -> _Shard:
    credentials = None if share.credentials is None else load(share.credentials)
    fleet = Fleet(share.targets, credentials=credentials, journal=share.journal, **share.terms)
    deadline = time.monotonic() + HELD
    while True:
        try:
            return _start_shard(
                fleet,
                share.plan,
                run_id=share.run_id,
                places=share.places,
                earlier=share.earlier,
                journal=share.journal if share.is_resumed else None,
            )
        except LocalError as error:
            # Who had it before may not have ended yet.
            if error.kind != "journal" or not share.is_resumed or time.monotonic() > deadline:
                raise
            time.sleep(AGAIN)


def _tell_all(share: Share, run: _Shard, messages: Any) -> None:
    told: set[str] = set()
    while True:
        events, ended = run.batch()
        told.update(ended)
        if not events:
            break
        _tell(share, messages, events=pickle.dumps(events), ended=ended.to_json() if len(ended) else "")
    report = run.report()
    # With those that ended as the last of the events was read.
    left = set(report) - (told - set(ended))
    _tell(share, messages, report=report.only(left).to_json())


def _tell(share: Share, messages: Any, **what: Any) -> None:
    try:
        messages.put({"share": share.number, "attempt": share.attempt, **what}, timeout=DEAF)
    except Exception:
        # Cut off, by whatever Dask calls it: the run goes on, and its journal tells who comes to ask.
        return
