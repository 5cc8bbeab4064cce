"""What drives a run over several workers: a thread beside the caller."""

from __future__ import annotations

import atexit
import itertools
import json
import logging
import os
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .._clusterops import HostEvent, HostSet, Plan, Report, SessionOptions, Target
from ..errors import ClusterOpsError, InvalidError, UnreachableError
from ._cluster import Cluster, Messages
from ._files import Item, items, missing, pieces, receive
from ._shares import deal
from ._stream import Stream
from ._worker import Elsewhere, Hello, Share, hello, holds, steer, tidy, work

if TYPE_CHECKING:
    from .. import Event

__all__ = ["Drive", "Order"]

log = logging.getLogger("clusterops.distributed")

# The runs that go on, which are cancelled at the program's end; and how long it is waited for that, in seconds.
_going: weakref.WeakSet[Drive] = weakref.WeakSet()
AT_EXIT = 10

# How long the thread waits for messages before it looks for something else, and how often it looks whether workers are
# still there, in seconds.
PULSE = 0.1
LOOK = 0.5
# How long a dead worker's last messages may be on their way, in seconds.
LATE = 0.5
# After so many workers in a row that were lost with the same hosts, it may be these hosts that they do not survive.
MOST_LOST = 5


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done.

    Attributes
    ----------
    run_id, plan, targets, terms, earlier, credentials, patience
        As in a `Share`, for all hosts.
    files : mapping
        The local files, with their digests.
    workers : sequence of str or None
        Who takes part; None for all.
    """

    run_id: str
    plan: Plan
    targets: list[Target]
    terms: Mapping[str, Any]
    files: Mapping[str, str]
    earlier: Report | None
    workers: Sequence[str] | None
    credentials: str | None
    patience: float


@dataclass(slots=True)
class _Part:
    """A share, as it is followed from here."""

    number: int
    targets: list[Target]
    worker: str
    journal: str = ""
    attempt: int = 1
    future: Any = None
    #: Of hosts that have ended, by the order in which they were told.
    told: list[Report] = field(default_factory=list[Report])
    #: Which of these knows a host best.
    known: dict[str, int] = field(default_factory=dict[str, int])
    is_reported: bool = False

    def learn(self, report: Report) -> None:
        """Takes what was told of hosts that have ended."""
        self.told.append(report)
        self.known.update(dict.fromkeys(report, len(self.told) - 1))

    def reports(self) -> list[Report]:
        """The latest of every host."""
        latest: dict[int, list[str]] = {}
        for host, place in self.known.items():
            latest.setdefault(place, []).append(host)
        # The last one has what is known of the run itself, too.
        if self.is_reported:
            latest.setdefault(len(self.told) - 1, [])
        return [self.told[place].only(hosts) for place, hosts in latest.items()]

    def unfinished(self) -> list[Target]:
        """The targets of which no end was told."""
        return [target for target in self.targets if target.name not in self.known]


class Drive:
    """A run that goes on."""

    def __init__(self, cluster: Cluster, order: Order) -> None:
        self.run_id = order.run_id
        self._process = os.getpid()
        self._stream = Stream()
        self._cluster = cluster
        self._order = order
        self._items = items(order.files)
        self._began = time.monotonic()
        self._numbers = itertools.count(1)
        self._messages: Messages | None = None
        self._open: dict[int, _Part] = {}
        self._closed: list[_Part] = []
        self._knowledge = threading.Lock()
        self._asked: str | None = None
        self._is_let_go = False
        self._warnings: list[str] = []
        self._report: Report | None = None
        self._error: BaseException | None = None
        # A thread that is joined counts as ended when that is interrupted.
        self._over = threading.Event()
        _going.add(self)
        threading.Thread(target=self._drive, name=f"clusterops-{order.run_id}", daemon=True).start()

    # --- As its handles see it ---------------------------------------------------------------------------------------

    @property
    def stream(self) -> Stream:
        """The events."""
        self._check()
        return self._stream

    def _check(self) -> None:
        # The thread did not come with a fork, and locks are as they were at that moment.
        if os.getpid() != self._process:
            message = f"the run {self.run_id} was made by the parent of this process, and works only there; make another here"
            raise InvalidError(message)

    def join(self) -> None:
        """Waits for the end."""
        self._check()
        self._over.wait()

    def join_until(self, deadline: float) -> None:
        """Waits for the end, up to a moment of the monotonic clock."""
        self._over.wait(max(deadline - time.monotonic(), 0))

    def wait(self) -> Report:
        """Waits for the report, or raises why there is none."""
        self.join()
        if self._error is not None:
            raise self._error
        assert self._report is not None, "the thread has left one or the other"
        return self._report

    def ended(self) -> Report:
        """What is known of the hosts that have ended so far."""
        self._check()
        with self._knowledge:
            parts = [*self._closed, *self._open.values()]
            reports = [report for part in parts for report in part.reports()]
        if not reports:
            raise InvalidError("no host has ended yet")
        return Report.merge(reports, [target.name for target in self._order.targets])

    def ask(self, what: str) -> None:
        """Asks something of all workers, those that begin later included."""
        self._check()
        if not self._over.is_set():
            self._asked = what
            # Dask waits for half a minute for one that is gone.
            workers = {part.worker for part in list(self._open.values())}.intersection(self._alive())
            self._cluster.call_where_possible(workers, steer, self.run_id, what)

    def let_go(self) -> None:
        """Has the thread cancel the run.

        The garbage collector may call this, at any moment of any thread, Dask's own included: so nothing is locked, started
        or waited for.
        """
        self._is_let_go = True

    # --- The thread --------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        try:
            self._messages = self._cluster.messages(self.run_id)
            targets, finished = self._beginning()
            self._share_out(targets)
            self._follow()
            self._report = self._merge(finished)
        except BaseException as error:
            self._error = error
            self._end_all()
        finally:
            self._tidy()
            self._over.set()
            self._stream.end()

    def _tidy(self) -> None:
        try:
            self._cluster.call_where_possible(self._alive(), tidy, self.run_id)
            if self._messages is not None:
                self._messages.close()
        except Exception as error:
            # What came of the run is known all the same.
            log.warning("the workers could not be told that run %s is over: %s", self.run_id, error)

    def _beginning(self) -> tuple[list[Target], list[Report]]:
        """The hosts that have something to do, and what an earlier run knows of the others."""
        earlier, targets = self._order.earlier, self._order.targets
        if earlier is None:
            return targets, []
        done = earlier.succeeded
        names = {target.name for target in targets}
        rest = [host for host in earlier if host in done or host not in names]
        return [target for target in targets if target.name not in done], [earlier.only(rest)]

    def _alive(self) -> list[str]:
        """The workers that take part and are there."""
        try:
            there = self._cluster.workers()
        except Exception as error:
            raise UnreachableError(f"the scheduler of the cluster does not answer: {error}") from error
        chosen = self._order.workers
        return there if chosen is None else [worker for worker in there if worker in chosen]

    def _share_out(self, targets: list[Target], attempt: int = 1) -> None:
        """Deals hosts among the workers that there are."""
        alive = self._wait_for(self._alive)
        if not alive:
            raise UnreachableError("no worker of the cluster is there to work on the hosts")
        parts = [
            _Part(next(self._numbers), share, worker, attempt=attempt)
            for worker, share in deal(targets, alive, self._jump()).items()
        ]
        with self._knowledge:
            self._open.update({part.number: part for part in parts})
        for part in parts:
            self._launch(part, is_resumed=False)

    def _jump(self) -> str | None:
        """What leads to hosts that name no jump hosts themselves."""
        session: SessionOptions | None = self._order.terms.get("session")
        return None if session is None else session.jump

    def _wait_for(self, look: Callable[[], list[str]]) -> list[str]:
        """What there is to be seen, before patience ends; others are listened to meanwhile."""
        deadline = time.monotonic() + self._order.patience
        while not (seen := look()) and time.monotonic() < deadline:
            self._listen_for(LOOK)
        return seen

    def _launch(self, part: _Part, *, is_resumed: bool) -> None:
        """Has a part's worker begin; a worker that cannot is found out about later, as one that was lost."""
        worker, order = part.worker, self._order
        try:
            place = self._greet(worker)
            wanted = f"{place.folder}/files"
            self._send(worker, wanted)
            if self._asked is not None:
                self._cluster.call(worker, steer, self.run_id, self._asked)
        except (ClusterOpsError, ImportError):
            raise
        except Exception:
            if worker in self._alive():
                raise
            return
        if not is_resumed:
            part.journal = f"{place.folder}/journals/{part.number}-{part.attempt}"
        names = [target.name for target in part.targets]
        share = Share(
            number=part.number,
            attempt=part.attempt,
            run_id=order.run_id,
            queue=order.run_id,
            worker=place.id,
            plan=order.plan,
            targets=part.targets,
            terms=self._terms(),
            places={item.path: f"{wanted}/{item.name}" for item in self._items},
            journal=part.journal,
            is_resumed=is_resumed,
            earlier=None if order.earlier is None else order.earlier.only(names),
            credentials=order.credentials,
        )
        key = f"clusterops-{order.run_id}-{part.number}-{part.attempt}"
        part.future = self._cluster.submit(worker, key, work, share)

    def _greet(self, worker: str) -> Hello:
        found = self._cluster.call(worker, hello, self.run_id)
        ours = version("clusterops")
        if found.version != ours:
            raise InvalidError(f"the worker {worker} has clusterops {found.version}, and we have {ours}: install one")
        return found

    def _send(self, worker: str, folder: str) -> None:
        wanted: list[Item] = self._cluster.call(worker, missing, folder, self._items) if self._items else []
        for item in {item.name: item for item in wanted}.values():
            for piece in pieces(item):
                self._cluster.call(worker, receive, folder, item, piece)

    def _terms(self) -> Mapping[str, Any]:
        """The terms, with what is left of the run's deadline."""
        deadline = self._order.terms.get("run_deadline")
        if deadline is None:
            return self._order.terms
        seconds = deadline.total_seconds() if isinstance(deadline, timedelta) else float(deadline)
        left = seconds - (time.monotonic() - self._began)
        return {**self._order.terms, "run_deadline": max(left, 0.001)}

    # --- Following ---------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Listens until every part has come to its end."""
        looked = time.monotonic()
        while self._open:
            self._listen(PULSE)
            lost = self._ended_without_report()
            if time.monotonic() - looked > LOOK:
                alive = self._alive()
                lost += [part for part in self._open.values() if part.worker not in alive and part not in lost]
                looked = time.monotonic()
            if lost:
                self._listen_for(LATE)
            for part in lost:
                if part.number in self._open:
                    self._replace(part)

    def _listen_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._listen(left)

    def _listen(self, seconds: float) -> None:
        """Hears what there is to be heard; waits so long for something."""
        assert self._messages is not None, "it is there before anything is begun"
        if self._is_let_go:
            self._is_let_go = False
            self.ask("cancel")
        for message in self._messages.take(seconds):
            part = self._open.get(message["share"])
            # What comes late is of an attempt that another one goes on with.
            if part is not None and part.attempt == message["attempt"]:
                self._hear(part, message)

    def _hear(self, part: _Part, message: dict[str, Any]) -> None:
        if "report" in message:
            with self._knowledge:
                part.learn(Report.from_json(message["report"]))
                part.is_reported = True
            self._close(part)
            return
        events: list[Event] = pickle.loads(message["events"])
        news = [event for event in events if not _is_known(part, event)]
        if message["ended"]:
            with self._knowledge:
                part.learn(Report.from_json(message["ended"]))
        self._stream.put(part.worker, news)

    def _close(self, part: _Part) -> None:
        with self._knowledge:
            self._closed.append(self._open.pop(part.number))

    def _ended_without_report(self) -> list[_Part]:
        """Parts whose task has ended otherwise than it should; raises what stands against the run itself."""
        lost: list[_Part] = []
        for part in self._open.values():
            status = "lost" if part.future is None else part.future.status
            if part.future is not None and status == "error":
                error: BaseException = part.future.exception()
                # Dask gives a task up that was there when workers died.
                if not isinstance(error, Elsewhere) and type(error).__name__ != "KilledWorker":
                    raise error
            if status not in ("pending",):
                lost.append(part)
        return lost

    # --- When a worker is lost ---------------------------------------------------------------------------------------

    def _replace(self, part: _Part) -> None:
        """Sees to the hosts of a part whose worker was lost."""
        if not part.unfinished():
            self._close(part)
            return
        part.future = None
        if part.attempt >= MOST_LOST:
            hosts = HostSet(target.name for target in part.unfinished())
            raise UnreachableError(f"{part.attempt} workers were lost one after the other while they worked on {hosts}")
        heirs = self._wait_for(lambda: self._heirs(part)) if part.journal else []
        part.attempt += 1
        if heirs:
            part.worker = min(heirs, key=lambda worker: sum(each.worker == worker for each in self._open.values()))
            self._launch(part, is_resumed=True)
            return
        unfinished = part.unfinished()
        if part.journal:
            hosts = HostSet(target.name for target in unfinished)
            self._warnings.append(
                f"the worker {part.worker} was lost, and its journal with it: what it had under way on {hosts} may have run twice"
            )
        self._close(part)
        self._share_out(unfinished, part.attempt)

    def _heirs(self, part: _Part) -> list[str]:
        """The workers that have a part's journal."""
        found = self._cluster.call_where_possible(self._alive(), holds, part.journal)
        return [worker for worker, has_it in found.items() if has_it]

    # --- At the end --------------------------------------------------------------------------------------------------

    def _merge(self, finished: list[Report]) -> Report:
        reports = [report for part in self._closed for report in part.reports()]
        order = [target.name for target in self._order.targets]
        whole = Report.merge([*reports, *finished], order)
        if not self._warnings:
            return whole
        told = json.loads(whole.to_json())
        told["warnings"] = [*told.get("warnings", []), *self._warnings]
        return Report.from_json(json.dumps(told))

    def _end_all(self) -> None:
        """Ends what still goes on where the run itself cannot."""
        deadline = time.monotonic() + self._order.patience
        try:
            self.ask("cancel")
            while self._messages is not None and self._open and time.monotonic() < deadline:
                self._listen(PULSE)
                for part in list(self._open.values()):
                    if part.future is None or part.future.status != "pending":
                        self._close(part)
        except Exception as error:
            # The cluster itself may be gone, and with it who could be waited for.
            log.warning("the workers of run %s could not be asked to end: %s", self.run_id, error)


def _is_known(part: _Part, event: Event) -> bool:
    """Whether an end was told before the part was gone on with."""
    return part.attempt > 1 and isinstance(event, HostEvent) and event.is_final and event.host in part.known


def _end_with_the_program() -> None:
    deadline = time.monotonic() + AT_EXIT
    drives = list(_going)
    for drive in drives:
        drive.let_go()
    for drive in drives:
        drive.join_until(deadline)


# Dask says its farewells at the exit too: what is registered later is called earlier, and Dask was imported before this.
atexit.register(_end_with_the_program)
# A child has no thread for them, and leaves them to its parent.
os.register_at_fork(after_in_child=_going.clear)
