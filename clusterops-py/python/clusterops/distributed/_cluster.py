"""What this package asks of Dask; it is not typed to the end, so it stays behind this."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, TypeVar

from ..errors import UnreachableError

__all__ = ["Cluster", "Messages", "dask"]

T = TypeVar("T")

dask: Any = import_module("distributed")

log = logging.getLogger("clusterops.distributed")

# How many messages may wait at the scheduler: a caller who is slow holds up the telling, and never a run.
MOST_WAITING = 64
# How long workers may take to answer a call, and the scheduler to take leave, in seconds: Dask itself sets no limit.
ANSWER = 120
PARTING = 30
# Told to oneself when nothing more is to be heard.
END = {"end": True}


class Cluster:
    """A cluster, as its client sees it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def workers(self) -> list[str]:
        """The addresses of the workers that the scheduler has now."""
        return list(self._client.nthreads())

    def call(self, worker: str, function: Callable[..., T], *arguments: object) -> T:
        """Calls a function in a worker's process, beside its tasks."""
        try:
            answers = self._run([worker], "raise", function, *arguments)
        except TimeoutError as error:
            raise UnreachableError(f"the worker {worker} did not answer within {ANSWER} s") from error
        return answers[worker]

    def call_where_possible(self, workers: Iterable[str], function: Callable[..., T], *arguments: object) -> dict[str, T]:
        """Calls it on several, and leaves out those that cannot answer."""
        asked = list(workers)
        if not asked:
            return {}
        try:
            return self._run(asked, "ignore", function, *arguments)
        except TimeoutError:
            log.warning("the workers %s did not all answer within %s s", ", ".join(asked), ANSWER)
            return {}

    def _run(
        self, workers: list[str], on_error: str, function: Callable[..., T], *arguments: object
    ) -> dict[str, T]:
        answers: dict[str, T] = self._client.run(
            function, *arguments, workers=workers, on_error=on_error, callback_timeout=ANSWER
        )
        return answers

    def submit(self, worker: str, key: str, function: Callable[..., object], argument: object) -> Any:
        """Starts a task on this worker and no other; gives its future."""
        return self._client.submit(
            function, argument, key=key, workers=[worker], allow_other_workers=False, pure=False, retries=0
        )

    def messages(self, name: str) -> Messages:
        """A queue of messages to here."""
        return Messages(dask.Queue(name, client=self._client, maxsize=MOST_WAITING))


class Messages:
    """Messages from workers, in the order in which each of them sent its own.

    They are waited for in a thread: Dask's own deadline for that is an error in the scheduler's log each time it passes.
    """

    def __init__(self, waiting: Any) -> None:
        self._waiting = waiting
        self._here: queue.SimpleQueue[dict[str, Any] | Exception] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen, name="clusterops-messages", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            while True:
                for message in [self._waiting.get(), *self._waiting.get(batch=True)]:
                    if message == END:
                        return
                    self._here.put(message)
        except Exception as error:
            self._here.put(error)

    def take(self, seconds: float) -> list[dict[str, Any]]:
        """Those that are there; waits so long for the first."""
        taken: list[dict[str, Any]] = []
        try:
            message = self._here.get(timeout=seconds)
            while True:
                if isinstance(message, Exception):
                    raise UnreachableError(f"the scheduler of the cluster does not answer: {message}") from message
                taken.append(message)
                message = self._here.get_nowait()
        except queue.Empty:
            return taken

    def close(self) -> None:
        """Forgets them."""
        if self._thread.is_alive():
            self._waiting.put(END, timeout=PARTING)
            self._thread.join(PARTING)
        self._waiting.close()
