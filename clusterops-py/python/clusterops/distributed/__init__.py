"""One run over the workers of a Dask cluster.

The hosts of a run are split into shares, one for each worker: all hosts behind one jump host go to one worker, and hosts
without one are spread evenly; `SessionOptions.jump` counts for those that name none. Jump hosts that only OpenSSH's configuration names are not seen here. Reports and events come
back to the caller, who gets one report as of a `clusterops.Fleet`. It needs ``clusterops[dask]``, here and on the workers.

**What travels.** The plan, the targets, the terms, and the files that the plan sends: each once to a machine, where its
digest is looked at. Paths of key files and known hosts are those of the workers. Keys, passphrases and secrets never travel:
a worker logs in with its own agent or key files, and secrets are answered by an object that it makes itself
(``credentials="module:name"``). Targets that came with passwords are refused, unless there is such an object.

**What is guaranteed when a worker dies.**

- A host whose end was told is not run again: neither those of which the caller heard, nor those that the worker's journal
  holds as ended.
- Where another worker (or the same one, started again) is on the dead worker's machine, it goes on from the dead worker's
  journal as `clusterops.Fleet.resume` does: what was under way on a host is waited for or ended (``leftover``) before it is
  tried again, and two attempts never run at once.
- Where the machine is gone too, hosts of which no end was told begin again on other workers. What was under way on them may
  still run, and may run twice; the report's `warnings` name these hosts.
- A worker that is only cut off from the scheduler goes on with its share. On its machine nobody takes over what it still
  holds: its journal is waited for for a minute, and then the run ends with an error. Other machines cannot know
  of it.
- Where the caller dies, the workers go on to the end of their shares, and nobody hears of it.

**What is refused**, since no worker can keep it for the others: rollouts, and stages that are a barrier or ``run_once``; so
is a stage that fetches into a relative path, for files are fetched to the worker's disk. A run can be cancelled and not
aborted: what an abort rolls back are all hosts, and a share that has ended is gone from its worker.

Examples
--------
>>> from distributed import Client
>>> from clusterops.distributed import DistributedFleet
>>> client = Client("tcp://scheduler:8786")  # doctest: +SKIP
>>> fleet = DistributedFleet(client, "web[1-5000]", parallelism=200)  # doctest: +SKIP
>>> report = fleet.run(Plan("kernel").shell("run", "uname -r"))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("distributed") is None:
    raise ImportError("clusterops.distributed needs Dask: pip install 'clusterops[dask]'")

from ._fleet import DistributedFleet, Terms
from ._run import AsyncDistributedRun, DistributedRun, WorkerEvent

__all__ = ["AsyncDistributedRun", "DistributedFleet", "DistributedRun", "Terms", "WorkerEvent"]
