"""The hosts of a run over several workers, and the terms on which they are worked on."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, Unpack

from .._clusterops import Fleet, HostSet, Plan, Report, Rollout, SessionOptions, Target
from ..errors import InvalidError
from ..protocols import Purpose
from ._cluster import Cluster
from ._drive import Drive, Order
from ._run import AsyncDistributedRun, DistributedRun

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DistributedFleet", "Terms"]


class Terms(TypedDict, total=False):
    """The terms of a fleet that each worker keeps for its own share, all of them optional.

    Attributes
    ----------
    parallelism : int
        How many hosts each worker works on at once.
    session : SessionOptions or None
        How connections are made, from each worker.
    connection_attempts : int
        How many times a connection is tried.
    connection_pause, longest_connection_pause : timedelta or float
        The pause after the first try, and the longest.
    host_deadline : timedelta or float or None
        For one host; where another worker takes it over, it counts anew.
    run_deadline : timedelta or float or None
        For all of the run.
    output_cap, output_budget : int or None
        How many bytes the report keeps: of each output, and of all those of a worker.
    bandwidth : int or None
        Bytes per second for files, all hosts of a worker together.
    leftover : str
        What is done about what a dead worker had under way: ``wait`` or ``end``.
    """

    parallelism: int
    session: SessionOptions | None
    connection_attempts: int
    connection_pause: timedelta | float
    longest_connection_pause: timedelta | float
    host_deadline: timedelta | float | None
    run_deadline: timedelta | float | None
    output_cap: int | None
    output_budget: int | None
    bandwidth: int | None
    leftover: str


class _Nobody:
    """Stands here for the object that each worker makes itself."""

    def secret(self, target: Target, purpose: Purpose, /) -> NoReturn:
        raise AssertionError("nothing is asked here")


class DistributedFleet:
    """Many targets that the workers of a Dask cluster work on together.

    Parameters
    ----------
    client : distributed.Client
        The cluster; a client that blocks, not an asynchronous one. Its workers can import clusterops, in this version.
    targets : str, HostSet or iterable of Target or str
        As for `clusterops.Fleet`.
    workers : sequence of str, optional
        The addresses of the workers that take part; all that there are, where it is left out. A worker that is started
        again has another address, and is not one of them.
    credentials : str, optional
        What makes the object that knows secrets, on each worker: ``module:name`` is imported there and called without
        arguments. See `clusterops.Credentials`.
    patience : timedelta or float
        How long it is waited for a worker on the machine of one that died, and for any worker when there is none;
        floats are seconds.
    rollout : Rollout, optional
        Refused: no worker can deal all hosts into batches, or count all failures. Use `clusterops.Fleet`.
    **terms
        The keywords of `clusterops.distributed.Terms`.

    Examples
    --------
    >>> fleet = DistributedFleet(client, inventory.select("@role:agent"), parallelism=200)  # doctest: +SKIP
    """

    def __init__(
        self,
        client: Client,
        targets: str | HostSet | Iterable[Target | str],
        *,
        workers: Sequence[str] | None = None,
        credentials: str | None = None,
        patience: timedelta | float = 10,
        rollout: Rollout | None = None,
        **terms: Unpack[Terms],
    ) -> None:
        if client.asynchronous:
            raise InvalidError("the client is asynchronous: give one that blocks; `arun` is awaited all the same")
        if rollout is not None:
            raise InvalidError("a rollout is about all hosts, and a worker knows its own only: run it with `Fleet`")
        if credentials is not None and not re.fullmatch(r"[\w.]+:\w+", credentials):
            raise InvalidError("credentials are told as 'module:name', for secrets do not travel")
        unknown = sorted(set(terms) - set(Terms.__annotations__))
        if unknown:
            raise TypeError(f"workers keep no term '{unknown[0]}'; there are {', '.join(Terms.__annotations__)}")
        self._client = client
        self._workers = workers
        self._credentials = credentials
        self._patience = patience.total_seconds() if isinstance(patience, timedelta) else float(patience)
        self._terms: Mapping[str, Any] = dict(terms)
        # What is wrong with the targets and the terms is told at once.
        stand_in = None if credentials is None else _Nobody()
        self._here = Fleet(targets, credentials=stand_in, **terms)
        self._targets = self._here.targets
        with_passwords = [target.name for target in self._targets if target.has_passwords]
        if with_passwords and credentials is None:
            hosts = HostSet(with_passwords)
            raise InvalidError(f"{hosts} came with passwords, which do not travel: workers ask `credentials` for them")

    @property
    def targets(self) -> list[Target]:
        """The targets."""
        return self._targets

    def __len__(self) -> int:
        return len(self._targets)

    def __repr__(self) -> str:
        return f"<DistributedFleet of {len(self)} hosts>"

    def run(self, plan: Plan) -> Report:
        """Runs a plan and waits for its report. Ctrl-C ends the remote work first.

        Raises
        ------
        InvalidError
            Before the first connection: a plan that cannot be run, or not by several workers.
        UnreachableError
            When no worker is left.
        """
        return self.start(plan).report()

    def start(self, plan: Plan) -> DistributedRun:
        """Starts a run that is iterated for its events, and asked for its report."""
        return DistributedRun(self._begin(plan, None))

    def arun(self, plan: Plan) -> AsyncDistributedRun:
        """Starts a run that is awaited."""
        return AsyncDistributedRun(self._begin(plan, None))

    def retry(self, plan: Plan, report: Report) -> DistributedRun:
        """Starts a run that continues each failed host of a report at its first unfinished stage."""
        return DistributedRun(self._begin(plan, report))

    def aretry(self, plan: Plan, report: Report) -> AsyncDistributedRun:
        """As `retry`, to be awaited."""
        return AsyncDistributedRun(self._begin(plan, report))

    def _begin(self, plan: Plan, earlier: Report | None) -> Drive:
        _refuse_what_needs_all_hosts(plan)
        order = Order(
            run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
            plan=plan,
            targets=self._targets,
            terms=self._terms,
            files=self._here.local_files(plan),
            earlier=earlier,
            workers=self._workers,
            credentials=self._credentials,
            patience=self._patience,
        )
        return Drive(Cluster(self._client), order)


def _refuse_what_needs_all_hosts(plan: Plan) -> None:
    for stage in json.loads(plan.to_json())["stages"]:
        name = stage["name"]
        for option in ("barrier", "run_once"):
            if stage.get(option):
                raise InvalidError(
                    f"stage `{name}` is {option.replace('_', ' ')}, which workers cannot keep among them: run the plan with `Fleet`"
                )
        fetch = stage["step"].get("fetch")
        if fetch is not None and not Path(fetch["destination"]).is_absolute():
            raise InvalidError(
                f"stage `{name}` fetches into `{fetch['destination']}`, which is another folder on each worker: give an absolute path"
            )
