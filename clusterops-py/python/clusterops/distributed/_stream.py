"""Events on their way to who reads them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
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

    def put(self, worker: str, events: Iterable[Event]) -> None:
        """Adds events. A reader who is late misses output and progress, and never how a host's stages went."""
        with self._changed:
            for event in events:
                if len(self._events) < MOST or isinstance(event, HostEvent | RunEvent):
                    self._events.append(WorkerEvent(worker, event))
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def take(self) -> list[WorkerEvent]:
        """Waits for events, and gives all that are there; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._is_over)
            taken = list(self._events)
            self._events.clear()
            return taken
