"""Treat many machines as one.

Examples
--------
>>> import clusterops as co
>>> co.HostSet("web[01-50]") - co.HostSet("web49")
HostSet('web[01-48,50]')
"""

from __future__ import annotations

from collections.abc import Mapping as _Mapping
from collections.abc import Set as _Set

from ._clusterops import (
    Answer,
    AsyncRun,
    Fleet,
    Gathered,
    HostEvent,
    HostReport,
    HostSet,
    Inventory,
    OutputEvent,
    Plan,
    Report,
    Rollout,
    Run,
    RunAs,
    RunControl,
    RunEvent,
    SessionOptions,
    StageReport,
    Step,
    Target,
    TransferEvent,
    arun,
    run,
)
from .errors import (
    CancelledError,
    ClusterOpsError,
    CommandError,
    DeadlineError,
    DeniedError,
    InvalidError,
    LocalError,
    NotFoundError,
    ServerError,
    TransferError,
    UnreachableError,
)
from .options import StageOptions
from .protocols import Credentials, GroupSource, Purpose

_Set.register(HostSet)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
_Mapping.register(Report)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

__all__ = [
    "Answer",
    "AsyncRun",
    "CancelledError",
    "ClusterOpsError",
    "CommandError",
    "Credentials",
    "DeadlineError",
    "DeniedError",
    "Fleet",
    "Gathered",
    "GroupSource",
    "HostEvent",
    "HostReport",
    "HostSet",
    "InvalidError",
    "Inventory",
    "LocalError",
    "NotFoundError",
    "OutputEvent",
    "Plan",
    "Purpose",
    "Report",
    "Rollout",
    "Run",
    "RunAs",
    "RunControl",
    "RunEvent",
    "ServerError",
    "SessionOptions",
    "StageOptions",
    "StageReport",
    "Step",
    "Target",
    "TransferError",
    "TransferEvent",
    "UnreachableError",
    "arun",
    "run",
]
