"""Events on their way to who reads them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._clusterops import HostEvent, RunEvent

if TYPE_CHECKING:
    from .. import Event

__all__ = ["Stream", "WorkerEvent"]

# How many events wait for a slow reader before outputs and progress are left out.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class WorkerEvent:
    """Something that happened on one worker.

    Attributes
    ----------
    worker : str
        The worker's address.
    event : RunEvent or HostEvent or OutputEvent or TransferEvent
        What happened. A `RunEvent` is about the worker's share of the run.
    """

    worker: str
    event: Event


class Stream:
    """Events between the thread that has them and those that read them."""

    def __init__(self) -> None:
        self._events: deque[WorkerEvent] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        # Of event loops that wait, each with what it awaits.
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def put(self, worker: str, events: Iterable[Event]) -> None:
        """Adds events. A reader who is late misses output and progress, and never how a host's stages went."""
        with self._changed:
            for event in events:
                if len(self._events) < MOST or isinstance(event, HostEvent | RunEvent):
                    self._events.append(WorkerEvent(worker, event))
            self._notify()

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._is_over = True
            self._notify()

    def take(self) -> list[WorkerEvent]:
        """Waits for events, and gives all that are there; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._is_over)
            return self._taken()

    async def atake(self) -> list[WorkerEvent]:
        """As `take`, to be awaited; cancelled, it loses nothing."""
        await self._until(lambda: bool(self._events) or self._is_over)
        with self._changed:
            return self._taken()

    async def aended(self) -> None:
        """Waits until nothing more comes."""
        await self._until(lambda: self._is_over)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        # A thread that waited here would outlive a cancellation, and hold up the loop's end.
        waiting = (asyncio.get_running_loop(), asyncio.Event())
        while True:
            with self._changed:
                if is_so():
                    return
                waiting[1].clear()
                self._waiting.append(waiting)
            try:
                await waiting[1].wait()
            finally:
                with self._changed:
                    self._waiting.remove(waiting)

    def _taken(self) -> list[WorkerEvent]:
        taken = list(self._events)
        self._events.clear()
        return taken

    def _notify(self) -> None:
        self._changed.notify_all()
        for loop, event in self._waiting:
            # A loop that was closed meanwhile waits no more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)
