"""What is easier in Python: waiting for what callback objects give, and iterating over events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import AsyncRun, Event


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def finish(awaitable: Awaitable[Any], loop: asyncio.AbstractEventLoop | None) -> Any:
    """Run an awaitable to its end: in this loop of another thread, or in one made for it."""
    if loop is not None and loop.is_running():
        return asyncio.run_coroutine_threadsafe(_await(awaitable), loop).result()
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(_await(awaitable))
    outcome: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(_await(awaitable)))
        except BaseException as error:
            raised.append(error)

    # This thread may have a loop that runs.
    thread = threading.Thread(target=run, name="clusterops-callback")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return outcome[0]


@contextmanager
def ending_with_its_task(cancel: Callable[[], None]) -> Generator[None, None, None]:
    """Calls `cancel` when the task that this is done in is cancelled, whether it waits here or elsewhere meanwhile."""
    task = asyncio.current_task()
    assert task is not None, "coroutines run in tasks"

    def end(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            cancel()

    task.add_done_callback(end)
    try:
        yield
    except asyncio.CancelledError:
        cancel()
        raise
    finally:
        task.remove_done_callback(end)


async def iterate(run: AsyncRun) -> AsyncIterator[Event]:
    """The events of a run, which cross from Rust as many at once as there are.

    Cancelling the task that iterates cancels the run. It keeps what was not yielded, so that whoever is cancelled, or leaves
    the loop, can go on.
    """
    buffer = run._buffer  # pyright: ignore[reportPrivateUsage]
    with ending_with_its_task(run.cancel):
        while True:
            while buffer:
                yield buffer.popleft()
            batch = await run._events()  # pyright: ignore[reportPrivateUsage]
            if batch is None:
                return
            buffer.extend(batch)
