"""Runs over several workers, as who started one sees it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

from .._callbacks import ending_with_its_task
from .._clusterops import Report
from ._drive import Drive
from ._stream import WorkerEvent

__all__ = ["AsyncDistributedRun", "DistributedRun", "WorkerEvent"]


class _Handle:
    """What both forms of a run share. A run that nobody holds any more is cancelled."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        # At the program's end the cluster may be gone.
        weakref.finalize(self, drive.let_go).atexit = False

    @property
    def id(self) -> str:
        """The run's id, which remote processes see as ``CLUSTEROPS_RUN`` whichever worker started them."""
        return self._drive.run_id

    def ended(self) -> Report:
        """A report of the hosts that have ended so far; also where the run itself could not go on, to be retried then.

        Raises
        ------
        InvalidError
            When none has.
        """
        return self._drive.ended()

    def pause(self) -> None:
        """Lets no host start another stage; what runs goes on."""
        self._drive.ask("pause")

    def resume(self) -> None:
        """Goes on after a pause."""
        self._drive.ask("resume")

    def stop(self) -> None:
        """Lets no further host begin."""
        self._drive.ask("stop")

    def cancel(self) -> None:
        """Ends the run on all workers: remote processes are ended, and what was done stays done."""
        self._drive.ask("cancel")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


class DistributedRun(_Handle):
    """A run that goes on: iterated for its events, asked for its `report`.

    Ctrl-C while it is waited for cancels it, and is raised once its remote work has ended.

    Examples
    --------
    >>> run = fleet.start(plan)  # doctest: +SKIP
    >>> for worker, event in ((told.worker, told.event) for told in run):  # doctest: +SKIP
    ...     print(worker, event)
    >>> run.report().is_success  # doctest: +SKIP
    True
    """

    def __init__(self, drive: Drive) -> None:
        super().__init__(drive)
        self._waiting: deque[WorkerEvent] = deque()

    def report(self) -> Report:
        """Waits for the end of the run.

        Returns
        -------
        Report
            Of all hosts, in the order of the fleet's targets.

        Raises
        ------
        ClusterOpsError
            When the run itself could not go on; a host that fails is told in the report.
        """
        try:
            return self._drive.wait()
        except KeyboardInterrupt:
            self._end()
            raise

    def __iter__(self) -> Iterator[WorkerEvent]:
        return self

    def __next__(self) -> WorkerEvent:
        if not self._waiting:
            try:
                self._waiting.extend(self._drive.stream.take())
            except KeyboardInterrupt:
                self._end()
                raise
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft()

    def _end(self) -> None:
        self.cancel()
        self._drive.join()


class AsyncDistributedRun(_Handle):
    """A run to be awaited for its report, and iterated (``async for``) for its events.

    Cancelling the task that awaits it, or iterates, cancels the run. A timeout around a single event, such as
    `asyncio.timeout` around ``anext``, cancels that task and thereby the run, too.

    Examples
    --------
    >>> async def deploy() -> Report:
    ...     async for told in (run := fleet.arun(plan)):
    ...         print(told.worker, told.event)
    ...     return await run
    """

    def __init__(self, drive: Drive) -> None:
        super().__init__(drive)
        self._waiting: deque[WorkerEvent] = deque()

    def __await__(self) -> Generator[Any, None, Report]:
        return self._report().__await__()

    async def _report(self) -> Report:
        # The thread that drives the run cancels it, and nobody waits for that here.
        with ending_with_its_task(self._drive.let_go):
            await self._drive.stream.aended()
        return self._drive.wait()

    async def __aiter__(self) -> AsyncIterator[WorkerEvent]:
        with ending_with_its_task(self._drive.let_go):
            while True:
                # Kept here, so that whoever is cancelled, or leaves the loop, can go on.
                while self._waiting:
                    yield self._waiting.popleft()
                events = await self._drive.stream.atake()
                if not events:
                    return
                self._waiting.extend(events)
